//! What an inbox file holds, read from a copy, so that reading changes nothing that the next
//! process finds.

use std::{fs, io, path::Path};

use pillarbox::inbox::ReadInbox;
use pillarbox_cli::sqlite::SqliteInbox;
use tempfile::TempDir;

/// A copy of an inbox and the folder that it is in.
pub struct SqliteCopy {
    inbox: SqliteInbox,
    _folder: TempDir,
}

impl SqliteCopy {
    /// Copies the file and its log. No process may have it open. `None` if there is none yet.
    pub fn of(folder: &Path) -> Option<Self> {
        let copy = tempfile::tempdir().unwrap();
        let mut is_there = false;
        for name in ["inbox.db", "inbox.db-wal"] {
            match fs::copy(folder.join(name), copy.path().join(name)) {
                Ok(_) => is_there = true,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}"),
            }
        }
        is_there.then(|| Self {
            inbox: SqliteInbox::create(&copy.path().join("inbox.db")).unwrap(),
            _folder: copy,
        })
    }

    pub fn inbox(&self) -> &impl ReadInbox {
        &self.inbox
    }
}
