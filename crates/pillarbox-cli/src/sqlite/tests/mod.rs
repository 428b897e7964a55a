//! Tests of what only this inbox has: a file on a disk that can fail.

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

use std::{ops::Deref, time::Duration};

use tempfile::TempDir;

use super::*;
use pillarbox::{
    inbox::{Lease, LeaseId},
    senders::{
        SenderKind,
        example::{NOW, entry, pay},
    },
};

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

    /// Records a payment notification.
    async fn record_paid(&self, id: &str) -> RecordOutcome {
        self.record(&paid(id)).await.unwrap()
    }

    /// Why a payment notification is not recorded.
    async fn record_error(&self, id: &str) -> String {
        self.record(&paid(id)).await.unwrap_err().to_string()
    }

    /// Changes stored rows past the inbox. Returns how many.
    fn tamper(&self, sql: &str) -> usize {
        let db = Connection::open(self.file()).unwrap();
        db.execute(sql, []).unwrap()
    }

    fn count(&self, table: &str) -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        let db = Connection::open(self.file()).unwrap();
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
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

/// A notification of Pay with this body.
fn with_body(body: Vec<u8>) -> Entry {
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

/// Bytes that compression does not shorten.
pub(super) fn incompressible(words: u32) -> Vec<u8> {
    (0..words)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// A claim at [`NOW`] for 150 seconds.
fn claim() -> Claim {
    Claim {
        now: NOW,
        lease: Lease {
            id: LeaseId(1),
            until: NOW.plus(Duration::from_secs(150)),
        },
        first_backoff: Duration::from_secs(5),
    }
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
