//! Whichever inbox a command was told to use.

use std::collections::BTreeSet;

use crate::{aws, sqlite::SqliteInbox};
use pillarbox::{
    app::table_inbox,
    aws::AwsError,
    config::{Config, InboxConfig},
    domain::{Key, SourceName, Timestamp},
    inbox::{
        CasOutcome, Claim, Discarded, EventClaim, Fence, Inbox, InboxError, KvEntry, KvKey,
        LedgerEntry, Mark, Marked, PageRequest, PendingEvent, Recorded, Replayed, Row, RowFilter,
        RowPage, SourceFilter, dynamodb::DynamoInbox,
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

/// Why an inbox can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The inbox itself is why.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// AWS can't be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// Opens the configured inbox; a local one must be there.
pub async fn open_inbox(
    config: &Config,
    outside: &SecretSources<'_>,
) -> Result<AnyInbox, OpenError> {
    match &config.inbox {
        InboxConfig::Sqlite { path } => Ok(AnyInbox::Sqlite(SqliteInbox::open(path)?)),
        InboxConfig::DynamoDb { table, shards } => {
            let aws = aws::from_environment(outside).await?;
            Ok(AnyInbox::DynamoDb(table_inbox(
                &aws, table, *shards, config,
            )))
        }
    }
}

/// How many rows of a file are read at once.
const PAGE: usize = 500;

impl AnyInbox {
    /// How many rows to ask for at once when `wanted` are. A page of a table costs as much as all of it.
    pub fn page(&self, wanted: usize) -> usize {
        match self {
            Self::Sqlite(_) => wanted.min(PAGE),
            Self::DynamoDb(_) => wanted,
        }
    }
}

/// Asks whichever it is.
macro_rules! either {
    ($self:ident, $inbox:ident => $ask:expr) => {
        match $self {
            Self::Sqlite($inbox) => $ask.await,
            Self::DynamoDb($inbox) => $ask.await,
        }
    };
}

impl Inbox for AnyInbox {
    async fn record(&self, entry: &Entry) -> Result<Recorded, InboxError> {
        either!(self, inbox => inbox.record(entry))
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        either!(self, inbox => inbox.claim(key, claim))
    }

    async fn own(
        &self,
        event: &EventName,
        key: &Key,
        expires_at: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        either!(self, inbox => inbox.own(event, key, expires_at))
    }

    async fn events(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        either!(self, inbox => inbox.events(source, subject))
    }

    async fn unfinished(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        either!(self, inbox => inbox.unfinished(source, subjects))
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<Marked, InboxError> {
        either!(self, inbox => inbox.mark(fence, mark))
    }

    async fn due(
        &self,
        whose: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        either!(self, inbox => inbox.due(whose, now, limit))
    }

    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        either!(self, inbox => inbox.get(key))
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        either!(self, inbox => inbox.list(filter, page))
    }

    async fn replay(&self, key: &Key, now: Timestamp) -> Result<Replayed, InboxError> {
        either!(self, inbox => inbox.replay(key, now))
    }

    async fn discard(
        &self,
        key: &Key,
        erase: bool,
        expires_at: Timestamp,
    ) -> Result<Discarded, InboxError> {
        either!(self, inbox => inbox.discard(key, erase, expires_at))
    }

    async fn heard(&self, source: &SourceName, at: Timestamp) -> Result<(), InboxError> {
        either!(self, inbox => inbox.heard(source, at))
    }

    async fn last_heard(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        either!(self, inbox => inbox.last_heard(source))
    }

    async fn memo(&self, name: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        either!(self, inbox => inbox.memo(name))
    }

    async fn swap_memo(
        &self,
        name: &KvKey,
        seen: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        either!(self, inbox => inbox.swap_memo(name, seen, next))
    }
}
