//! Reads SQLite's write-ahead log to find the commits in it.
//!
//! The log is a header and frames, one for each page of a commit. SQLite replays the frames that
//! have the salts of the header and a checksum that follows from all frames before them, up to the
//! last frame that ends a commit. Later frames are torn, or left over from an earlier log.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use super::connection::path_beside;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit of the first word is the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
/// The offset of `application_id` in the first page.
pub(super) const COUNTER_OFFSET: usize = 68;

/// The header of a log. A restarted log has another.
pub(super) type LogHeader = [u8; HEADER_BYTES];

/// What the commits in the log wrote to the first page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommittedCounters {
    /// Whether any commit is in the log.
    pub(super) has_commits: bool,
    /// The counters of the first page, in order.
    pub(super) counters: Vec<u32>,
}

/// The header of the log beside the file at `path`; `None` if SQLite would not read the log.
pub(super) fn read_header(path: &Path) -> io::Result<Option<LogHeader>> {
    let mut header = [0; HEADER_BYTES];
    let Some(mut log) = open(path)? else {
        return Ok(None);
    };
    Ok(fill(&mut log, &mut header)?
        .then_some(header)
        .filter(is_valid))
}

/// Whether this is the header of a log.
pub(super) fn is_valid(header: &LogHeader) -> bool {
    let sums = LogChecksum::of(header).add(&header[..24]);
    read_u32(header, 0) & !1 == MAGIC && sums.matches(read_u32(header, 24), read_u32(header, 28))
}

/// The counters that the commits in the log beside the file at `path` wrote.
pub(super) fn committed_counters(path: &Path) -> io::Result<CommittedCounters> {
    let (mut found, mut header) = (CommittedCounters::default(), [0; HEADER_BYTES]);
    let Some(log) = open(path)? else {
        return Ok(found);
    };
    let mut log = BufReader::with_capacity(1 << 20, log);
    if !fill(&mut log, &mut header)? || !is_valid(&header) {
        return Ok(found);
    }
    let mut sums = LogChecksum::of(&header).add(&header[..24]);
    let page_bytes = match read_u32(&header, 8) {
        1 => 65_536,
        bytes => bytes as usize,
    };
    let (mut frame, mut page) = ([0; FRAME_HEADER_BYTES], vec![0; page_bytes]);
    let mut uncommitted = Vec::new();
    while fill(&mut log, &mut frame)? && fill(&mut log, &mut page)? {
        sums = sums.add(&frame[..8]).add(&page);
        if frame[8..16] != header[16..24]
            || !sums.matches(read_u32(&frame, 16), read_u32(&frame, 20))
        {
            break;
        }
        if read_u32(&frame, 0) == 1 {
            uncommitted.push(read_u32(&page, COUNTER_OFFSET));
        }
        if read_u32(&frame, 4) != 0 {
            found.has_commits = true;
            found.counters.append(&mut uncommitted);
        }
    }
    Ok(found)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path_beside(path, "-wal")) {
        Ok(log) => Ok(Some(log)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fills `bytes`; returns false at the end of the file.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The big-endian number at `at`.
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The running checksum of a log.
#[derive(Clone, Copy)]
struct LogChecksum {
    is_big_endian: bool,
    sums: (u32, u32),
}

impl LogChecksum {
    fn of(header: &LogHeader) -> Self {
        Self {
            is_big_endian: read_u32(header, 0) & 1 == 1,
            sums: (0, 0),
        }
    }

    fn add(mut self, bytes: &[u8]) -> Self {
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (read_u32(pair, 0), read_u32(pair, 4));
            let [first, second] = match self.is_big_endian {
                true => [first, second],
                false => [first.swap_bytes(), second.swap_bytes()],
            };
            self.sums.0 = self.sums.0.wrapping_add(first).wrapping_add(self.sums.1);
            self.sums.1 = self.sums.1.wrapping_add(second).wrapping_add(self.sums.0);
        }
        self
    }

    fn matches(self, first: u32, second: u32) -> bool {
        self.sums == (first, second)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_counter_of_every_complete_commit_is_read() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.db");
        assert_eq!(read_header(&path).unwrap(), None);
        let db = Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA page_size = 2048; PRAGMA journal_mode = WAL")
            .unwrap();
        for counter in [7, 8, -9] {
            db.pragma_update(None, "application_id", counter).unwrap();
        }
        assert!(read_header(&path).unwrap().is_some());
        let found = committed_counters(&path).unwrap();
        let expected = [7, 8, (-9i32).cast_unsigned()];
        assert_eq!((found.has_commits, &*found.counters), (true, &expected[..]));

        let log = path_beside(&path, "-wal");
        let whole = std::fs::read(&log).unwrap();
        let frame = FRAME_HEADER_BYTES + 2048;
        assert_eq!(whole.len(), HEADER_BYTES + 3 * frame);
        for (length, flipped, read) in [
            (whole.len(), Some(whole.len() - 1), 2),
            (whole.len() - 1, None, 2),
            (whole.len(), Some(HEADER_BYTES + frame + 100), 1),
            (HEADER_BYTES + frame, None, 1),
            (HEADER_BYTES, None, 0),
            (HEADER_BYTES - 1, None, 0),
            (whole.len(), Some(3), 0),
            (0, None, 0),
        ] {
            let mut torn = whole.clone();
            if let Some(at) = flipped {
                torn[at] ^= 0x40;
            }
            std::fs::write(&log, &torn[..length]).unwrap();
            let found = committed_counters(&path).unwrap();
            assert_eq!(found.counters, expected[..read], "{length} {flipped:?}");
            assert_eq!(found.has_commits, read > 0);
        }
    }
}
