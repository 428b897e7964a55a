//! Lines that stay apart, even if a write breaks off.

use std::io::{self, Write};

/// Writes whole lines to `out`.
///
/// A write that breaks off, on a full disk for instance, leaves the beginning of a line behind.
/// The next line then begins after a newline, so that only the torn line is unreadable. `out` must
/// not buffer: what a buffer still holds after a failure would be written later.
pub struct LineWriter<W> {
    out: W,
    is_torn: bool,
}

impl<W: Write> LineWriter<W> {
    /// A writer to `out`. `is_torn` means that `out` ends in the beginning of a line.
    pub fn new(out: W, is_torn: bool) -> Self {
        Self { out, is_torn }
    }

    /// Writes `lines`, each of which ends with a newline, and flushes them.
    ///
    /// # Errors
    /// Comes with the number of bytes of `lines` that were written before it failed.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            self.write_some(b"\n").map_err(|(_, error)| (0, error))?;
            self.is_torn = false;
        }
        let (written, outcome) = match self.write_some(lines) {
            Ok(()) => (lines.len(), self.out.flush()),
            Err((written, error)) => (written, Err(error)),
        };
        self.is_torn = written > 0 && lines.get(written - 1) != Some(&b'\n');
        outcome.map_err(|error| (written, error))
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(some) => written += some,
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
    fn a_line_begins_on_its_own_wherever_the_write_before_it_broke_off() {
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
    fn what_an_earlier_process_left_torn_is_closed_before_the_first_line() {
        let mut out = b"{\"a\":".to_vec();
        LineWriter::new(&mut out, true).write(b"{}\n").unwrap();
        assert_eq!(out, b"{\"a\":\n{}\n");
    }
}
