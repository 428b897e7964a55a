//! One `serve` at a time: it releases every lease when it starts, so there must be no other.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Held for as long as a `serve` runs on a file. The system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

/// Why a `serve` can't have the file.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one has it.
    #[error(
        "another `pillarbox serve` is running on {0}: end it first, or give this one another --inbox"
    )]
    Taken(PathBuf),
    /// The lock file can't be made.
    #[error("the lock file {0} can't be made: {1}")]
    File(PathBuf, io::Error),
}

impl ServeLock {
    /// Takes the lock beside the inbox file at `path`.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let failed = |error| LockError::File(beside.clone(), error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&beside)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
