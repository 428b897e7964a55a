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
    sources: &SecretSources<'_>,
) -> Result<AnyInbox, OpenError> {
    match &config.inbox {
        InboxConfig::Sqlite { path } => Ok(AnyInbox::Sqlite(match access {
            InboxAccess::Read => SqliteInbox::open_read_only(path)?,
            InboxAccess::Change => SqliteInbox::open(path)?,
        })),
        InboxConfig::DynamoDb { table, shards } => {
            let aws = aws::from_environment(sources).await?;
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

/// The largest page of a local inbox.
const MAX_PAGE_ROWS: usize = 500;

impl AnyInbox {
    /// The page size to read `wanted` rows. A table gets one page, since each page of a scan costs
    /// as much as all of them.
    pub fn page_rows(&self, wanted: usize) -> usize {
        match self {
            Self::Sqlite(_) => wanted.min(MAX_PAGE_ROWS),
            Self::DynamoDb(_) => wanted,
        }
    }

    /// The keys that begin with `prefix`, at most `limit`. On a table, only those of open, dead and
    /// held rows, since its keys are not sorted.
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

/// Defines methods of a trait that call the inbox that is open.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        $(async fn $method(&self, $($argument: $type),*) -> Result<$output, InboxError> {
            match self {
                Self::Sqlite(inbox) => inbox.$method($($argument),*).await,
                Self::DynamoDb(inbox) => inbox.$method($($argument),*).await,
            }
        })*
    };
}
pub(crate) use forward;

impl ReceiveInbox for AnyInbox {
    forward! {
        record(entry: &Entry) -> RecordOutcome;
        probe() -> ();
    }
}

impl DeliveryInbox for AnyInbox {
    forward! {
        find_due(sources: &SourceFilter, now: Timestamp, limit: usize) -> Vec<Key>;
        claim(key: &Key, claim: &Claim) -> Option<(Row, Fence)>;
        claim_event(event: &EventName, key: &Key, expires_at: Timestamp) -> EventClaim;
        mark(fence: &Fence, mark: &Mark) -> MarkOutcome;
        settle_bodies(now: Timestamp, limit: usize) -> usize;
        record_last_received(source: &SourceName, at: Timestamp) -> ();
        pending_gauges(open_before: Timestamp, limit: usize) -> PendingGauges;
        silent_since(source: &SourceName, now: Timestamp) -> Timestamp;
        record_sweep(status: &SweepStatus, version: u64) -> ();
    }
}

impl ReconcileInbox for AnyInbox {
    forward! {
        ledger_entries(source: &SourceName, subject: &str) -> Vec<LedgerEntry>;
        pending_events(source: &SourceName, subjects: &BTreeSet<String>) -> Vec<PendingEvent>;
        last_received(source: &SourceName) -> Option<Timestamp>;
        kv_get(key: &KvKey) -> Option<KvEntry>;
        compare_and_swap(key: &KvKey, expected_version: Option<u64>, next: &KvEntry) -> CasOutcome;
    }
}

impl ReadInbox for AnyInbox {
    forward! {
        get(key: &Key) -> Option<Row>;
        list(filter: &RowFilter, page: PageRequest) -> RowPage;
        summary(request: &SummaryRequest) -> InboxSummary;
    }
}

impl OperatorInbox for AnyInbox {
    forward! {
        replay(key: &Key, now: Timestamp) -> ReplayOutcome;
        discard(key: &Key, request: &DiscardRequest) -> DiscardOutcome;
        import(row: &Row) -> ImportOutcome;
        body_copies(key: &Key) -> Vec<BodyCopy>;
    }
}

impl AuditInbox for AnyInbox {
    forward! {
        write_audit_entry(entry: &AuditEntry, expires_at: Timestamp) -> ();
        audit_entries(since: Option<Timestamp>, limit: usize) -> Vec<AuditEntry>;
    }
}
