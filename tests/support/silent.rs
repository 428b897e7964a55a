//! An inbox that never answers.

use std::{collections::BTreeSet, future::pending};

use pillarbox::{
    domain::{Key, SourceName, Timestamp},
    inbox::{
        AuditEntry, AuditInbox, BodyCopy, CasOutcome, Claim, DeliveryInbox, DiscardOutcome,
        DiscardRequest, EventClaim, Fence, ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey,
        LedgerEntry, Mark, MarkOutcome, OperatorInbox, PageRequest, PendingEvent, PendingGauges,
        ReadInbox, ReceiveInbox, ReconcileInbox, RecordOutcome, ReplayOutcome, Row, RowFilter,
        RowPage, SourceFilter, SummaryRequest,
    },
    senders::{Entry, EventName},
};

/// An inbox that never answers, and panics when `hmrc:bug` is recorded.
pub struct SilentInbox;

impl ReceiveInbox for SilentInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        let body = String::from_utf8_lossy(&entry.body);
        assert!(entry.key.as_str() != "hmrc:bug", "{body}");
        pending().await
    }

    async fn probe(&self) -> Result<(), InboxError> {
        pending().await
    }
}

impl DeliveryInbox for SilentInbox {
    async fn find_due(
        &self,
        _: &SourceFilter,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<Key>, InboxError> {
        pending().await
    }

    async fn claim(&self, _: &Key, _: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        pending().await
    }

    async fn claim_event(
        &self,
        _: &EventName,
        _: &Key,
        _: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        pending().await
    }

    async fn mark(&self, _: &Fence, _: &Mark) -> Result<MarkOutcome, InboxError> {
        pending().await
    }

    async fn record_last_received(&self, _: &SourceName, _: Timestamp) -> Result<(), InboxError> {
        pending().await
    }

    async fn pending_gauges(&self, _: Timestamp, _: usize) -> Result<PendingGauges, InboxError> {
        pending().await
    }

    async fn silent_since(&self, _: &SourceName, _: Timestamp) -> Result<Timestamp, InboxError> {
        pending().await
    }
}

impl ReconcileInbox for SilentInbox {
    async fn ledger_entries(
        &self,
        _: &SourceName,
        _: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        pending().await
    }

    async fn pending_events(
        &self,
        _: &SourceName,
        _: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        pending().await
    }

    async fn last_received(&self, _: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        pending().await
    }

    async fn kv_get(&self, _: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        pending().await
    }

    async fn compare_and_swap(
        &self,
        _: &KvKey,
        _: Option<u64>,
        _: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        pending().await
    }
}

impl ReadInbox for SilentInbox {
    async fn get(&self, _: &Key) -> Result<Option<Row>, InboxError> {
        pending().await
    }

    async fn list(&self, _: &RowFilter, _: PageRequest) -> Result<RowPage, InboxError> {
        pending().await
    }

    async fn summary(&self, _: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        pending().await
    }
}

impl OperatorInbox for SilentInbox {
    async fn replay(&self, _: &Key, _: Timestamp) -> Result<ReplayOutcome, InboxError> {
        pending().await
    }

    async fn discard(&self, _: &Key, _: &DiscardRequest) -> Result<DiscardOutcome, InboxError> {
        pending().await
    }

    async fn import(&self, _: &Row) -> Result<ImportOutcome, InboxError> {
        pending().await
    }

    async fn body_copies(&self, _: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        pending().await
    }
}

impl AuditInbox for SilentInbox {
    async fn write_audit_entry(&self, _: &AuditEntry, _: Timestamp) -> Result<(), InboxError> {
        pending().await
    }

    async fn audit_entries(
        &self,
        _: Option<Timestamp>,
        _: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        pending().await
    }
}
