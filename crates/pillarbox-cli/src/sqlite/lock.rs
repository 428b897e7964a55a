//! The lock that allows one `serve` at a time: it releases every lease when it starts, so no other
//! may be running.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
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
        let lock_path = lock_path(path);
        let file_error = |error| LockError::File(lock_path.clone(), error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(file_error)?;
        let taken = file.try_lock().or_else(|_| {
            std::thread::sleep(PROBE); // `is_held` may have it for a moment
            file.try_lock()
        });
        match taken {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(file_error(error)),
        }
    }

    /// Whether a `serve` runs on the inbox file at `path`. Nothing is made or changed.
    pub fn is_held(path: &Path) -> bool {
        File::open(lock_path(path))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// Longer than `is_held` takes.
const PROBE: Duration = Duration::from_millis(50);

fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}
