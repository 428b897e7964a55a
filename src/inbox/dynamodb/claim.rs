//! Claims a row for one attempt, and marks the outcome of the attempt.

use std::time::Duration;

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    intents,
    item::{self, DecodedItem},
    names::{TableItem, expiry, index_partition, instant, number, text},
    parts,
};
use crate::{
    domain::{Key, State, Timestamp},
    inbox::{
        Claim, Fence, InboxError, MAX_AHEAD, MAX_BACKOFF, Mark, MarkOutcome, Row, body::StoredBody,
        is_due,
    },
};

/// Claims the row, if it is open, due and not leased.
///
/// A row without attempts is claimed by one write, which does not change the index. If its
/// condition fails, the stored row has the number of the attempt that the second write claims.
pub(super) async fn claim(
    inbox: &DynamoInbox,
    key: &Key,
    claim: &Claim,
) -> Result<Option<(Row, Fence)>, InboxError> {
    let first = claim_attempt(inbox, key, claim, 0);
    let stored = match first.send(inbox).await? {
        ConditionalWrite::Written(item) => return claimed(inbox, claim, &item).await.map(Some),
        ConditionalWrite::ConditionFailed(stored) if stored.is_empty() => return Ok(None),
        ConditionalWrite::ConditionFailed(stored) => stored,
    };
    if is_held_by(claim, &stored) {
        return claimed(inbox, claim, &stored).await.map(Some);
    }
    let DecodedItem { row, .. } = item::read(&stored)?;
    if row.attempts == 0 || !is_claimable(&row, claim.now) {
        return Ok(None);
    }
    let later = claim_attempt(inbox, key, claim, row.attempts)
        .set(
            "due_at",
            instant(claim.now.plus(backoff(claim.first_backoff, row.attempts))),
        )
        .set("budget_from", instant(row.budget_from.min(claim.now)))
        .only_if("(due_at <= :now OR due_at > :ahead)")
        .only_if(
            "(attribute_not_exists(#lease) OR #lease.#until <= :now OR #lease.#until > :ahead)",
        )
        .name("#lease", "lease")
        .name("#until", "until")
        .value(":now", instant(claim.now))
        .value(":ahead", instant(claim.now.plus(MAX_AHEAD)));
    match later.send(inbox).await? {
        ConditionalWrite::Written(item) => claimed(inbox, claim, &item).await.map(Some),
        ConditionalWrite::ConditionFailed(stored) if is_held_by(claim, &stored) => {
            claimed(inbox, claim, &stored).await.map(Some)
        }
        ConditionalWrite::ConditionFailed(_) => Ok(None),
    }
}

/// The update that claims a row after `attempts` attempts.
fn claim_attempt(inbox: &DynamoInbox, key: &Key, claim: &Claim, attempts: u32) -> UpdateExpression {
    UpdateExpression::of(inbox, key.as_str())
        .require_state(State::Recorded)
        .only_if("attempts = :attempts")
        .value(":attempts", number(attempts))
        .set("attempts", number(attempts + 1))
        .set("lease", item::lease(&claim.lease))
}

/// Whether the claim was written although its reply was lost.
fn is_held_by(claim: &Claim, stored: &TableItem) -> bool {
    item::text_of(stored, "state") == Some(State::Recorded.as_str())
        && item::lease_of(stored) == Some(claim.lease)
}

fn is_claimable(row: &Row, now: Timestamp) -> bool {
    let is_due = row.due_at.is_some_and(|due_at| is_due(due_at, now));
    row.state == State::Recorded && !row.is_leased(now) && is_due
}

fn backoff(first: Duration, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(MAX_BACKOFF)
}

async fn claimed(
    inbox: &DynamoInbox,
    claim: &Claim,
    item: &TableItem,
) -> Result<(Row, Fence), InboxError> {
    let read = item::read(item)?;
    let fence = Fence {
        key: read.row.key.clone(),
        attempt: read.row.attempts,
        lease: claim.lease.id,
        parts: read.parts,
        history: read.row.history.clone(),
    };
    // Bytes that cannot be unpacked count as missing, so that the row becomes dead as damaged.
    let body = stored_body(inbox, &read)
        .await?
        .and_then(|body| body.unpack().ok());
    Ok((Row { body, ..read.row }, fence))
}

