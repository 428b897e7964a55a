//! Checks that the file and its write-ahead log belong together, and that both are still in place.
//!
//! SQLite replays any log of the right name into a file, and the log of another file destroys it.
//! If the log is removed or the file replaced while a process runs, SQLite reports no error, and
//! what it commits is lost at the next start.
//!
//! So every transaction raises a counter in the header of the file (`application_id`), which starts
//! at a random value; a copy gets a new one. SQLite changes the first page in the log, and copies
//! it into the file later. A log belongs to a file if the counter in the file precedes the first
//! counter in the log, or is one of those in the log. While a process runs, the counter in the file
//! never decreases, and never exceeds that of the last commit.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use super::{
    connection::{self, SqliteError, path_beside},
    wal::{self, COUNTER_OFFSET},
};
use pillarbox::inbox::InboxError;

/// How many times a log is read that another process restarts meanwhile.
const MAX_READS: u32 = 100;
/// More commits than a log ever holds: those of a day, if a reader prevents every checkpoint.
const MAX_COMMITS: u32 = 1 << 26;

/// The file at a path and its log, as they were when they were opened.
///
/// Closing a file releases all locks that the process has on it, including SQLite's. So the file is
/// opened once, and outlives the connections that share it.
pub(super) struct FilePair {
    path: PathBuf,
    file: File,
    id: FileId,
    watched: Mutex<WatchedFiles>,
}

struct WatchedFiles {
    /// The counter in the file when it was last checked.
    counter: u32,
    /// The log, once it exists.
    log: Option<(File, FileId)>,
    /// The open connections for writing. SQLite removes the log with the last of them.
    connections: usize,
}

impl FilePair {
    /// Opens the file at `path`. Fails if its log belongs to another file.
    pub(super) fn open(path: &Path) -> Result<Self, InboxError> {
        // Opening a pipe would wait for its other end.
        let found = fs::metadata(path).map_err(|error| missing(path, &error))?;
        if !found.is_file() {
            return Err(InboxError::Unavailable(format!(
                "{} is not a file: write the path of an inbox, such as pillarbox.db",
                path.display()
            )));
        }
        let file = File::open(path).map_err(|error| missing(path, &error))?;
        let unreadable = |error: io::Error| {
            InboxError::Unavailable(format!("{} cannot be read: {error}", path.display()))
        };
        let id = FileId::of(&file.metadata().map_err(unreadable)?);
        let counter = require_matching_log(path, &file).map_err(unreadable)??;
        Ok(Self {
            path: path.to_owned(),
            file,
            id,
            watched: Mutex::new(WatchedFiles {
                counter,
                log: None,
                connections: 0,
            }),
        })
    }

    /// Opens a connection for writing, to be closed by [`disconnect`](Self::disconnect).
    pub(super) fn connect(&self) -> Result<Connection, InboxError> {
        let mut watched = self.lock();
        if watched.connections == 0 {
            let unreadable = |error| missing(&self.path, &error);
            require_matching_log(&self.path, &self.file).map_err(unreadable)??;
        }
        let connection = connection::open(&self.path)?;
        watched.connections += 1;
        Ok(connection)
    }

    /// Closes a connection. If the file was replaced or its log removed, leaves the connection
    /// open: closing it, SQLite would write the log into another file, and remove it.
    pub(super) fn disconnect(&self, connection: Connection) {
        if self.check(&connection).is_err() {
            std::mem::forget(connection);
            return;
        }
        let mut watched = self.lock();
        drop(connection);
        watched.connections -= 1;
        if watched.connections == 0 {
            watched.log = None;
        }
    }

    /// Whether the file is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.len() == 0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, WatchedFiles> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the file or its log is not at its path, or is not the one that `db` has open.
    pub(super) fn check(&self, db: &Connection) -> Result<(), SqliteError> {
        self.check_paths()?;
        self.check_counter(db)
    }

    fn check_paths(&self) -> Result<(), InboxError> {
        let path = self.path.display();
        let found = fs::metadata(&self.path).map_err(|error| missing(&self.path, &error))?;
        if FileId::of(&found) != self.id {
            return Err(InboxError::Unavailable(format!(
                "{path} was replaced while this process runs: stop it; to restore a backup, use \
                 `pillarbox inbox restore FILE`"
            )));
        }
        let mut watched = self.lock();
        let log = path_beside(&self.path, "-wal");
        let found = fs::metadata(&log).ok().map(|found| FileId::of(&found));
        let lost = || {
            InboxError::Unavailable(format!(
                "the log {} was removed or replaced while this process runs: put it back; without \
                 it, the newest notifications are lost at the next start",
                log.display()
            ))
        };
        match (&watched.log, found) {
            (None, Some(_)) => {
                let file = File::open(&log).map_err(|_| lost())?;
                let id = FileId::of(&file.metadata().map_err(|_| lost())?);
                watched.log = Some((file, id));
                Ok(())
            }
            (None, None) => Ok(()),
            (Some((file, id)), Some(found)) if *id == found && is_log(file) => Ok(()),
            (Some(_), _) => Err(lost()),
        }
    }

