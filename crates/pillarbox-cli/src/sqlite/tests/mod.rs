//! Tests of what only this inbox has: its file, and a disk that fails.

mod search;
mod list;
mod schema;
mod read_only;
mod backup;
mod file;
mod pair;
mod lock;
mod damage;
mod erasure;
mod change;

use std::ops::Deref;

use tempfile::TempDir;

use super::*;
use pillarbox::senders::example::{NOW, pay};

/// An inbox in a temporary folder.
struct TempInbox {
    inbox: SqliteInbox,
    folder: TempDir,
}

impl TempInbox {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            inbox: SqliteInbox::create(&folder.path().join("inbox.db")).unwrap(),
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("inbox.db")
    }
}

impl Deref for TempInbox {
    type Target = SqliteInbox;
    fn deref(&self) -> &SqliteInbox {
        &self.inbox
    }
}

mod keeps_the_contract {
    use super::*;
    pillarbox::inbox_contract!(TempInbox::new());
}

fn paid(id: &str) -> Entry {
    pay(id, "payment", "card_payment_succeeded", NOW)
}

/// The summary at `now`, with counts up to 10,000.
async fn summary(inbox: &SqliteInbox, now: Timestamp) -> InboxSummary {
    let request = SummaryRequest {
        overdue_before: now,
        expired_before: now,
        limit: 10_000,
    };
    inbox.summary(&request).await.unwrap()
}

/// A copy of the file of an inbox with one row, in another folder.
async fn copied_inbox() -> (PathBuf, TempDir) {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let (file, folder) = (fresh.file(), TempDir::new().unwrap());
    drop(fresh.inbox);
    let copy = folder.path().join("a copy? 50%.db");
    std::fs::copy(file, &copy).unwrap();
    (copy, folder)
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}
