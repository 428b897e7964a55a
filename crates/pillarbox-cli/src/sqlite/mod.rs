//! The inbox in one local file: SQLite, every change flushed to disk before it is reported done.
//!
//! All changes go through one writer, which lets concurrent requests share a flush.
//! Reads have a connection of their own and never wait for it.

mod change;
mod checkpoint;
mod columns;
mod connection;
mod lock;
mod query;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;

use change::PreparedInsert;
use columns::PackedRow;
use pillarbox::{
    domain::{Key, SourceName, Timestamp},
    inbox::{
        CasOutcome, Claim, Discarded, EventClaim, Fence, Inbox, InboxError, KvEntry, KvKey,
        LedgerEntry, Mark, Marked, PageRequest, PendingEvent, Recorded, Replayed, Row, RowFilter,
        RowPage, SourceFilter,
    },
    senders::{Entry, EventName},
};
use writer::{SqliteWriter, WritePriority, WriterConnection};

pub use lock::{LockError, ServeLock};
pub use query::{FileInspection, PendingIndex};

/// The inbox of one machine.
///
/// Dropping it finishes the changes already asked for.
pub struct SqliteInbox {
    path: PathBuf,
    writer: SqliteWriter,
    reader: Arc<Mutex<WriterConnection>>,
}

impl SqliteInbox {
    /// Opens the file at `path`, makes it if there is none, and brings its schema up to date.
    pub fn create(path: &Path) -> Result<Self, InboxError> {
        let mut connection = connection::open(path, connection::IfMissing::Make)?;
        schema::migrate(&mut connection).map_err(|error| connection::unavailable(&error))?;
        Self::over(path)
    }

    /// Opens the file at `path`, which must be there with a schema this program knows.
    pub fn open(path: &Path) -> Result<Self, InboxError> {
        if !path.exists() {
            return Err(InboxError::Unavailable(format!(
                "there is no inbox at {}: start `pillarbox serve` or run `pillarbox inbox init`",
                path.display()
            )));
        }
        Self::create(path)
    }

    fn over(path: &Path) -> Result<Self, InboxError> {
        let (writer, reader) = (SqliteWriter::start(path)?, WriterConnection::open(path)?);
        Ok(Self {
            path: path.to_owned(),
            writer,
            reader: Arc::new(Mutex::new(reader)),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Releases every lease. For the one `serve` that has the file, when it starts: whoever held
    /// them is gone.
    pub async fn release_leases(&self) -> Result<usize, InboxError> {
        self.writer
            .change(WritePriority::Later, change::release_leases)
            .await
    }

    /// Removes at most `limit` rows and `limit` ledger entries that expired before `now`.
    pub async fn purge(&self, now: Timestamp, limit: usize) -> Result<usize, InboxError> {
        self.writer
            .change(WritePriority::Later, move |db| {
                change::purge(db, now, limit)
            })
            .await
    }

    /// What still waits for someone, shelf by shelf.
    pub async fn shelves(&self) -> Result<Vec<PendingIndex>, InboxError> {
        self.read(query::shelves).await
    }

    /// Reads the whole file and says how it is kept and whether it is sound.
    pub async fn inspect(&self) -> Result<FileInspection, InboxError> {
        self.read(query::inspect).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, connection::SqliteError> + Send + 'static,
    ) -> Result<T, InboxError> {
        let reader = Arc::clone(&self.reader);
        let run = move || {
            reader
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .read(work)
        };
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|_| InboxError::Unavailable("a read was cut short".to_owned()))?
            .map_err(InboxError::from)
    }
}

impl Inbox for SqliteInbox {
    async fn record(&self, entry: &Entry) -> Result<Recorded, InboxError> {
        let insert = PreparedInsert::of(entry);
        self.writer
            .change(WritePriority::Now, move |db| change::record(db, &insert))
            .await
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        let (key, claim) = (key.clone(), *claim);
        let claimed = self
            .writer
            .change(WritePriority::Later, move |db| {
                change::claim(db, &key, &claim)
            })
            .await?;
        Ok(claimed.map(PackedRow::unpack_for_work).map(|row| {
            let fence = Fence {
                key: row.key.clone(),
                attempt: row.attempts,
                lease: claim.lease.id,
                parts: None,
            };
            (row, fence)
        }))
    }

    async fn own(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        let (event, key) = (event.clone(), key.clone());
        self.writer
            .change(WritePriority::Later, move |db| {
                change::own(db, &event, &key, expires_at)
            })
            .await
    }

    async fn events(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        let (source, subject) = (source.clone(), subject.to_owned());
        self.read(move |db| query::events(db, &source, &subject))
            .await
    }

    async fn unfinished(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        let (source, subjects) = (source.clone(), subjects.clone());
        self.read(move |db| query::unfinished(db, &source, &subjects))
            .await
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<Marked, InboxError> {
        let (fence, mark) = (fence.clone(), mark.clone());
        self.writer
            .change(WritePriority::Later, move |db| {
                change::mark(db, &fence, &mark)
            })
            .await
    }

    async fn due(
        &self,
        whose: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        let whose = whose.clone();
        self.read(move |db| query::due(db, &whose, now, limit))
            .await
    }

    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        let key = key.clone();
        self.read(move |db| query::get(db, &key))
            .await?
            .map(PackedRow::unpack)
            .transpose()
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        let filter = filter.clone();
        self.read(move |db| query::list(db, &filter, &page)).await
    }

    async fn replay(&self, key: &Key, now: Timestamp) -> Result<Replayed, InboxError> {
        let key = key.clone();
        self.writer
            .change(WritePriority::Later, move |db| {
                change::replay(db, &key, now)
            })
            .await
    }

    async fn discard(
        &self,
        key: &Key,
        erase: bool,
        expires_at: Timestamp,
    ) -> Result<Discarded, InboxError> {
        let key = key.clone();
        let discarded = self
            .writer
            .change(WritePriority::Later, move |db| {
                change::discard(db, &key, erase, expires_at)
            })
            .await?;
        if erase {
            self.read(query::empty_log).await?; // it still holds the bytes
        }
        Ok(discarded)
    }

    async fn heard(&self, source: &SourceName, at: Timestamp) -> Result<(), InboxError> {
        let source = source.clone();
        self.writer
            .change(WritePriority::Later, move |db| {
                change::heard(db, &source, at)
            })
            .await
    }

    async fn last_heard(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        let source = source.clone();
        self.read(move |db| query::last_heard(db, &source)).await
    }

    async fn memo(&self, name: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        let name = name.clone();
        self.read(move |db| query::memo(db, &name)).await
    }

    async fn swap_memo(
        &self,
        name: &KvKey,
        seen: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        let (name, next) = (name.clone(), next.clone());
        self.writer
            .change(WritePriority::Later, move |db| {
                change::swap_memo(db, &name, seen, &next)
            })
            .await
    }
}