    fn check_counter(&self, db: &Connection) -> Result<(), SqliteError> {
        let mut watched = self.lock();
        let mut attempts = 0;
        loop {
            let in_file = counter_in(&self.file).ok().flatten();
            let committed = counter(db)?;
            let last = watched.counter;
            if let Some(in_file) = in_file
                && in_file.wrapping_sub(last) <= committed.wrapping_sub(last)
                && committed.wrapping_sub(last) <= MAX_COMMITS
            {
                watched.counter = in_file;
                return Ok(());
            }
            attempts += 1;
            if attempts == 3 {
                let path = self.path.display();
                let why = format!(
                    "{path} was overwritten while this process runs: stop it, and restore a backup \
                     (`pillarbox inbox restore FILE`)"
                );
                return Err(InboxError::Unavailable(why).into());
            }
        }
    }
}

/// Whether the file is empty, as SQLite may leave a log, or begins with the header of a log.
fn is_log(log: &File) -> bool {
    let mut header = [0; 32];
    match log.read_at(&mut header, 0) {
        Ok(0) => true,
        Ok(32) => wal::is_valid(&header),
        _ => false,
    }
}

/// The counter of the last commit.
pub(super) fn counter(db: &Connection) -> Result<u32, rusqlite::Error> {
    let mut pragma = db.prepare_cached("PRAGMA application_id")?;
    pragma.query_row([], |row| Ok(row.get::<_, i32>(0)?.cast_unsigned()))
}

/// Raises the counter. Part of every transaction that changes something.
pub(super) fn raise_counter(db: &Connection) -> Result<(), rusqlite::Error> {
    let next = counter(db)?.wrapping_add(1).cast_signed();
    db.pragma_update(None, "application_id", next)
}

/// Sets the counter of a new file to a random value, which no other file's log continues.
pub(super) fn randomise_counter(db: &Connection) -> Result<(), rusqlite::Error> {
    let random: i64 = db.query_row("SELECT random() & 0x7fffffff", [], |row| row.get(0))?;
    db.pragma_update(None, "application_id", random)
}

/// The counter in the file itself, without its log; `None` if the file is empty.
fn counter_in(file: &File) -> io::Result<Option<u32>> {
    let mut bytes = [0; 4];
    match file.read_exact_at(&mut bytes, COUNTER_OFFSET as u64) {
        Ok(()) => Ok(Some(u32::from_be_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails if the log beside the file belongs to another file. Returns the counter in the file.
fn require_matching_log(path: &Path, file: &File) -> io::Result<Result<u32, InboxError>> {
    for _ in 0..MAX_READS {
        let header = wal::read_header(path)?;
        let in_file = counter_in(file)?;
        let in_log = match header {
            Some(_) => wal::committed_counters(path)?,
            None => wal::CommittedCounters::default(),
        };
        if wal::read_header(path)? != header {
            continue; // another process has restarted it
        }
        let is_own = match (in_file, in_log.counters.first()) {
            (None, _) => !in_log.has_commits,
            (Some(_), None) => true, // a log of a version without the counter, or an empty one
            (Some(in_file), Some(first)) => {
                in_file.wrapping_add(1) == *first || in_log.counters.contains(&in_file)
            }
        };
        let path = path.display();
        return Ok(if is_own {
            Ok(in_file.unwrap_or_default())
        } else {
            Err(InboxError::Unavailable(format!(
                "the log {path}-wal belongs to another file than {path} and would destroy it. If \
                 {path} was put here by hand, restore it with `pillarbox inbox restore FILE`. If \
                 the file that the log belongs to was moved away, put it back"
            )))
        });
    }
    // Only a running process restarts a log, and it has checked that the log matches.
    Ok(Ok(counter_in(file)?.unwrap_or_default()))
}

/// Identifies a file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    pub(super) fn of(found: &fs::Metadata) -> Self {
        Self(found.dev(), found.ino())
    }

    /// The file at `path`.
    pub(super) fn at(path: &Path) -> Result<Self, InboxError> {
        let found = fs::metadata(path).map_err(|error| missing(path, &error))?;
        Ok(Self::of(&found))
    }
}

/// Explains why the file at `path` could not be opened. Only a file that is gone may be replaced by
/// a new one.
fn missing(path: &Path, error: &io::Error) -> InboxError {
    let path = path.display();
    InboxError::Unavailable(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("{path} is missing ({error}): put it back, or restart to create a new inbox")
        }
        io::ErrorKind::PermissionDenied => format!(
            "{path} cannot be read ({error}): run this as a user who may read it, or change its \
             permissions"
        ),
        _ => format!("{path} cannot be read ({error})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_may_be_replaced_by_a_new_one() {
        for (kind, is_missing) in [
            (io::ErrorKind::NotFound, true),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::Other, false),
        ] {
            let why = missing(Path::new("inbox.db"), &kind.into()).to_string();
            assert_eq!(why.contains("is missing"), is_missing, "{why}");
            assert_eq!(why.contains("create a new inbox"), is_missing, "{why}");
        }
    }
}
