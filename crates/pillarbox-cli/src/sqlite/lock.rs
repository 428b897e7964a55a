//! The lock that allows one `serve` at a time: it releases every lease when it starts, so no other
//! may be running.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::connection::beside;

/// Held as long as a `serve` runs on a file. The operating system releases it when the process
/// ends.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

/// Why the lock cannot be acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another `serve` holds it.
    #[error("another `pillarbox serve` is running on {0}: stop it first, or use another --inbox")]
    Taken(PathBuf),
    /// The lock file cannot be opened.
    #[error("cannot open the lock file {0}: {1}")]
    File(PathBuf, io::Error),
}

impl ServeLock {
    /// Acquires the lock of the inbox file at `path`, in a file beside it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let lock_path = beside(path, ".lock");
        let file_error = |error| LockError::File(lock_path.clone(), error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(file_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(file_error(error)),
        }
    }
}
