//! The inbox in one local file: SQLite, with every change flushed to disk before it is reported as
//! done.
//!
//! All changes go through one writer, so that concurrent requests share a flush. Reads have a
//! separate connection and never wait for the writer.

mod audit;
mod backup;
mod change;
mod checkpoint;
mod columns;
mod connection;
mod expiry;
mod import;
mod lock;
mod pair;
mod query;
mod restore;
mod schema;
mod search;
mod summary;
#[cfg(feature = "test-support")]
mod test_support;
mod wal;
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
use pair::FilePair;
use pillarbox::{
    domain::{Key, SourceName, Timestamp},
    inbox::{
        AuditEntry, AuditInbox, BodyCopy, CasOutcome, Claim, DeliveryInbox, DiscardOutcome,
        DiscardRequest, EventClaim, Fence, ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey,
        LedgerEntry, Mark, MarkOutcome, OperatorInbox, PageRequest, PendingEvent, PendingGauges,
        ReadInbox, ReceiveInbox, ReconcileInbox, RecordOutcome, ReplayOutcome, Row, RowFilter,
        RowPage, SourceFilter, StoredBody, SummaryRequest, SweepStatus, record_sweep, silent_since,
    },
    senders::{Entry, EventName},
};
use writer::{
    CheckedConnection, SqliteWriter,
    WritePriority::{self, Background, Interactive},
};

pub use backup::{partial_path, sync_folder};
pub use expiry::PurgedBatch;
pub use lock::{LockError, ServeLock};
pub use query::{ArrivalCount, FileInspection};
pub use restore::{RestoreError, RestoredInbox, restore};
pub use search::FoundInFile;
#[cfg(feature = "test-support")]
pub use test_support::{AnyColumn, ColumnReader};

/// The inbox of one machine.
///
/// Dropping it completes the queued changes.
pub struct SqliteInbox {
    path: PathBuf,
    /// `None` if the inbox is open for reading only.
    writer: Option<SqliteWriter>,
    reader: Arc<Mutex<CheckedConnection>>,
    /// The last field, so that it outlives the connections.
    _lock: Option<ServeLock>,
}

impl SqliteInbox {
    /// Opens the file at `path`, creates it if it is missing, and updates its schema.
    ///
    /// Fails if the log beside it belongs to another file.
    pub fn create(path: &Path) -> Result<Self, InboxError> {
        connection::create_private(path)?;
        connection::roll_back(path)?;
        if FilePair::open(path)?.is_empty() {
            connection::write_first_page(path)?;
        }
        let pair = Arc::new(FilePair::open(path)?);
        let mut connection = connection::open(path)?;
        schema::migrate(&mut connection)
            .map_err(|error| connection::unavailable_at(path, &error))?;
        Self::start(&pair)
    }

    /// Opens the file at `path` as [`create`](Self::create) does, for the `serve` that has the
    /// lock.
    pub fn create_locked(path: &Path, mut lock: ServeLock) -> Result<Self, InboxError> {
        let locked = |error: LockError| InboxError::Unavailable(error.to_string());
        let inbox = Self::create(path)?;
        lock.acquire_file().map_err(locked)?;
        Ok(Self {
            _lock: Some(lock),
            ..inbox
        })
    }

    /// Opens the file at `path`, which must exist and have a schema that this program knows.
    pub fn open(path: &Path) -> Result<Self, InboxError> {
        require_file(path)?;
        Self::create(path)
    }

    /// Opens the file at `path` for reading only, also for a user without permission to write.
    /// Every change fails.
    pub fn open_read_only(path: &Path) -> Result<Self, InboxError> {
        require_file(path)?;
        Ok(Self {
            path: path.to_owned(),
            writer: None,
            reader: Arc::new(Mutex::new(CheckedConnection::open_read_only(path)?)),
            _lock: None,
        })
    }

