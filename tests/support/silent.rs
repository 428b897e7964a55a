//! An inbox that never answers.

use std::{collections::BTreeSet, future::pending};

use pillarbox::{
    domain::{Key, SourceName, Timestamp},
    inbox::{
        CasOutcome, Claim, Discarded, EventClaim, Fence, Inbox, InboxError, KvEntry, KvKey,
        LedgerEntry, Mark, Marked, PageRequest, PendingEvent, Recorded, Replayed, Row, RowFilter,
        RowPage, SourceFilter,
    },
    senders::{Entry, EventName},
};

/// An inbox that never answers, but for a bug it has where `hmrc:bug` is recorded.
pub(crate) struct Silent;

impl Inbox for Silent {
    async fn record(&self, entry: &Entry) -> Result<Recorded, InboxError> {
        let body = String::from_utf8_lossy(&entry.body);
        assert!(entry.key.as_str() != "hmrc:bug", "{body}");
        pending().await
    }
    async fn claim(&self, _: &Key, _: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        pending().await
    }
    async fn own(&self, _: &EventName, _: &Key, _: Timestamp) -> Result<EventClaim, InboxError> {
        pending().await
    }
    async fn events(&self, _: &SourceName, _: &str) -> Result<Vec<LedgerEntry>, InboxError> {
        pending().await
    }
    async fn unfinished(
        &self,
        _: &SourceName,
        _: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        pending().await
    }
    async fn mark(&self, _: &Fence, _: &Mark) -> Result<Marked, InboxError> {
        pending().await
    }
    async fn due(&self, _: &SourceFilter, _: Timestamp, _: usize) -> Result<Vec<Key>, InboxError> {
        pending().await
    }
    async fn get(&self, _: &Key) -> Result<Option<Row>, InboxError> {
        pending().await
    }
    async fn list(&self, _: &RowFilter, _: PageRequest) -> Result<RowPage, InboxError> {
        pending().await
    }
    async fn replay(&self, _: &Key, _: Timestamp) -> Result<Replayed, InboxError> {
        pending().await
    }
    async fn discard(&self, _: &Key, _: bool, _: Timestamp) -> Result<Discarded, InboxError> {
        pending().await
    }
    async fn heard(&self, _: &SourceName, _: Timestamp) -> Result<(), InboxError> {
        pending().await
    }
    async fn last_heard(&self, _: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        pending().await
    }
    async fn memo(&self, _: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        pending().await
    }
    async fn swap_memo(
        &self,
        _: &KvKey,
        _: Option<u64>,
        _: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        pending().await
    }
}
