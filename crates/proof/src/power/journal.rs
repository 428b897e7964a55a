//! Parses the journal of `unsynced.c`: the operations of a process on one folder, in order.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// The length of a record without its content.
const RECORD_BYTES: usize = 32;

/// One record. `file` is the number of a file, which is constant in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiskOperation {
    /// An existing file or folder is opened for the first time.
    Existing {
        file: u32,
        path: PathBuf,
    },
    /// A file is created.
    Created {
        file: u32,
        path: PathBuf,
    },
    /// A write. The content is a range of the journal.
    Write {
        file: u32,
        offset: u64,
        content: Range<usize>,
    },
    Truncate {
        file: u32,
        length: u64,
    },
    /// A flush of a file or folder begins.
    Flush {
        file: u32,
    },
    /// The flush ends. `began` is the index of the record of its beginning.
    Flushed {
        file: u32,
        began: usize,
        failed: bool,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Folder {
        path: PathBuf,
    },
    /// The first bytes of an HTTP answer were sent to the client at this port.
    Answer {
        port: u16,
        status: u16,
    },
    /// Standard output.
    Output {
        content: Range<usize>,
    },
    /// Standard error.
    Report,
    /// A call that the journal cannot represent.
    Unsupported {
        call: String,
    },
}

/// A parsed journal.
#[derive(Default)]
pub(super) struct DiskJournal {
    bytes: Vec<u8>,
    pub(super) operations: Vec<DiskOperation>,
}

impl DiskJournal {
    /// Parses a journal. Paths become relative to `folder`. An incomplete last record is ignored.
    pub(super) fn read(bytes: Vec<u8>, folder: &Path) -> Result<Self, String> {
        let mut operations = Vec::new();
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + RECORD_BYTES) {
            let start = at + RECORD_BYTES;
            let length = usize::try_from(number(head, 24)).map_err(|error| error.to_string())?;
            let content = start..start + length;
            let Some(bytes) = bytes.get(content.clone()) else {
                break;
            };
            at = content.end;
            let text = RecordText { bytes, folder };
            operations.push(operation(head, &text, content)?);
        }
        Ok(Self { bytes, operations })
    }

    /// The content of a record.
    pub(super) fn content(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }
}

/// The content of a record as text.
struct RecordText<'a> {
    bytes: &'a [u8],
    folder: &'a Path,
}

impl RecordText<'_> {
    fn read(&self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }

    /// A path, relative to the folder.
    fn relative(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        path.strip_prefix(self.folder).unwrap_or(path).to_owned()
    }

    fn path(&self) -> PathBuf {
        self.relative(self.read().trim_end_matches('\n'))
    }

    /// The old and the new path.
    fn paths(&self) -> (PathBuf, PathBuf) {
        let text = self.read();
        let (from, to) = text.split_once('\n').unwrap_or((&text, ""));
        (self.relative(from), self.relative(to))
    }
}

fn operation(
    head: &[u8],
    text: &RecordText<'_>,
    content: Range<usize>,
) -> Result<DiskOperation, String> {
    let file = word(head, 4);
    let (offset, length) = (number(head, 8), number(head, 16));
    let path = || text.path();
    Ok(match word(head, 0) {
        1 => DiskOperation::Existing { file, path: path() },
        2 => DiskOperation::Created { file, path: path() },
        3 => DiskOperation::Write {
            file,
            offset,
            content,
        },
        4 => DiskOperation::Truncate { file, length },
        5 => DiskOperation::Flush { file },
        6 => DiskOperation::Flushed {
            file,
            began: usize::try_from(offset).map_err(|error| error.to_string())?,
            failed: length != 0,
        },
        7 => {
            let (from, to) = text.paths();
            DiskOperation::Link { from, to }
        }
        8 => DiskOperation::Unlink { path: path() },
        9 => {
            let (from, to) = text.paths();
            DiskOperation::Rename { from, to }
        }
        10 => DiskOperation::Folder { path: path() },
        11 => DiskOperation::Answer {
            port: u16::try_from(offset).map_err(|error| error.to_string())?,
            status: u16::try_from(length).unwrap_or(0),
        },
        12 => DiskOperation::Output { content },
        13 => DiskOperation::Unsupported { call: text.read() },
        14 => DiskOperation::Report,
        other => return Err(format!("the journal has a record of kind {other}")),
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at + 4)) << 32 | u64::from(word(bytes, at))
}

#[cfg(test)]
impl DiskJournal {
    /// A journal of these operations. The text of each is the content of a write or an output.
    pub(super) fn of(operations: &[(DiskOperation, &[u8])]) -> Self {
        let mut journal = Self::default();
        for (operation, text) in operations {
            let mut operation = operation.clone();
            let range = journal.bytes.len()..journal.bytes.len() + text.len();
            journal.bytes.extend_from_slice(text);
            if let DiskOperation::Write { content, .. } | DiskOperation::Output { content } =
                &mut operation
            {
                *content = range;
            }
            journal.operations.push(operation);
        }
        journal
    }
}
