//! A person who changes an inbox. Every change is in the audit trail.

use std::{sync::Arc, time::Duration};

use super::{RowAct, RowResult, aws_actor, local_actor};
use crate::{
    any_inbox::{AnyInbox, InboxAccess, OpenError, open_inbox, table_inbox},
    aws,
};
use pillarbox::{
    config::{Config, InboxConfig},
    domain::{Clock, Key, SystemClock},
    inbox::{
        AuditAction, AuditEntry, AuditInbox, AuditOutcome, DiscardOutcome, DiscardRequest,
        InboxError, OperatorInbox, ReadInbox, RetentionPolicy,
    },
    secrets::SecretSources,
};

/// Why an act failed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The audit entry could not be written, so nothing was changed.
    #[error("nothing was changed, because the audit trail cannot be written: {0}")]
    NotAudited(InboxError),
    /// The inbox failed. The audit entry has the number of changes before that.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The act ended, but its audit entry could not be completed.
    #[error("the change was made, but its entry in the audit trail still says `started`: {0}")]
    EndNotAudited(InboxError),
}

/// A person who may change an inbox.
pub struct Operator<I> {
    inbox: Arc<I>,
    actor: String,
    retention: RetentionPolicy,
    clock: Arc<dyn Clock>,
}

impl<I> Clone for Operator<I> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
            actor: self.actor.clone(),
            retention: self.retention,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// Opens the configured inbox for changes, and names the person who runs this process.
pub async fn open_as_person(
    config: &Config,
    sources: &SecretSources<'_>,
) -> Result<(AnyInbox, String), OpenError> {
    match &config.inbox {
        InboxConfig::Sqlite { .. } => {
            let inbox = open_inbox(config, InboxAccess::Change, sources).await?;
            Ok((inbox, local_actor()))
        }
        InboxConfig::DynamoDb { table, shards } => {
            let aws = aws::from_environment(sources).await?;
            let inbox = table_inbox(&aws, table, *shards, config);
            Ok((AnyInbox::DynamoDb(inbox), aws_actor(&aws).await))
        }
    }
}

impl<I: ReadInbox + OperatorInbox + AuditInbox> Operator<I> {
    /// The person `actor` at `inbox`.
    pub fn new(inbox: Arc<I>, actor: String, retention: Duration) -> Self {
        Self {
            inbox,
            actor,
            retention: RetentionPolicy { retention },
            clock: Arc::new(SystemClock),
        }
    }

    /// The inbox.
    pub fn inbox(&self) -> &I {
        &self.inbox
    }

    /// The clock of the acts.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Acts on one notification.
    pub async fn act_on(&self, act: RowAct, key: &Key) -> Result<RowResult, ActError> {
        let entry = self.begin(act.action(), key.to_string(), Some(1)).await?;
        match self.change(act, key).await {
            Ok(result) => {
                let done = u64::from(matches!(result, RowResult::Done));
                self.complete(entry, done, AuditOutcome::Done).await?;
                Ok(result)
            }
            Err(error) => {
                // The inbox has failed, so this write may fail, too. Then the entry stays
                // `started`.
                let _ = self.complete(entry, 0, AuditOutcome::Failed).await;
                Err(error.into())
            }
        }
    }

    /// The result that [`act_on`](Self::act_on) would have now. Changes nothing.
    pub async fn preview(&self, act: RowAct, key: &Key) -> Result<RowResult, InboxError> {
        match self.inbox.get(key).await {
            Ok(None) => Ok(RowResult::Absent),
            Ok(Some(row)) => Ok(act
                .is_possible(&row, self.clock.now())
                .map_or_else(RowResult::Refused, |()| RowResult::Done)),
            // Damaged bytes can be erased, too.
            Err(InboxError::Damaged { .. }) if act != RowAct::Replay => Ok(RowResult::Done),
            Err(error) => Err(error),
        }
    }

    /// Writes the audit entry of an act, before its first change. `planned` is the number of
    /// notifications to change, if it is known.
    pub async fn begin(
        &self,
        action: AuditAction,
        target: String,
        planned: Option<u64>,
    ) -> Result<AuditEntry, ActError> {
        let entry = AuditEntry {
            at: self.clock.now(),
            id: self.clock.random(),
            actor: self.actor.clone(),
            action,
            target,
            planned,
            done: 0,
            outcome: AuditOutcome::Started,
        };
        self.write(&entry).await.map_err(ActError::NotAudited)?;
        Ok(entry)
    }

    /// Completes the audit entry of an act, with its outcome and the number of changed
    /// notifications.
    pub async fn complete(
        &self,
        entry: AuditEntry,
        done: u64,
        outcome: AuditOutcome,
    ) -> Result<(), ActError> {
        let completed = AuditEntry {
            done,
            outcome,
            ..entry
        };
        self.write(&completed)
            .await
            .map_err(ActError::EndNotAudited)
    }

    /// Writes an audit entry for a masked field that is about to be shown.
    pub async fn unmask(&self, key: &Key, field: &str) -> Result<(), ActError> {
        let target = format!("{key}, {field}");
        let entry = self.begin(AuditAction::Unmask, target, Some(1)).await?;
        self.complete(entry, 1, AuditOutcome::Done).await
    }

    async fn write(&self, entry: &AuditEntry) -> Result<(), InboxError> {
        let expires_at = self.retention.audit_expiry(entry.at);
        self.inbox.write_audit_entry(entry, expires_at).await
    }

    /// Changes one notification. The act must be in the audit trail already.
    pub(super) async fn change(&self, act: RowAct, key: &Key) -> Result<RowResult, InboxError> {
        let now = self.clock.now();
        if act == RowAct::Replay {
            return Ok(self.inbox.replay(key, now).await?.into());
        }
        let request = DiscardRequest {
            erase: act == RowAct::Erase,
            now,
            expires_at: self.retention.row_expiry(now),
        };
        let discarded = self.inbox.discard(key, &request).await?;
        if request.erase && discarded == DiscardOutcome::Done {
            let left = self.inbox.body_copies(key).await?;
            if !left.is_empty() {
                return Ok(RowResult::BytesLeft(left));
            }
        }
        Ok(discarded.into())
    }
}
