//! Connections that keep the promise, and what their errors mean to a person.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use pillarbox::inbox::InboxError;

/// How long a change waits for another process; under the patience of every sender.
const BUSY: Duration = Duration::from_millis(1500);

/// What to do where there is no file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    Make,
    Fail,
}

/// What goes wrong in a change or a query: SQLite's own errors, or ours.
#[derive(Debug)]
pub(super) enum SqliteError {
    Sqlite(rusqlite::Error),
    Inbox(InboxError),
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<InboxError> for SqliteError {
    fn from(error: InboxError) -> Self {
        Self::Inbox(error)
    }
}

impl From<SqliteError> for InboxError {
    fn from(failure: SqliteError) -> Self {
        match failure {
            SqliteError::Sqlite(error) => unavailable(&error),
            SqliteError::Inbox(error) => error,
        }
    }
}

/// Opens `path` so that a committed change survives a power cut.
pub(super) fn open(path: &Path, missing: IfMissing) -> Result<Connection, InboxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if missing == IfMissing::Make {
        make_private(path)?;
    }
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        // Ids are scattered, so a change touches a page of an index for every row: small ones are less to flush.
        connection.pragma_update(None, "page_size", 2048)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL would lose the last committed rows in a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is erased or expired must not live on in the unused parts of the file.
        connection.pragma_update(None, "secure_delete", "ON")?;
        // Checkpoints are made beside the writer; this, at half a gigabyte, is for when those don't come.
        connection.pragma_update(None, "wal_autocheckpoint", 256 * 1024)?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    });
    opened.map_err(|error| match unavailable(&error) {
        InboxError::Unavailable(why) => {
            InboxError::Unavailable(format!("{}: {why}", path.display()))
        }
        other => other,
    })
}

/// Makes an empty file for its owner alone, unless there is one: it will hold names and addresses.
/// SQLite gives the files beside it the same permissions.
fn make_private(path: &Path) -> Result<(), InboxError> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let path = path.display();
            Err(InboxError::Unavailable(format!(
                "{path} can't be made ({error}): check that its folder exists and may be written"
            )))
        }
        _ => Ok(()),
    }
}

/// Says what an SQLite error means and what to do about it.
pub(super) fn unavailable(error: &rusqlite::Error) -> InboxError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: free some space, nothing else is needed",
        Some(ErrorCode::ReadOnly) => {
            "the file or its folder can't be written: check its permissions"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process holds it locked: end that one"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: run `pillarbox doctor`, then restore it from a copy"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the file can't be opened: check that its folder exists and may be written"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk reports an error: check it before trusting it further"
        }
        _ => return InboxError::Unavailable(error.to_string()),
    };
    InboxError::Unavailable(format!("{hint} ({error})"))
}

/// Whether a connection that met `error` should be thrown away and opened afresh.
pub(super) fn spoils_connection(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
        )
    )
}
