//! The inbox that a command is configured to use.

use std::collections::BTreeSet;

use crate::{aws, sqlite::SqliteInbox};
use pillarbox::{
    aws::{AwsConfig, AwsError, AwsService},
    config::{Config, InboxConfig},
    domain::{Key, SourceName, Timestamp},
    inbox::{
        AuditEntry, AuditInbox, BodyCopy, CasOutcome, Claim, DeliveryInbox, DiscardOutcome,
        DiscardRequest, EventClaim, Fence, ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey,
        LedgerEntry, Mark, MarkOutcome, OperatorInbox, PageRequest, PendingEvent, PendingGauges,
        ReadInbox, ReceiveInbox, ReconcileInbox, RecordOutcome, ReplayOutcome, Row, RowFilter,
        RowPage, SourceFilter, SummaryRequest, SweepStatus,
        dynamodb::{DynamoInbox, TableSettings},
    },
    secrets::SecretSources,
    senders::{Entry, EventName},
};

/// The inbox of a command.
pub enum AnyInbox {
    /// One local file.
    Sqlite(SqliteInbox),
    /// A table on AWS.
    DynamoDb(DynamoInbox),
}

/// Why an inbox cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The inbox failed.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// AWS cannot be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// What a command may do with the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxAccess {
    /// Read it, and write nothing to a local file or its folder.
    Read,
    /// Change it.
    Change,
}

/// Opens the configured inbox; a local one must exist.
pub async fn open_inbox(
    config: &Config,
    access: InboxAccess,
    outside: &SecretSources<'_>,
) -> Result<AnyInbox, OpenError> {
    match &config.inbox {
        InboxConfig::Sqlite { path } => Ok(AnyInbox::Sqlite(match access {
            InboxAccess::Read => SqliteInbox::open_read_only(path)?,
            InboxAccess::Change => SqliteInbox::open(path)?,
        })),
        InboxConfig::DynamoDb { table, shards } => {
            let aws = aws::from_environment(outside).await?;
            Ok(AnyInbox::DynamoDb(table_inbox(
                &aws, table, *shards, config,
            )))
        }
    }
}

/// The inbox in a table. Sends no request.
pub(crate) fn table_inbox(
    aws: &AwsConfig,
    table: &str,
    shards: u32,
    config: &Config,
) -> DynamoInbox {
    let settings = TableSettings::new(table, shards, config.retention);
    DynamoInbox::new(&aws.config(AwsService::DynamoDb), settings)
}

/// The longest page of a local inbox.
const MAX_PAGE_ROWS: usize = 500;

impl AnyInbox {
    /// The limit of a page when `wanted` rows are needed. One page of a table costs as much as all
    /// of them, since each is a scan.
    pub fn page(&self, wanted: usize) -> usize {
        match self {
            Self::Sqlite(_) => wanted.min(MAX_PAGE_ROWS),
            Self::DynamoDb(_) => wanted,
        }
    }

    /// The keys that begin with `prefix`, at most `limit`. A table finds only those of open, dead
    /// and held rows, since its keys are in no order.
    pub async fn keys_with_prefix(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        match self {
            Self::Sqlite(inbox) => inbox.keys_with_prefix(prefix, limit).await,
            Self::DynamoDb(inbox) => inbox.pending_keys_with_prefix(prefix, limit).await,
        }
    }
}

/// Forwards a call to the inbox that is open.
macro_rules! either {
    ($self:ident, $inbox:ident => $call:expr) => {
        match $self {
            Self::Sqlite($inbox) => $call.await,
            Self::DynamoDb($inbox) => $call.await,
        }
    };
}

impl ReceiveInbox for AnyInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        either!(self, inbox => inbox.record(entry))
    }

    async fn probe(&self) -> Result<(), InboxError> {
        either!(self, inbox => inbox.probe())
    }
}

impl DeliveryInbox for AnyInbox {
    async fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        either!(self, inbox => inbox.find_due(sources, now, limit))
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        either!(self, inbox => inbox.claim(key, claim))
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        either!(self, inbox => inbox.claim_event(event, key, expires_at))
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        either!(self, inbox => inbox.mark(fence, mark))
    }

    async fn settle_bodies(&self, now: Timestamp, limit: usize) -> Result<usize, InboxError> {
        either!(self, inbox => inbox.settle_bodies(now, limit))
    }

    async fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> Result<(), InboxError> {
        either!(self, inbox => inbox.record_last_received(source, at))
    }

    async fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> Result<PendingGauges, InboxError> {
        either!(self, inbox => inbox.pending_gauges(open_before, limit))
    }

    async fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> Result<Timestamp, InboxError> {
        either!(self, inbox => inbox.silent_since(source, now))
    }

    async fn record_sweep(&self, status: &SweepStatus, version: u64) -> Result<(), InboxError> {
        either!(self, inbox => inbox.record_sweep(status, version))
    }
}

impl ReconcileInbox for AnyInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        either!(self, inbox => inbox.ledger_entries(source, subject))
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        either!(self, inbox => inbox.pending_events(source, subjects))
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        either!(self, inbox => inbox.last_received(source))
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        either!(self, inbox => inbox.kv_get(key))
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        either!(self, inbox => inbox.compare_and_swap(key, expected_version, next))
    }
}

impl ReadInbox for AnyInbox {
    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        either!(self, inbox => inbox.get(key))
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        either!(self, inbox => inbox.list(filter, page))
    }

    async fn summary(&self, request: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        either!(self, inbox => inbox.summary(request))
    }
}

impl OperatorInbox for AnyInbox {
    async fn replay(&self, key: &Key, now: Timestamp) -> Result<ReplayOutcome, InboxError> {
        either!(self, inbox => inbox.replay(key, now))
    }

    async fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> Result<DiscardOutcome, InboxError> {
        either!(self, inbox => inbox.discard(key, request))
    }

    async fn import(&self, row: &Row) -> Result<ImportOutcome, InboxError> {
        either!(self, inbox => inbox.import(row))
    }

    async fn body_copies(&self, key: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        either!(self, inbox => inbox.body_copies(key))
    }
}

impl AuditInbox for AnyInbox {
    async fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        expires_at: Timestamp,
    ) -> Result<(), InboxError> {
        either!(self, inbox => inbox.write_audit_entry(entry, expires_at))
    }

    async fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        either!(self, inbox => inbox.audit_entries(since, limit))
    }
}