    fn start(pair: &Arc<FilePair>) -> Result<Self, InboxError> {
        let reader = CheckedConnection::open(Arc::clone(pair))?;
        Ok(Self {
            path: pair.path().to_owned(),
            writer: Some(SqliteWriter::start(pair)?),
            reader: Arc::new(Mutex::new(reader)),
            _lock: None,
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Releases every lease. For the `serve` that has the lock, when it starts: the processes that
    /// held the leases have ended.
    pub async fn release_leases(&self) -> Result<usize, InboxError> {
        self.change(Background, change::release_leases).await
    }

    /// Removes at most `limit` rows, `limit` ledger entries and `limit` audit entries that expired
    /// before `now`.
    pub async fn purge(&self, now: Timestamp, limit: usize) -> Result<PurgedBatch, InboxError> {
        self.change(Background, move |db| change::purge(db, now, limit))
            .await
    }

    /// Copies the log into the file and empties it, so that erased bytes are in neither.
    async fn empty_log(&self) -> Result<(), InboxError> {
        if self.read(checkpoint::empty_log).await? {
            return Ok(());
        }
        Err(InboxError::Unavailable(format!(
            "the bytes are erased in the file, and its log {}-wal still has them, because another \
             process reads it: stop that process, and run the same command again",
            self.path.display()
        )))
    }

    /// One page of a list, which ends after `examined` rows, so that other reads do not wait long.
    /// A page that is not full may have a next page.
    pub async fn list_within(
        &self,
        filter: &RowFilter,
        page: PageRequest,
        examined: u32,
    ) -> Result<RowPage, InboxError> {
        let filter = filter.clone();
        self.read(move |db| query::list(db, &filter, &page, Some(examined)))
            .await
    }

    /// The keys that begin with `prefix`, in order, at most `limit`.
    pub async fn keys_with_prefix(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        let prefix = prefix.to_owned();
        self.read(move |db| query::keys_with_prefix(db, &prefix, limit))
            .await
    }

    /// How many notifications arrived from each of `bounds`, in order, to the next.
    pub async fn arrivals(&self, bounds: Vec<Timestamp>) -> Result<Vec<ArrivalCount>, InboxError> {
        self.read(move |db| query::arrivals(db, &bounds)).await
    }

    /// Checks the whole file.
    pub async fn inspect(&self) -> Result<FileInspection, InboxError> {
        self.read(query::inspect).await
    }

    /// Writes a consistent copy to `target`, which must not exist, while other processes may change
    /// the file. Returns the number of rows in it.
    pub async fn backup(&self, target: &Path) -> Result<u64, InboxError> {
        let target = target.to_owned();
        self.read(move |db| backup::backup(db, &target)).await
    }

    async fn change<T, F>(&self, priority: WritePriority, work: F) -> Result<T, InboxError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, connection::SqliteError> + Send + 'static,
    {
        let writer = self.writer.as_ref().ok_or_else(|| {
            InboxError::Unavailable("the inbox is open for reading only".to_owned())
        })?;
        writer.change(priority, work).await
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
        done.map_err(|_| InboxError::Unavailable("a read was cancelled".to_owned()))?
            .map_err(InboxError::from)
    }
}

fn require_file(path: &Path) -> Result<(), InboxError> {
    if path.exists() {
        return Ok(());
    }
    Err(InboxError::Unavailable(format!(
        "there is no inbox at {}: start `pillarbox serve` or run `pillarbox inbox init`",
        path.display()
    )))
}

impl ReceiveInbox for SqliteInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        let insert = PreparedInsert::new(entry);
        self.change(Interactive, move |db| change::record(db, &insert))
            .await
    }

    /// Makes an empty change: the writer checks its file, and flushes nothing.
    async fn probe(&self) -> Result<(), InboxError> {
        self.change(Interactive, |_| Ok(())).await
    }
}

impl DeliveryInbox for SqliteInbox {
    async fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        let sources = sources.clone();
        self.read(move |db| query::find_due(db, &sources, now, limit))
            .await
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        let (key, claim) = (key.clone(), *claim);
        let claimed = self
            .change(Background, move |db| change::claim(db, &key, &claim))
            .await?;
        Ok(claimed.map(PackedRow::unpack_for_attempt).map(|row| {
            let fence = Fence {
                key: row.key.clone(),
                attempt: row.attempts,
                lease: claim.lease.id,
                parts: None,
                history: row.history.clone(),
            };
            (row, fence)
        }))
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        let (event, key) = (event.clone(), key.clone());
        self.change(Background, move |db| {
            change::claim_event(db, &event, &key, expires_at)
        })
        .await
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        let (fence, mark) = (fence.clone(), mark.clone());
        self.change(Background, move |db| change::mark(db, &fence, &mark))
            .await
    }

    async fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> Result<(), InboxError> {
        let source = source.clone();
        self.change(Background, move |db| {
            change::record_last_received(db, &source, at)
        })
        .await
    }

    async fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> Result<PendingGauges, InboxError> {
        self.read(move |db| query::pending_gauges(db, open_before, limit))
            .await
    }

    async fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> Result<Timestamp, InboxError> {
        silent_since(self, source, now).await
    }

    async fn record_sweep(&self, status: &SweepStatus, version: u64) -> Result<(), InboxError> {
        record_sweep(self, status, version).await
    }
}

impl ReconcileInbox for SqliteInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        let (source, subject) = (source.clone(), subject.to_owned());
        self.read(move |db| query::ledger_entries(db, &source, &subject))
            .await
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        let (source, subjects) = (source.clone(), subjects.clone());
        self.read(move |db| query::pending_events(db, &source, &subjects))
            .await
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        let source = source.clone();
        self.read(move |db| query::last_received(db, &source)).await
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        let key = key.clone();
        self.read(move |db| query::kv_get(db, &key)).await
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        let key = key.clone();
        let next = next.clone();
        self.change(Background, move |db| {
            change::compare_and_swap(db, &key, expected_version, &next)
        })
        .await
    }
}

impl ReadInbox for SqliteInbox {
    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        let key = key.clone();
        self.read(move |db| query::get(db, &key))
            .await?
            .map(PackedRow::unpack)
            .transpose()
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        let filter = filter.clone();
        self.read(move |db| query::list(db, &filter, &page, None))
            .await
    }

    async fn summary(&self, request: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        let request = *request;
        self.read(move |db| summary::summary(db, &request)).await
    }
}

impl OperatorInbox for SqliteInbox {
    async fn replay(&self, key: &Key, now: Timestamp) -> Result<ReplayOutcome, InboxError> {
        let key = key.clone();
        self.change(Background, move |db| change::replay(db, &key, now))
            .await
    }

    async fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> Result<DiscardOutcome, InboxError> {
        let (key, request) = (key.clone(), *request);
        let discarded = self
            .change(Background, move |db| change::discard(db, &key, &request))
            .await?;
        if request.erase {
            self.empty_log().await?;
        }
        Ok(discarded)
    }

    async fn import(&self, row: &Row) -> Result<ImportOutcome, InboxError> {
        let (row, body) = (row.clone(), row.body.as_ref().map(StoredBody::pack));
        self.change(Background, move |db| {
            import::import(db, &row, body.as_ref())
        })
        .await
    }

    async fn body_copies(&self, key: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        let key = key.clone();
        self.read(move |db| query::body_copies(db, &key)).await
    }
}

impl AuditInbox for SqliteInbox {
    async fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        expires_at: Timestamp,
    ) -> Result<(), InboxError> {
        let entry = entry.clone();
        self.change(Background, move |db| audit::write(db, &entry, expires_at))
            .await
    }

    async fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        self.read(move |db| audit::entries(db, since, limit)).await
    }
}
