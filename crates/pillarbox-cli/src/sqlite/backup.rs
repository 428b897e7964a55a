//! A consistent copy of the file, made while other processes change it.
//!
//! SQLite writes the copy (`VACUUM INTO`) inside one read transaction, so it has every change that
//! was committed before it began and no part of a later one. It is checked and flushed before it
//! gets its name, so a file of that name that is not empty is a complete backup.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    connection::{self, SqliteError, path_beside},
    pair::randomise_counter,
    query,
};
use pillarbox::inbox::InboxError;

/// Writes the copy to `target`, which must not exist. Returns the number of rows in it.
pub(super) fn backup(db: &Connection, target: &Path) -> Result<u64, SqliteError> {
    let partial = partial_path(target);
    create_private(target)?; // reserves the name
    let copied = copy(db, &partial).and_then(|rows| {
        fs::rename(&partial, target)
            .and_then(|()| sync_folder(target))
            .map_err(|error| file_error(target, &error))?;
        Ok(rows)
    });
    if copied.is_err() {
        let _ = remove_with_sidecars(&partial); // the returned error is the cause
        let _ = fs::remove_file(target);
    }
    copied
}

/// The path of the copy until it is complete.
pub fn partial_path(target: &Path) -> PathBuf {
    path_beside(target, ".partial")
}

/// Writes a checked and flushed copy to `partial`, in place of whatever has that name. Returns the
/// number of rows in it.
pub(super) fn copy(db: &Connection, partial: &Path) -> Result<u64, SqliteError> {
    remove_with_sidecars(partial)?; // left by a backup that was killed
    create_private(partial)?; // SQLite would let other users read it
    let absolute = std::path::absolute(partial).map_err(|error| file_error(partial, &error))?;
    let name = absolute.to_str().ok_or_else(|| {
        let error = io::Error::other("its name is not UTF-8");
        file_error(partial, &error)
    })?;
    db.execute("VACUUM INTO ?1", [name])?;

    let copy = connection::open(partial)?; // in WAL mode, as an inbox is
    randomise_counter(&copy)?; // so that no log of the original matches it
    let found = query::inspect(&copy)?;
    if let Some(fault) = found.faults.first() {
        let error = io::Error::other(format!("the copy is damaged: {fault}"));
        return Err(file_error(partial, &error).into());
    }
    let rows: i64 = copy.query_row("SELECT count(*) FROM notification", [], |row| row.get(0))?;
    copy.close().map_err(|(_, error)| error)?;
    File::open(partial)
        .and_then(|file| file.sync_all())
        .map_err(|error| file_error(partial, &error))?;
    Ok(rows.cast_unsigned())
}

/// Removes a file and what SQLite keeps beside it: the log, its index, and the rollback journal.
/// SQLite would apply them to a new file of the same name.
pub(super) fn remove_with_sidecars(path: &Path) -> Result<(), InboxError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = path_beside(path, suffix);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error(&file, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn create_private(path: &Path) -> Result<(), InboxError> {
    connection::new_private_file(path).map_err(|error| file_error(path, &error))
}

/// Flushes the folder of `path`, so that the name survives a power cut.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(path)?;
    absolute
        .parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn file_error(path: &Path, error: &io::Error) -> InboxError {
    let path = path.display();
    InboxError::Unavailable(match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{path} already exists, and a backup overwrites nothing: name another file")
        }
        _ => format!("cannot write {path}: {error}"),
    })
}
