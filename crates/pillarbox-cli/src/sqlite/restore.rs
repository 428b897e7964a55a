//! Replaces an inbox with a backup, and keeps the old inbox under another name.
//!
//! First the backup is copied to a file beside the inbox, checked and flushed. The log of the old
//! file is copied into the old file, so that one rename replaces it: a process that is killed
//! leaves the old inbox or the new one, and the command can be run again. Only a damaged old file
//! keeps its log. If the process is killed before that log is removed, no process opens the new
//! file until the command has been run again.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    backup::{copy, remove_with_sidecars, sync_folder},
    checkpoint,
    columns::{COLUMNS, read_packed_row},
    connection::{self, SqliteError, path_beside},
    lock::{LockError, ServeLock, real_path},
    pair::{FileId, FilePair},
    schema,
};
use pillarbox::inbox::InboxError;

/// The suffix of the rollback journal, in which SQLite keeps the old pages while it switches to a
/// log. The first connection that reads the file removes it, unless the file is damaged.
const ROLLBACK_JOURNAL: &str = "-journal";

/// The inbox after a restore.
#[derive(Debug)]
pub struct RestoredInbox {
    /// The number of its notifications.
    pub rows: u64,
    /// The keys of those whose bytes do not match their digests.
    pub damaged: Vec<String>,
    /// The new path of the old inbox, if there was one.
    pub aside: Option<PathBuf>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A `serve` is running.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The backup is the inbox.
    #[error("{0} is the inbox itself: name a backup of it")]
    SameFile(PathBuf),
    /// There is no backup.
    #[error("{0} is missing: write the path of a backup")]
    Missing(PathBuf),
    /// The backup is not an inbox, or is damaged.
    #[error("{0} was not restored: {1}")]
    Backup(PathBuf, InboxError),
    /// Rows of the backup are damaged.
    #[error(
        "{0} was not restored: the bytes of {number} of its notifications do not match their \
         digests ({first}): use another backup, or accept that with --keep-damaged",
        number = .1.len(),
        first = .1.first().map_or("", String::as_str)
    )]
    DamagedRows(PathBuf, Vec<String>),
    /// Another process uses the inbox.
    #[error("another process has {0} open: stop it, and run the command again")]
    InUse(PathBuf),
    /// A file cannot be written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// A completed step, after which the process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestoreStep {
    Copied,
    LogCopied,
    KeptAside,
    Replaced,
    LogRemoved,
}

/// Restores the inbox at `inbox` from `backup`. Blocks.
///
/// # Errors
/// The inbox is unchanged, unless the error is about removing its log.
pub fn restore(
    backup: &Path,
    inbox: &Path,
    keep_damaged: bool,
) -> Result<RestoredInbox, RestoreError> {
    restore_in_steps(backup, inbox, keep_damaged, |_| ())
}

pub(super) fn restore_in_steps(
    backup: &Path,
    inbox: &Path,
    keep_damaged: bool,
    on_step: impl Fn(RestoreStep),
) -> Result<RestoredInbox, RestoreError> {
    let inbox = real_path(inbox);
    let _lock = ServeLock::acquire(&inbox)?;
    let is_same = FileId::at(backup).is_ok_and(|id| FileId::at(&inbox).is_ok_and(|own| own == id));
    if is_same {
        return Err(RestoreError::SameFile(backup.to_owned()));
    }
    if !backup.try_exists().unwrap_or(true) {
        return Err(RestoreError::Missing(backup.to_owned()));
    }
    let new = path_beside(&inbox, ".restoring");
    let cannot_remove = |error| RestoreError::Backup(backup.to_owned(), error);
    remove_with_sidecars(&new).map_err(cannot_remove)?; // left by a restore that was killed
    let prepared = prepare(backup, &new, &inbox, keep_damaged).and_then(|prepared| {
        on_step(RestoreStep::Copied);
        copy_log(&inbox)?;
        on_step(RestoreStep::LogCopied);
        let aside = keep_aside(&inbox)?;
        on_step(RestoreStep::KeptAside);
        fs::rename(&new, &inbox).map_err(|error| RestoreError::File(inbox.clone(), error))?;
        Ok((prepared, aside))
    });
    let ((rows, damaged), aside) = prepared.inspect_err(|_| {
        let _ = remove_with_sidecars(&new); // the returned error is the cause
    })?;
    on_step(RestoreStep::Replaced);
    flush_folder(&inbox)?;
    remove_log(&inbox)?;
    flush_folder(&inbox)?;
    on_step(RestoreStep::LogRemoved);
    Ok(RestoredInbox {
        rows,
        damaged,
        aside,
    })
}

/// Writes a checked copy of the backup to `new`. Returns the number of rows, and the damaged ones.
fn prepare(
    backup: &Path,
    new: &Path,
    inbox: &Path,
    keep_damaged: bool,
) -> Result<(u64, Vec<String>), RestoreError> {
    let (rows, damaged) = checked_copy(backup, new)
        .map_err(|error| RestoreError::Backup(backup.to_owned(), error.into()))?;
    if !damaged.is_empty() && !keep_damaged {
        return Err(RestoreError::DamagedRows(backup.to_owned(), damaged));
    }
    copy_owner(new, inbox).map_err(|error| RestoreError::File(new.to_owned(), error))?;
    Ok((rows, damaged))
}

