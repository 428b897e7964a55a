//! The lines of an export, oldest notification first.
//!
//! `export` prints the newest first, but a local inbox lists its rows in the order in which they
//! were stored. So a first pass finds the position of each line and the age of its notification,
//! and the second reads the lines, oldest first. A file is not kept in memory.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
    vec,
};

use serde::Deserialize;

use crate::commands::{CommandError, ErrorCode};

/// The position of a line.
struct LinePosition {
    received_at: String,
    number: usize,
    offset: u64,
    bytes: usize,
}

/// The field that the first pass reads. Every export has it in the same format.
#[derive(Deserialize)]
struct LineAge {
    received_at: String,
}

trait SeekRead: Read + Seek + Send {}

impl<T: Read + Seek + Send> SeekRead for T {}

/// The lines of a file, or of standard input.
pub(super) struct ExportedLines {
    name: String,
    source: Box<dyn SeekRead>,
    positions: vec::IntoIter<LinePosition>,
}

impl ExportedLines {
    /// Opens a file; `-` is standard input, which is read to its end.
    pub(super) fn open(file: &str) -> Result<Self, CommandError> {
        let unreadable = |error: io::Error| {
            ErrorCode::InputFile.error(format!("cannot read {file} ({error}): check the path"))
        };
        let (name, source): (_, Box<dyn SeekRead>) = if file == "-" {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(unreadable)?;
            ("standard input".to_owned(), Box::new(Cursor::new(bytes)))
        } else {
            let name = Path::new(file).file_name().unwrap_or_default();
            let source = File::open(file).map_err(unreadable)?;
            (name.to_string_lossy().into_owned(), Box::new(source))
        };
        Self::of(name, source).map_err(unreadable)
    }

    fn of(name: String, mut source: Box<dyn SeekRead>) -> io::Result<Self> {
        let mut reader = BufReader::new(&mut source);
        let (mut positions, mut offset, mut line) = (Vec::new(), 0, Vec::new());
        for number in 1.. {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line)?;
            if bytes == 0 {
                break;
            }
            if !line.trim_ascii().is_empty() {
                // A line without a date comes first, and is refused.
                let age = serde_json::from_slice::<LineAge>(&line);
                positions.push(LinePosition {
                    received_at: age.map_or(String::new(), |age| age.received_at),
                    number,
                    offset,
                    bytes,
                });
            }
            offset += bytes as u64;
        }
        // Of two that were received at the same time, the later line is the older one.
        positions.reverse();
        positions.sort_by(|one, other| one.received_at.cmp(&other.received_at));
        Ok(Self {
            name,
            source,
            positions: positions.into_iter(),
        })
    }

    /// The name of the file, without its folder.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// The number of lines that remain.
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The next line, with its number in the file.
    pub(super) fn next(&mut self) -> Result<Option<(usize, String)>, CommandError> {
        let Some(position) = self.positions.next() else {
            return Ok(None);
        };
        let line = self.read(&position).map_err(|error| {
            let number = position.number;
            ErrorCode::InputFile.error(format!("cannot read line {number} any more ({error})"))
        })?;
        Ok(Some((position.number, line)))
    }

    fn read(&mut self, position: &LinePosition) -> io::Result<String> {
        let mut bytes = vec![0; position.bytes];
        self.source.seek(SeekFrom::Start(position.offset))?;
        self.source.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_oldest_first_whatever_their_order() {
        let line = |id: &str, at: &str| format!("{{\"id\":\"{id}\",\"received_at\":\"{at}\"}}\n");
        let text = [
            line("c", "2026-03-02T10:00:02.000Z"),
            line("b", "2026-03-02T10:00:01.000Z"),
            "\n".to_owned(),
            line("a", "2026-03-02T10:00:01.000Z"),
            "no JSON".to_owned(),
        ];
        let source = Box::new(Cursor::new(text.concat().into_bytes()));
        let mut lines = ExportedLines::of("-".to_owned(), source).unwrap();
        assert_eq!(lines.len(), 4);
        let mut read = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            read.push((number, line.chars().nth(7).unwrap_or(' ')));
        }
        assert_eq!(read, [(5, ' '), (4, 'a'), (2, 'b'), (1, 'c')]);
    }
}
