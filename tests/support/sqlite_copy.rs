//! Reads an inbox file from a copy, so that the next process finds the file unchanged.

use std::{fs, io, path::Path};

use pillarbox::inbox::ReadInbox;
use pillarbox_cli::sqlite::SqliteInbox;
use tempfile::TempDir;

/// A copy of an inbox in its own folder.
pub struct SqliteCopy {
    inbox: SqliteInbox,
    _folder: TempDir,
}

impl SqliteCopy {
    /// Copies the file and its write-ahead log, which no process may have open. `None` if there is
    /// no file yet.
    pub fn of(folder: &Path) -> Option<Self> {
        let copy = tempfile::tempdir().unwrap();
        let mut exists = false;
        for name in ["inbox.db", "inbox.db-wal"] {
            match fs::copy(folder.join(name), copy.path().join(name)) {
                Ok(_) => exists = true,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}"),
            }
        }
        exists.then(|| Self {
            inbox: SqliteInbox::create(&copy.path().join("inbox.db")).unwrap(),
            _folder: copy,
        })
    }

    pub fn inbox(&self) -> &impl ReadInbox {
        &self.inbox
    }
}
