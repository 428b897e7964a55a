//! Writes lines that stay separate, even if a write fails part of the way.

use std::io::{self, Write};

/// Writes whole lines to `out`.
///
/// A write that fails part of the way, for instance on a full disk, leaves an incomplete line. The
/// next line then begins after a newline, so that only the incomplete line is unreadable. `out`
/// must not buffer: after a failure, a buffer would write its remaining content later.
pub struct LineWriter<W> {
    out: W,
    is_torn: bool,
}

impl<W: Write> LineWriter<W> {
    /// A writer to `out`. `is_torn` means that `out` ends with an incomplete line.
    pub fn new(out: W, is_torn: bool) -> Self {
        Self { out, is_torn }
    }

    /// Writes `lines`, each of which ends with a newline, and flushes them.
    ///
    /// # Errors
    /// The error, and the number of bytes of `lines` that were written before it.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            self.write_bytes(b"\n").map_err(|(_, error)| (0, error))?;
            self.is_torn = false;
        }
        let (written, outcome) = match self.write_bytes(lines) {
            Ok(()) => (lines.len(), self.out.flush()),
            Err((written, error)) => (written, Err(error)),
        };
        self.is_torn = written > 0 && lines.get(written - 1) != Some(&b'\n');
        outcome.map_err(|error| (written, error))
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_support::SmallDisk, *};

    #[test]
    fn a_line_begins_after_a_newline_wherever_the_write_before_it_failed() {
        let line = b"{\"a\":1}\n";
        for room in 0..=2 * line.len() {
            let disk = SmallDisk::with_room(room);
            let mut writer = LineWriter::new(disk.clone(), false);
            let first = writer
                .write(&line.repeat(2))
                .map_err(|(written, _)| written);
            let expected = if room == 2 * line.len() {
                Ok(())
            } else {
                Err(room)
            };
            assert_eq!(first, expected);
            assert!(writer.write(line).is_err(), "the disk is still full");
            disk.make_room(100);
            writer.write(line).unwrap();
            let text = disk.text();
            let whole = text.lines().filter(|line| *line == "{\"a\":1}").count();
            // A line without its newline is whole to a reader, but is not counted as written.
            let is_bare = room % line.len() == line.len() - 1;
            assert_eq!(
                whole,
                room / line.len() + 1 + usize::from(is_bare),
                "{text:?}"
            );
            assert!(
                text.ends_with("{\"a\":1}\n") && !text.contains("\n\n"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn an_incomplete_line_of_an_earlier_process_is_ended_before_the_first_line() {
        let mut out = b"{\"a\":".to_vec();
        LineWriter::new(&mut out, true).write(b"{}\n").unwrap();
        assert_eq!(out, b"{\"a\":\n{}\n");
    }
}
