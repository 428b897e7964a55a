//! Opens connections whose commits survive a power cut, and explains their errors.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use pillarbox::inbox::InboxError;

/// How long a change waits for another process; shorter than the timeout of every sender.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

/// What to do if the file is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    Create,
    Fail,
}

/// The error of a change or a query: from SQLite, or from the inbox.
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
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Sqlite(error) => unavailable(&error),
            SqliteError::Inbox(error) => error,
        }
    }
}

/// Opens `path` so that a committed change survives a power cut.
pub(super) fn open(path: &Path, missing: IfMissing) -> Result<Connection, InboxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if missing == IfMissing::Create {
        create_private(path)?;
    }
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Keys are scattered, so each row changes another page of the index: small pages flush
        // faster.
        connection.pragma_update(None, "page_size", 2048)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL would lose the last committed rows in a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Erased and expired bytes must not remain in the unused parts of the file.
        connection.pragma_update(None, "secure_delete", "ON")?;
        // The checkpointer does this; half a gigabyte is the limit if it fails.
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

/// Creates a missing file that only its owner may read, since it will contain personal data. SQLite
/// gives the files beside it the same permissions.
fn create_private(path: &Path) -> Result<(), InboxError> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            let path = path.display();
            Err(InboxError::Unavailable(format!(
                "cannot create {path} ({error}): check that its folder exists and is writable"
            )))
        }
        _ => Ok(()),
    }
}

/// Explains an SQLite error and what to do.
pub(super) fn unavailable(error: &rusqlite::Error) -> InboxError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: free some space; nothing else is needed",
        Some(ErrorCode::ReadOnly) => {
            "the file or its folder is not writable: check its permissions"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has locked it: stop that process"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: run `pillarbox doctor`, then restore a copy"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the file cannot be opened: check that its folder exists and is writable"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error: check the disk",
        _ => return InboxError::Unavailable(error.to_string()),
    };
    InboxError::Unavailable(format!("{hint} ({error})"))
}

/// Whether a connection with this error must be replaced.
pub(super) fn breaks_connection(error: &rusqlite::Error) -> bool {
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
