//! Taking a row for one attempt, and writing how that ended.

use std::time::Duration;

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item::{self, DecodedItem},
    names::{TableItem, expiry, instant, number, shelf, text},
    parts,
};
use crate::{
    domain::{Key, State, Timestamp},
    inbox::{Claim, Fence, InboxError, Mark, Marked, Row, body::StoredBody},
};

/// The longest a later claim pushes a row on.
const LONGEST_PUSH: Duration = Duration::from_secs(60 * 60);

/// Takes the row, if it is open, due and free.
///
/// A row that was never tried is taken by one write, which leaves the index alone. The refusal of
/// that write tells what a later claim has to push on.
pub(super) async fn claim(
    inbox: &DynamoInbox,
    key: &Key,
    claim: &Claim,
) -> Result<Option<(Row, Fence)>, InboxError> {
    let first = taking(inbox, key, claim, 0);
    let there = match first.send(inbox).await? {
        ConditionalWrite::Done(item) => return taken(inbox, claim, &item).await.map(Some),
        ConditionalWrite::Refused(there) if there.is_empty() => return Ok(None),
        ConditionalWrite::Refused(there) => there,
    };
    if is_held_by(claim, &there) {
        return taken(inbox, claim, &there).await.map(Some);
    }
    let DecodedItem { row, .. } = item::read(&there)?;
    if row.attempts == 0 || !is_free(&row, claim.now) {
        return Ok(None);
    }
    let later = taking(inbox, key, claim, row.attempts)
        .set(
            "due_at",
            instant(claim.now.plus(push(claim.push, row.attempts))),
        )
        .only_if("due_at <= :now AND (attribute_not_exists(#lease) OR #lease.#until <= :now)")
        .name("#lease", "lease")
        .name("#until", "until")
        .value(":now", instant(claim.now));
    match later.send(inbox).await? {
        ConditionalWrite::Done(item) => taken(inbox, claim, &item).await.map(Some),
        ConditionalWrite::Refused(there) if is_held_by(claim, &there) => {
            taken(inbox, claim, &there).await.map(Some)
        }
        ConditionalWrite::Refused(_) => Ok(None),
    }
}

/// The change that takes a row which was tried `attempts` times.
fn taking(inbox: &DynamoInbox, key: &Key, claim: &Claim, attempts: u32) -> UpdateExpression {
    UpdateExpression::of(inbox, key.as_str())
        .only_in(State::Recorded)
        .only_if("attempts = :attempts")
        .value(":attempts", number(attempts))
        .set("attempts", number(attempts + 1))
        .set("lease", item::lease(&claim.lease))
}

/// Whether a claim was written although its answer was lost.
fn is_held_by(claim: &Claim, there: &TableItem) -> bool {
    item::text_of(there, "state") == Some(State::Recorded.as_str())
        && item::lease_of(there) == Some(claim.lease)
}

fn is_free(row: &Row, now: Timestamp) -> bool {
    let is_leased = row.lease.is_some_and(|lease| lease.until > now);
    let is_due = row.due_at.is_some_and(|due_at| due_at <= now);
    row.state == State::Recorded && !is_leased && is_due
}

fn push(first: Duration, attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(LONGEST_PUSH)
}

async fn taken(
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
    };
    // Bytes that can't be unpacked count as gone, so that the row ends as damaged where somebody sees it.
    let body = stored(inbox, &read)
        .await?
        .and_then(|body| body.unpack().ok());
    Ok((Row { body, ..read.row }, fence))
}

/// The bytes of a row as they are kept.
pub(super) async fn stored(
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

/// Writes how an attempt ended, if its claim still stands.
///
/// The bytes of what ends dead are kept for good before it does: until then the row is open, and may
/// end otherwise. What is finished lets its bytes expire after it is.
pub(super) async fn mark(
    inbox: &DynamoInbox,
    fence: &Fence,
    mark: &Mark,
) -> Result<Marked, InboxError> {
    if let (Mark::Dead { .. }, Some(parts)) = (mark, &fence.parts) {
        parts::keep(inbox, &fence.key, parts).await?;
    }
    let end = FinalState::of(mark);
    let marked = match end.written_to(inbox, fence).send(inbox).await? {
        ConditionalWrite::Done(_) => Marked::Done,
        ConditionalWrite::Refused(there) if end.stands_in(&there, fence) => Marked::Done,
        ConditionalWrite::Refused(_) => Marked::Lost,
    };
    if let (Marked::Done, Some(at), Some(parts)) = (marked, end.expires_at, &fence.parts)
        && !parts.are_as_born
    {
        parts::let_expire(inbox, &fence.key, parts, at).await?;
    }
    Ok(marked)
}

/// What a mark makes of a row.
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
        }
    }

    fn written_to(&self, inbox: &DynamoInbox, fence: &Fence) -> UpdateExpression {
        let change = UpdateExpression::of(inbox, fence.key.as_str())
            .only_in(State::Recorded)
            .only_if("attempts = :attempt AND #lease.#id = :id")
            .name("#lease", "lease")
            .name("#id", "id")
            .value(":attempt", number(fence.attempt))
            .value(":id", item::lease_id(fence.lease))
            .set("state", text(self.state.as_str()))
            .set_or_remove("reason", self.reason.map(text))
            .set_or_remove(
                "shelf",
                shelf(self.state, &fence.key, inbox.settings.shards).map(text),
            )
            .set_or_remove("due_at", self.due_at.map(instant))
            .set_or_remove("expires_at", self.expires_at.map(expiry))
            .remove("lease");
        match self.error {
            Some(error) => change.set("last_error", text(error)),
            None => change,
        }
    }

    /// Whether this very mark was written although its answer was lost.
    fn stands_in(&self, there: &TableItem, fence: &Fence) -> bool {
        item::text_of(there, "state") == Some(self.state.as_str())
            && item::number_of(there, "attempts") == Some(fence.attempt)
            && item::lease_of(there).is_none()
            && item::instant_of(there, "due_at") == self.due_at
            && item::text_of(there, "reason") == self.reason
    }
}
