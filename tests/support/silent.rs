//! An inbox that never answers.

use std::{collections::BTreeSet, future::pending};

use pillarbox::{
    domain::{SourceName, Timestamp},
    inbox::{
        CasOutcome, InboxError, KvEntry, KvKey, LedgerEntry, PendingEvent, ReceiveInbox,
        ReconcileInbox, RecordOutcome,
    },
    senders::Entry,
};

/// Implements the methods that delivery, readers, operators and the audit trail call: the body of
/// each is `$answer`.
#[macro_export]
macro_rules! answer_unused_methods {
    ($inbox:ty, $answer:expr) => {
        const _: () = {
            use pillarbox::{
                domain::{Key, SourceName, Timestamp},
                inbox::*,
                senders::EventName,
            };

            impl DeliveryInbox for $inbox {
                async fn find_due(
                    &self,
                    _: &SourceFilter,
                    _: Timestamp,
                    _: usize,
                ) -> Result<Vec<Key>, InboxError> {
                    $answer
                }

                async fn claim(
                    &self,
                    _: &Key,
                    _: &Claim,
                ) -> Result<Option<(Row, Fence)>, InboxError> {
                    $answer
                }

                async fn claim_event(
                    &self,
                    _: &EventName,
                    _: &Key,
                    _: Timestamp,
                ) -> Result<EventClaim, InboxError> {
                    $answer
                }

                async fn mark(&self, _: &Fence, _: &Mark) -> Result<MarkOutcome, InboxError> {
                    $answer
                }

                async fn record_last_received(
                    &self,
                    _: &SourceName,
                    _: Timestamp,
                ) -> Result<(), InboxError> {
                    $answer
                }

                async fn pending_gauges(
                    &self,
                    _: Timestamp,
                    _: usize,
                ) -> Result<PendingGauges, InboxError> {
                    $answer
                }

                async fn silent_since(
                    &self,
                    _: &SourceName,
                    _: Timestamp,
                ) -> Result<Timestamp, InboxError> {
                    $answer
                }
            }

            impl ReadInbox for $inbox {
                async fn get(&self, _: &Key) -> Result<Option<Row>, InboxError> {
                    $answer
                }

                async fn list(&self, _: &RowFilter, _: PageRequest) -> Result<RowPage, InboxError> {
                    $answer
                }

                async fn summary(&self, _: &SummaryRequest) -> Result<InboxSummary, InboxError> {
                    $answer
                }
            }

            impl OperatorInbox for $inbox {
                async fn replay(&self, _: &Key, _: Timestamp) -> Result<ReplayOutcome, InboxError> {
                    $answer
                }

                async fn discard(
                    &self,
                    _: &Key,
                    _: &DiscardRequest,
                ) -> Result<DiscardOutcome, InboxError> {
                    $answer
                }

                async fn import(&self, _: &Row) -> Result<ImportOutcome, InboxError> {
                    $answer
                }

                async fn body_copies(&self, _: &Key) -> Result<Vec<BodyCopy>, InboxError> {
                    $answer
                }
            }

            impl AuditInbox for $inbox {
                async fn write_audit_entry(
                    &self,
                    _: &AuditEntry,
                    _: Timestamp,
                ) -> Result<(), InboxError> {
                    $answer
                }

                async fn audit_entries(
                    &self,
                    _: Option<Timestamp>,
                    _: usize,
                ) -> Result<Vec<AuditEntry>, InboxError> {
                    $answer
                }
            }
        };
    };
}

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

answer_unused_methods!(SilentInbox, pending().await);

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
