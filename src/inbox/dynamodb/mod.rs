//! The inbox in one DynamoDB table: every change is one conditional write of one item.
//!
//! A row is one item under its key. A body that is too long for its row is stored in separate
//! items, which are written before the row. A sparse index lists the open, dead and held rows. The
//! keys of all other items begin with `~`.
//!
//! If the reply to a write is lost, the SDK sends the write again and its condition fails. The
//! failed condition returns the stored item, which shows that the first write succeeded.

mod audit;
mod change;
mod claim;
mod client;
mod error;
mod import;
mod intents;
mod item;
mod ledger;
mod list;
mod kv;
mod names;
mod parts;
mod operator;
mod preflight;
mod query;
mod record;
mod summary;
pub mod table;
#[cfg(any(test, feature = "test-support"))]
mod test_support;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;

use super::{
    AuditEntry, AuditInbox, BodyCopy, CasOutcome, Claim, DeliveryInbox, DiscardOutcome,
    DiscardRequest, EventClaim, Fence, ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey,
    LedgerEntry, Mark, MarkOutcome, OperatorInbox, PageRequest, PendingEvent, PendingGauges,
    ReadInbox, ReceiveInbox, ReconcileInbox, RecordOutcome, ReplayOutcome, Row, RowFilter, RowPage,
    SourceFilter, SummaryRequest, SweepStatus,
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{Entry, EventName},
};

pub use list::{ListStrategy, ScanPosition};
pub use preflight::{MAX_CLOCK_DIFFERENCE, PreflightError};
#[cfg(any(test, feature = "test-support"))]
pub use test_support::{AnyAttribute, read_any};

/// The stream delivers a new row within seconds. The sweep delivers it after this time.
const FIRST_DUE: Duration = Duration::from_secs(2 * 60);

/// The settings of a [`DynamoInbox`].
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// The name of the table.
    pub table: String,
    /// The number of shards of each index partition.
    pub shards: u32,
    /// The time after which the sweep finds a new row, if the stream has not delivered it.
    pub first_due: Duration,
    /// How long a finished row is kept. Ledgers and separate items of bodies are kept a week
    /// longer.
    pub retention: Duration,
}

impl TableSettings {
    /// The settings of a table whose new rows a stream delivers first.
    pub fn new(table: &str, shards: u32, retention: Duration) -> Self {
        Self {
            table: table.to_owned(),
            shards,
            first_due: FIRST_DUE,
            retention,
        }
    }
}

/// An inbox that any number of processes can share.
#[derive(Clone)]
pub struct DynamoInbox {
    client: Client,
    settings: Arc<TableSettings>,
    progress: Option<Arc<dyn Fn(ScanPosition) + Send + Sync>>,
}

impl DynamoInbox {
    /// An inbox in the table that `settings` names. Sends no request.
    pub fn new(sdk: &SdkConfig, settings: TableSettings) -> Self {
        Self {
            client: client::new(sdk),
            settings: Arc::new(settings),
            progress: None,
        }
    }

    /// The same inbox, with a callback after every page of a scan.
    pub fn with_scan_progress(
        self,
        progress: impl Fn(ScanPosition) + Send + Sync + 'static,
    ) -> Self {
        Self {
            progress: Some(Arc::new(progress)),
            ..self
        }
    }

    /// Opens the connection, so that the first notification does not wait for it.
    pub async fn warm(&self) -> Result<(), InboxError> {
        self.read_nothing(client::long_timeouts()).await
    }

    /// Reads an item that does not exist.
    async fn read_nothing(
        &self,
        timeouts: aws_sdk_dynamodb::config::Builder,
    ) -> Result<(), InboxError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.settings.table)
            .key(names::PK, names::text(names::WARM));
        let read = read.customize().config_override(timeouts);
        read.send()
            .await
            .map_err(|error| self.failed("GetItem", &error))?;
        Ok(())
    }

    /// At most `limit` keys of open, dead and held rows that begin with `prefix`.
    pub async fn pending_keys_with_prefix(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        query::pending_keys_with_prefix(self, prefix, limit).await
    }

    /// Which part of the table [`ReadInbox::list`] reads for `filter`.
    pub async fn list_strategy(&self, filter: &RowFilter) -> Result<ListStrategy, InboxError> {
        list::strategy(self, filter).await
    }
}

impl ReceiveInbox for DynamoInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        record::record(self, entry).await
    }

    async fn probe(&self) -> Result<(), InboxError> {
        self.read_nothing(aws_sdk_dynamodb::config::Builder::new())
            .await
    }
}

impl DeliveryInbox for DynamoInbox {
    async fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        query::find_due(self, sources, now, limit).await
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        claim::claim(self, key, claim).await
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        ledger::claim_event(self, event, key, expires_at).await
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        claim::mark(self, fence, mark).await
    }

    async fn settle_bodies(&self, now: Timestamp, limit: usize) -> Result<usize, InboxError> {
        intents::settle_due(self, now, limit).await
    }

    async fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> Result<(), InboxError> {
        ledger::record_last_received(self, source, at).await
    }

    async fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> Result<PendingGauges, InboxError> {
        query::pending_gauges(self, open_before, limit).await
    }

    async fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> Result<Timestamp, InboxError> {
        super::silent_since(self, source, now).await
    }

    async fn record_sweep(&self, status: &SweepStatus, version: u64) -> Result<(), InboxError> {
        super::record_sweep(self, status, version).await
    }
}

impl ReconcileInbox for DynamoInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        Ok(ledger::entries(self, source.as_str(), subject)
            .await?
            .unwrap_or_default())
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        query::pending_events(self, source, subjects).await
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        ledger::last_received(self, source).await
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        kv::get(self, key).await
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        kv::compare_and_swap(self, key, expected_version, next).await
    }
}

impl ReadInbox for DynamoInbox {
    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        query::get(self, key).await
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        list::list(self, filter, &page).await
    }

    async fn summary(&self, request: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        summary::summary(self, request).await
    }
}

impl OperatorInbox for DynamoInbox {
    async fn replay(&self, key: &Key, now: Timestamp) -> Result<ReplayOutcome, InboxError> {
        operator::replay(self, key, now).await
    }

    async fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> Result<DiscardOutcome, InboxError> {
        operator::discard(self, key, request).await
    }

    async fn import(&self, row: &Row) -> Result<ImportOutcome, InboxError> {
        import::import(self, row).await
    }

    async fn body_copies(&self, key: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        operator::body_copies(self, key).await
    }
}

impl AuditInbox for DynamoInbox {
    async fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        expires_at: Timestamp,
    ) -> Result<(), InboxError> {
        audit::write(self, entry, expires_at).await
    }

    async fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        audit::entries(self, since, limit).await
    }
}
