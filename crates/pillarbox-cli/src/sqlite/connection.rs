//! Opens connections for writing, whose commits survive a power cut, and for reading only; explains
//! SQLite's errors.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use url::Url;

use super::{pair::randomise_counter, schema};
use pillarbox::inbox::InboxError;

/// How long a change waits for another process; shorter than the timeout of every sender.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

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

/// Opens the file at `path`, which must exist. Its commits survive a power cut.
pub(super) fn open(path: &Path) -> Result<Connection, InboxError> {
    let opened = open_for_writing(path).and_then(|connection| {
        // Before anything is changed in it.
        schema::require_own(&connection)?;
        set_page_size(&connection)?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        // NORMAL would lose the last committed rows in a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Erased and expired bytes must not remain in the unused parts of the file.
        connection.pragma_update(None, "secure_delete", "ON")?;
        // The checkpoint thread copies the log; SQLite does at half a gigabyte if the thread fails.
        connection.pragma_update(None, "wal_autocheckpoint", 256 * 1024)?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok((connection, mode))
    });
    match opened.map_err(|error| unavailable_at(path, &error))? {
        (connection, mode) if mode == "wal" => Ok(connection),
        (_, mode) => Err(InboxError::Unavailable(format!(
            "{} stays in {mode} mode: move it to a disk where WAL works",
            path.display()
        ))),
    }
}

/// Writes the first page of an empty file, without a log. So its counter, which starts at a random
/// value, is older than every log of the file.
pub(super) fn write_first_page(path: &Path) -> Result<(), InboxError> {
    let written = open_for_writing(path).and_then(|connection| {
        set_page_size(&connection)?;
        randomise_counter(&connection)
    });
    written.map_err(|error| unavailable_at(path, &error))
}

/// Rolls back the unfinished write of a process that ended before the file had a log: until then,
/// SQLite keeps the pages that it overwrites in a rollback journal.
///
/// SQLite does this at the first read. Until then the counter in the first page may never have been
/// committed, so it proves nothing. A file with a log is left alone, because the log may belong to
/// another file and is checked first.
pub(super) fn roll_back(path: &Path) -> Result<(), InboxError> {
    if !path_beside(path, "-journal").exists() || has_log(path) {
        return Ok(());
    }
    let rolled_back = open_for_writing(path).and_then(|connection| schema::version(&connection));
    match rolled_back {
        Ok(_) => Ok(()),
        Err(error) => Err(unavailable_at(path, &error)),
    }
}

fn open_for_writing(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_busy_timeout(&connection)?;
    Ok(connection)
}

/// Keys are scattered, so each row changes another page of the index: small pages flush faster.
fn set_page_size(db: &Connection) -> Result<(), rusqlite::Error> {
    db.pragma_update(None, "page_size", 2048)
}

/// Has the connection wait for other processes for [`BUSY_TIMEOUT`].
pub(super) fn set_busy_timeout(db: &Connection) -> Result<(), rusqlite::Error> {
    db.busy_timeout(BUSY_TIMEOUT)
}

/// A connection that changes nothing: neither the file, nor its schema, nor the folder.
pub(super) struct ReadOnlyConnection {
    pub(super) connection: Connection,
    /// Whether SQLite assumes that no process changes the file.
    pub(super) immutable: bool,
}

/// Opens `path` for reading only, also for a user without permission to write.
///
/// SQLite reads a file in WAL mode only with the files of its log, and would create them. Without a
/// log, all commits are in the file and no process has it open, so it is opened as immutable, which
/// needs neither. [`has_log`] shows when that is no longer true.
pub(super) fn open_read_only(path: &Path) -> Result<ReadOnlyConnection, InboxError> {
    let opened = open_read_only_of_any_schema(path)?;
    schema::require_own(&opened.connection)
        .and_then(|()| schema::require_latest(&opened.connection))
        .map_err(|error| unavailable_at(path, &error))?;
    Ok(opened)
}

/// Like [`open_read_only`], but accepts the schema of any version of this program.
pub(super) fn open_read_only_of_any_schema(path: &Path) -> Result<ReadOnlyConnection, InboxError> {
    let immutable = !has_log(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = if immutable {
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable_uri(path)?, flags)
    } else {
        Connection::open_with_flags(path, flags)
    };
    let opened = opened.and_then(|connection| {
        set_busy_timeout(&connection)?;
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::version(&connection)?;
        Ok(connection)
    });
    let connection = opened.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if !immutable => {
            let path = path.display();
            InboxError::Unavailable(format!(
                "{path} has a log beside it ({path}-wal) that can only be read in a folder that \
                 you may write to: copy both files to one ({error})"
            ))
        }
        _ => unavailable_at(path, &error),
    })?;
    Ok(ReadOnlyConnection {
        connection,
        immutable,
    })
}

/// Whether the file at `path` has a write-ahead log beside it: while a process has it open for
/// writing, and after its last process was killed.
pub(super) fn has_log(path: &Path) -> bool {
    path_beside(path, "-wal").exists()
}

/// The path of the file beside `path` whose name ends in `suffix`.
pub(super) fn path_beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn immutable_uri(path: &Path) -> Result<String, InboxError> {
    let absolute = std::path::absolute(path).ok();
    let uri = absolute.and_then(|path| Url::from_file_path(path).ok());
    let mut uri = uri.ok_or_else(|| {
        InboxError::Unavailable(format!("{} is not the path of a file", path.display()))
    })?;
    uri.set_query(Some("immutable=1"));
    Ok(uri.into())
}

pub(super) fn unavailable_at(path: &Path, error: &rusqlite::Error) -> InboxError {
    match unavailable(error) {
        InboxError::Unavailable(why) => {
            InboxError::Unavailable(format!("{}: {why}", path.display()))
        }
        other => other,
    }
}

/// Creates a missing file that only its owner may read, since it will contain personal data. SQLite
/// gives the files beside it the same permissions.
pub(super) fn create_private(path: &Path) -> Result<(), InboxError> {
    match new_private_file(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let path = path.display();
            Err(InboxError::Unavailable(format!(
                "cannot create {path} ({error}): check that its folder exists and is writable"
            )))
        }
        _ => Ok(()),
    }
}

/// Creates a file that only its owner may read; fails if the file exists.
pub(super) fn new_private_file(path: &Path) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
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
            "the file is damaged: run `pillarbox doctor`, then `pillarbox inbox restore FILE`"
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
