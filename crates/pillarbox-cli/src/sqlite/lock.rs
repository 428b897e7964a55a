//! One `serve` at a time: it releases every lease when it starts, so there must be no other.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
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
        let beside = beside(path);
        let failed = |error| LockError::File(beside.clone(), error);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&beside)
            .map_err(failed)?;
        let taken = file.try_lock().or_else(|_| {
            std::thread::sleep(PROBE); // `is_held` may have it for a moment
            file.try_lock()
        });
        match taken {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether a `serve` runs on the inbox file at `path`. Nothing is made or changed.
    pub fn is_held(path: &Path) -> bool {
        File::open(beside(path))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// Longer than `is_held` takes.
const PROBE: Duration = Duration::from_millis(50);

fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    beside.into()
}