fn checked_copy(backup: &Path, new: &Path) -> Result<(u64, Vec<String>), SqliteError> {
    let pair = FilePair::open(backup)?;
    let source = connection::open_read_only_of_any_schema(backup)?;
    let rows = copy(&source.connection, new)?;
    drop(source); // before the pair closes the file
    drop(pair);
    let mut db = connection::open(new)?;
    schema::migrate(&mut db)?;
    let damaged = damaged_rows(&db)?;
    db.close().map_err(|(_, error)| error)?;
    let flushed = File::open(new).and_then(|file| file.sync_all());
    flushed.map_err(|error| {
        InboxError::Unavailable(format!("{} cannot be flushed: {error}", new.display()))
    })?;
    Ok((rows, damaged))
}

/// The keys of the rows whose bytes do not match their digest, or that cannot be read.
fn damaged_rows(db: &Connection) -> Result<Vec<String>, SqliteError> {
    let mut select = db.prepare(&format!(
        "SELECT {COLUMNS}, body FROM notification ORDER BY id"
    ))?;
    let mut rows = select.query([])?;
    let mut damaged = Vec::new();
    while let Some(columns) = rows.next()? {
        let unpacked = read_packed_row(db, columns).and_then(|row| Ok(row.unpack()?));
        let is_sound = match &unpacked {
            Ok(row) => row.body.is_none() || row.proven_body().is_ok(),
            // Only a newer version can check it.
            Err(SqliteError::Inbox(InboxError::NewerRow { .. })) => true,
            Err(_) => false,
        };
        if !is_sound {
            damaged.push(columns.get(1)?);
        }
    }
    Ok(damaged)
}

/// Gives the new file the owner of the old one, or of its folder: the user that `serve` runs as.
fn copy_owner(new: &Path, inbox: &Path) -> io::Result<()> {
    let folder = inbox.parent().unwrap_or(inbox);
    let old = fs::metadata(inbox).or_else(|_| fs::metadata(folder))?;
    let own = fs::metadata(new)?;
    if (own.uid(), own.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    match chown(new, Some(old.uid()), Some(old.gid())) {
        // Another user's folder that this user may write to does not show who runs `serve`.
        Err(_) if !inbox.exists() || own.uid() == old.uid() => Ok(()),
        changed => changed,
    }
}

/// Copies the log of the old file into the file, so that the file alone is the old inbox. A damaged
/// file keeps its log.
fn copy_log(inbox: &Path) -> Result<(), RestoreError> {
    let has_rollback_journal = path_beside(inbox, ROLLBACK_JOURNAL).exists();
    if !inbox.exists() || !(connection::has_log(inbox) || has_rollback_journal) {
        return Ok(()); // no process has it open for writing
    }
    let Ok(_pair) = FilePair::open(inbox) else {
        return Ok(()); // the log belongs to another file
    };
    let is_emptied = connection::open(inbox).map(|db| checkpoint::empty_log(&db));
    match is_emptied {
        // SQLite removes the log with the last connection, so another process has one.
        Ok(Ok(is_emptied)) if !is_emptied || connection::has_log(inbox) => {
            Err(RestoreError::InUse(inbox.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Gives the old file, and its log if there still is one, a second name.
fn keep_aside(inbox: &Path) -> Result<Option<PathBuf>, RestoreError> {
    let has_log = connection::has_log(inbox);
    if !inbox.exists() && !has_log {
        return Ok(None);
    }
    let old = FileId::at(inbox).ok();
    let is_kept = |aside: &Path| old.is_some() && FileId::at(aside).ok() == old;
    let names = (1..).map(|number| match number {
        1 => path_beside(inbox, ".before-restore"),
        _ => path_beside(inbox, &format!(".before-restore-{number}")),
    });
    let is_free =
        |aside: &PathBuf| is_kept(aside) || !aside.exists() && !connection::has_log(aside);
    let Some(aside) = names.into_iter().find(is_free) else {
        return Ok(None);
    };
    let keep = |from: &Path, to: &Path| {
        let linked = fs::hard_link(from, to).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()), // linked by a restore that was killed
            _ => copy_private(from, to),            // on a disk without hard links
        });
        linked.map_err(|error| RestoreError::File(to.to_owned(), error))
    };
    if old.is_some() {
        keep(inbox, &aside)?;
    }
    if has_log {
        keep(&path_beside(inbox, "-wal"), &path_beside(&aside, "-wal"))?;
    }
    let rollback_journal = path_beside(inbox, ROLLBACK_JOURNAL);
    if rollback_journal.exists() {
        keep(&rollback_journal, &path_beside(&aside, ROLLBACK_JOURNAL))?;
        remove(&rollback_journal)?; // SQLite would apply it to the new file
    }
    flush_folder(inbox)?;
    Ok(Some(aside))
}

fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    connection::new_private_file(to)?;
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn remove_log(path: &Path) -> Result<(), RestoreError> {
    for suffix in ["-wal", "-shm"] {
        remove(&path_beside(path, suffix))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), RestoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RestoreError::File(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}

fn flush_folder(path: &Path) -> Result<(), RestoreError> {
    sync_folder(path).map_err(|error| RestoreError::File(path.to_owned(), error))
}

#[cfg(test)]
mod tests;
