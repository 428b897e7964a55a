//! A file lock that allows one `serve` at a time. A `serve` releases every lease when it starts, so
//! no other `serve` must be running.
//!
//! A file can have several names, and a name can later belong to another file. So there are two
//! locks: one on the inbox file itself, whatever its names, and one on a file beside it, for the
//! name that symbolic links resolve to.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::connection::path_beside;

/// Held while a `serve` runs on a file. The operating system releases it when the process
/// ends.
#[derive(Debug)]
pub struct ServeLock {
    path: PathBuf,
    /// The lock on the file beside the inbox.
    _name: File,
    /// The lock on the inbox file, once it exists. Closing it releases SQLite's locks on the file,
    /// so it outlives every connection.
    file: Option<File>,
}

/// Why the lock cannot be acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another `serve` holds it.
    #[error("another `pillarbox serve` is running on {0}: stop it first, or use another --inbox")]
    Held(PathBuf),
    /// The lock file cannot be opened.
    #[error("cannot open the lock file {0}: {1}")]
    File(PathBuf, io::Error),
}

impl ServeLock {
    /// Acquires the lock of the inbox file at `path`, which need not exist yet.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let lock_path = lock_path(path);
        let name = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| LockError::File(lock_path.clone(), error))?;
        lock_file(&name, path, &lock_path)?;
        let mut lock = Self {
            path: path.to_owned(),
            _name: name,
            file: None,
        };
        lock.acquire_file()?;
        Ok(lock)
    }

    /// Acquires the lock on the inbox file itself, if the file exists by now.
    pub(super) fn acquire_file(&mut self) -> Result<(), LockError> {
        if !IS_APART_FROM_SQLITE || self.file.is_some() {
            return Ok(());
        }
        match File::open(&self.path) {
            Ok(file) => {
                lock_file(&file, &self.path, &self.path)?;
                self.file = Some(file);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(LockError::File(self.path.clone(), error)),
        }
    }

    /// Whether a `serve` has ever run on the inbox file at `path` under this name. A backup has
    /// never been served.
    pub fn has_been_held(path: &Path) -> bool {
        lock_path(path).exists()
    }

    /// Whether a `serve` runs on the inbox file at `path`. Creates and changes nothing.
    pub fn is_held(path: &Path) -> bool {
        let is_locked = |path: &Path| {
            File::open(path)
                .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
        };
        is_locked(&lock_path(path)) || IS_APART_FROM_SQLITE && is_locked(path)
    }
}

/// Whether this lock on a file and SQLite's locks on it are independent. Where they are not, the
/// inbox file is not locked, and a hard link to it goes unnoticed.
const IS_APART_FROM_SQLITE: bool = cfg!(target_os = "linux");

/// Longer than `is_held` takes.
const RETRY_DELAY: Duration = Duration::from_millis(50);

fn lock_file(file: &File, inbox: &Path, opened: &Path) -> Result<(), LockError> {
    let locked = file.try_lock().or_else(|_| {
        std::thread::sleep(RETRY_DELAY); // `is_held` may hold the lock for a moment
        file.try_lock()
    });
    match locked {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(LockError::Held(inbox.to_owned())),
        Err(TryLockError::Error(error)) => Err(LockError::File(opened.to_owned(), error)),
    }
}

/// The lock file, beside the file that symbolic links resolve to.
fn lock_path(path: &Path) -> PathBuf {
    path_beside(&real_path(path), ".lock")
}

/// The path without symbolic links, as far as it exists.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::canonicalize(path)
        .or_else(|_| {
            let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
            Ok::<_, io::Error>(folder.join(path.file_name().unwrap_or_default()))
        })
        .unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn symbolic_links_are_resolved_as_far_as_the_path_exists() {
        let temporary = TempDir::new().unwrap();
        let root = fs::canonicalize(temporary.path()).unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        std::os::unix::fs::symlink(root.join("folder"), root.join("link")).unwrap();
        let file = root.join("folder/inbox.db");
        for _ in ["missing", "present"] {
            assert_eq!(real_path(&root.join("link/inbox.db")), file);
            fs::write(&file, "").unwrap();
        }
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(
            real_path(Path::new("no-such-inbox.db")),
            here.join("no-such-inbox.db")
        );
        let nowhere = root.join("nowhere/inbox.db");
        assert_eq!(real_path(&nowhere), nowhere);
    }

    #[test]
    fn a_released_lock_shows_that_a_serve_has_run() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("inbox.db");
        assert!(!ServeLock::has_been_held(&path));
        drop(ServeLock::acquire(&path).unwrap());
        assert!(ServeLock::has_been_held(&path) && !ServeLock::is_held(&path));
    }
}
