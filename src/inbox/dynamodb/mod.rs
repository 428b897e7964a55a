//! The inbox in one table of DynamoDB: every change is one conditional write of one item.
//!
//! A row is one item under its key. What is too long for it lies in items of its own, written before
//! it; one sparse index lists what still waits for someone. Items that are no rows begin with `~`.

mod change;
mod claim;
mod client;
mod error;
mod item;
mod ledger;
mod list;
mod kv;
mod names;
mod parts;
mod person;
mod query;
mod record;
pub mod table;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;

use super::{
    CasOutcome, Claim, Discarded, EventClaim, Fence, Inbox, InboxError, KvEntry, KvKey,
    LedgerEntry, Mark, Marked, PageRequest, PendingEvent, Recorded, Replayed, Row, RowFilter,
    RowPage, SourceFilter,
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{Entry, EventName},
};

pub use list::{ListStrategy, ScanPosition};
pub use query::PendingIndex;

/// What a table is used with.
#[derive(Clone, Debug)]
pub struct TableSettings {
    /// Its name.
    pub table: String,
    /// How many shards its index is spread over.
    pub shards: u32,
    /// How long after it was recorded a row falls due by itself, if nobody took it up before.
    pub first_due: Duration,
    /// How long a finished row is kept; a body in items of its own stays a week longer.
    pub retention: Duration,
}

/// The inbox of any number of processes.
#[derive(Clone)]
pub struct DynamoInbox {
    client: Client,
    settings: Arc<TableSettings>,
    progress: Option<Arc<dyn Fn(ScanPosition) + Send + Sync>>,
}

impl DynamoInbox {
    /// The inbox in the table that `settings` name. Nothing is sent before it is used.
    pub fn new(sdk: &SdkConfig, settings: TableSettings) -> Self {
        Self {
            client: client::new(sdk),
            settings: Arc::new(settings),
            progress: None,
        }
    }

    /// The same inbox, telling `progress` how far a scan of the whole table is.
    pub fn telling(self, progress: impl Fn(ScanPosition) + Send + Sync + 'static) -> Self {
        Self {
            progress: Some(Arc::new(progress)),
            ..self
        }
    }

    /// Opens the connection, so that the first notification doesn't wait for it.
    pub async fn warm(&self) -> Result<(), InboxError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.settings.table)
            .key(names::PK, names::text(names::WARM));
        let patient = read.customize().config_override(client::patient());
        patient
            .send()
            .await
            .map_err(|error| self.failed("GetItem", &error))?;
        Ok(())
    }

    /// What still waits for someone, shelf by shelf.
    pub async fn shelves(&self) -> Result<Vec<PendingIndex>, InboxError> {
        query::shelves(self).await
    }

    /// How `filter` will be answered: from the index, a ledger, or the whole table.
    pub async fn way(&self, filter: &RowFilter) -> Result<ListStrategy, InboxError> {
        list::way(self, filter).await
    }
}

impl Inbox for DynamoInbox {
    async fn record(&self, entry: &Entry) -> Result<Recorded, InboxError> {
        record::record(self, entry).await
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        claim::claim(self, key, claim).await
    }

    async fn own(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        ledger::own(self, event, key, expires_at).await
    }

    async fn events(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        Ok(ledger::events(self, source.as_str(), subject)
            .await?
            .unwrap_or_default())
    }

    async fn unfinished(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        query::unfinished(self, source, subjects).await
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<Marked, InboxError> {
        claim::mark(self, fence, mark).await
    }

    async fn due(
        &self,
        whose: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        query::due(self, whose, now, limit).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        query::get(self, key).await
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        list::list(self, filter, &page).await
    }

    async fn replay(&self, key: &Key, now: Timestamp) -> Result<Replayed, InboxError> {
        person::replay(self, key, now).await
    }

    async fn discard(
        &self,
        key: &Key,
        erase: bool,
        expires_at: Timestamp,
    ) -> Result<Discarded, InboxError> {
        person::discard(self, key, erase, expires_at).await
    }

    async fn heard(&self, source: &SourceName, at: Timestamp) -> Result<(), InboxError> {
        ledger::heard(self, source, at).await
    }

    async fn last_heard(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        ledger::last_heard(self, source).await
    }

    async fn memo(&self, name: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        kv::memo(self, name).await
    }

    async fn swap_memo(
        &self,
        name: &KvKey,
        seen: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        kv::swap(self, name, seen, next).await
    }
}