/// The stored body of a row.
pub(super) async fn stored_body(
    inbox: &DynamoInbox,
    read: &DecodedItem,
) -> Result<Option<StoredBody>, InboxError> {
    match &read.parts {
        None => Ok(read.inline.clone()),
        Some(parts) => {
            let bytes = parts::read(inbox, &read.row.key, parts).await?;
            Ok(bytes.map(|bytes| StoredBody {
                deflated: read.deflated,
                bytes,
            }))
        }
    }
}

/// Writes the outcome of an attempt, if its claim is still valid.
///
/// Then the parts of a finished row get their expiry. The outcome is in the row by then, so a
/// failure to do that is none of the attempt: the intent of the parts stays open, and the sweep
/// does it.
pub(super) async fn mark(
    inbox: &DynamoInbox,
    fence: &Fence,
    mark: &Mark,
) -> Result<MarkOutcome, InboxError> {
    let end = FinalState::of(mark);
    match end.update(inbox, fence).send(inbox).await? {
        ConditionalWrite::ConditionFailed(stored) if !end.is_stored_in(&stored, fence) => {
            let is_discarded = item::text_of(&stored, "state") == Some(State::Discarded.as_str());
            return Ok(if is_discarded {
                MarkOutcome::Discarded
            } else {
                MarkOutcome::Lost
            });
        }
        ConditionalWrite::Written(_) | ConditionalWrite::ConditionFailed(_) => {}
    }
    if let (Some(at), Some(parts)) = (end.expires_at, &fence.parts)
        && parts::set_expiry(inbox, &fence.key, parts, at)
            .await
            .is_ok()
    {
        let _ = intents::close(inbox, &fence.key, parts).await;
    }
    Ok(MarkOutcome::Done)
}

/// The state of a row after a mark.
struct FinalState<'a> {
    state: State,
    reason: Option<&'a str>,
    error: Option<&'a str>,
    due_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl<'a> FinalState<'a> {
    fn of(mark: &'a Mark) -> Self {
        let end = |state| Self {
            state,
            reason: None,
            error: None,
            due_at: None,
            expires_at: None,
        };
        match mark {
            Mark::Delivered { expires_at } => Self {
                expires_at: Some(*expires_at),
                ..end(State::Delivered)
            },
            Mark::Repeat { of, expires_at } => Self {
                reason: Some(of.as_str()),
                expires_at: Some(*expires_at),
                ..end(State::Repeat)
            },
            Mark::Retry { due_at, error } => Self {
                error: Some(error),
                due_at: Some(*due_at),
                ..end(State::Recorded)
            },
            Mark::Dead { reason, error, at } => Self {
                reason: Some(reason),
                error: Some(error),
                due_at: Some(*at),
                ..end(State::Dead)
            },
            Mark::Held { reason, at } => Self {
                reason: Some(reason.as_str()),
                due_at: Some(*at),
                ..end(State::Held)
            },
        }
    }

    fn update(&self, inbox: &DynamoInbox, fence: &Fence) -> UpdateExpression {
        let change = UpdateExpression::of(inbox, fence.key.as_str())
            .require_state(State::Recorded)
            .only_if("attempts = :attempt AND #lease.#id = :id")
            .name("#lease", "lease")
            .name("#id", "id")
            .value(":attempt", number(fence.attempt))
            .value(":id", item::lease_id(fence.lease))
            .set("state", text(self.state.as_str()))
            .set_or_remove("reason", self.reason.map(text))
            .set_or_remove(
                "shelf",
                index_partition(self.state, &fence.key, inbox.settings.shards).map(text),
            )
            .set_or_remove("due_at", self.due_at.map(instant))
            .set_or_remove("expires_at", self.expires_at.map(expiry))
            .set_or_remove("history", item::history(&fence.history))
            .remove("lease");
        match self.error {
            Some(error) => change.set("last_error", text(error)),
            None if self.state.is_finished() => change.remove("last_error"),
            None => change,
        }
    }

    /// Whether this mark was written although its reply was lost.
    fn is_stored_in(&self, stored: &TableItem, fence: &Fence) -> bool {
        item::text_of(stored, "state") == Some(self.state.as_str())
            && item::number_of(stored, "attempts") == Some(fence.attempt)
            && item::lease_of(stored).is_none()
            && item::instant_of(stored, "due_at") == self.due_at
            && item::text_of(stored, "reason") == self.reason
    }
}
