//! Replays and discards of rows by a person.
//!
//! Both also change the parts of a long body. They open the intent of the parts first, so that the
//! sweep finishes the change if this process ends in between.

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
    inbox::{BodyCopy, DiscardOutcome, DiscardRequest, InboxError, ReplayOutcome},
};

/// Why a row that has changed since it was read is not replayed or discarded.
const CHANGED: &str = "it just changed: try again";

/// Sets a row back to recorded: due now, with a new budget.
pub(super) async fn replay(
    inbox: &DynamoInbox,
    key: &Key,
    now: Timestamp,
) -> Result<ReplayOutcome, InboxError> {
    let Some(read) = read_row(inbox, key).await? else {
        return Ok(ReplayOutcome::Absent);
    };
    if let Err(reason) = read.row.replayable(now) {
        return Ok(ReplayOutcome::Refused(reason));
    }
    if let (Some(parts), Some(_)) = (&read.parts, read.row.expires_at) {
        intents::open(inbox, key, parts, now).await?;
        parts::remove_expiry(inbox, key, parts).await?; // before the row is open
    }
    let mut history = read.row.history.clone();
    history.add_replay(now, read.row.attempts);
    let update = if_unchanged(inbox, &read)
        .set("state", text(State::Recorded.as_str()))
        .set_or_remove("history", item::history(&history))
        .set("attempts", number(0))
        .set("budget_from", instant(now))
        .set("due_at", instant(now))
        .set_or_remove(
            "shelf",
            index_partition(State::Recorded, key, inbox.settings.shards).map(text),
        )
        .remove("reason")
        .remove("last_error")
        .remove("lease")
        .remove("expires_at");
    Ok(match update.send(inbox).await? {
        ConditionalWrite::Written(_) => ReplayOutcome::Done,
        // The reply was lost, or another replay was written at the same time.
        ConditionalWrite::ConditionFailed(stored)
            if item::instant_of(&stored, "budget_from") == Some(now) =>
        {
            ReplayOutcome::Done
        }
        ConditionalWrite::ConditionFailed(_) => ReplayOutcome::Refused(CHANGED),
    })
}

/// Discards a row, and erases every copy of its bytes on request.
pub(super) async fn discard(
    inbox: &DynamoInbox,
    key: &Key,
    request: &DiscardRequest,
) -> Result<DiscardOutcome, InboxError> {
    let Some(read) = read_row(inbox, key).await? else {
        return Ok(DiscardOutcome::Absent);
    };
    if let Err(reason) = read.row.discardable(request.erase, request.now) {
        return Ok(DiscardOutcome::Refused(reason));
    }
    if let Some(parts) = &read.parts {
        intents::open(inbox, key, parts, request.now).await?;
    }
    if let ConditionalWrite::ConditionFailed(stored) =
        discard_update(inbox, &read, request).send(inbox).await?
        && !is_discarded(&stored, request.erase)
    {
        return Ok(DiscardOutcome::Refused(CHANGED));
    }
    if let Some(parts) = &read.parts {
        if request.erase {
            parts::erase(inbox, key, parts, request.now).await?;
        } else {
            parts::set_expiry(inbox, key, parts, request.expires_at).await?;
        }
        intents::close(inbox, key, parts).await?;
    }
    if request.erase {
        for intent in intents::of_key(inbox, key).await? {
            intents::erase_orphan(inbox, &intent, request.now).await?;
        }
    }
    Ok(DiscardOutcome::Done)
}

/// The update that discards a row. An erased row no longer names parts.
fn discard_update(
    inbox: &DynamoInbox,
    read: &DecodedItem,
    request: &DiscardRequest,
) -> UpdateExpression {
    let mut history = read.row.history.clone();
    history.add_discard(request.now, read.row.attempts, request.erase);
    let update = if_unchanged(inbox, read)
        .set_or_remove("history", item::history(&history))
        .set("state", text(State::Discarded.as_str()))
        .set("expires_at", expiry(request.expires_at))
        .remove("shelf")
        .remove("due_at")
        .remove("lease");
    let update = match read.row.state {
        State::Delivered => update.set("reason", text(State::Delivered.as_str())),
        _ => update,
    };
    if request.erase {
        update.remove("body").remove("parts").remove("parts_digest")
    } else {
        update
    }
}

/// Whether a row is discarded already, as after a lost reply.
fn is_discarded(stored: &TableItem, is_erased: bool) -> bool {
    let has_bytes = stored.contains_key("body") || stored.contains_key("parts");
    item::text_of(stored, "state") == Some(State::Discarded.as_str()) && !(is_erased && has_bytes)
}

/// Every item that contains bytes of a notification.
pub(super) async fn body_copies(
    inbox: &DynamoInbox,
    key: &Key,
) -> Result<Vec<BodyCopy>, InboxError> {
    let (mut copies, mut bodies) = (Vec::new(), Vec::new());
    if let Some(read) = read_row(inbox, key).await? {
        copies.extend(read.inline.map(|body| BodyCopy {
            location: key.to_string(),
            bytes: body.bytes.len(),
        }));
        bodies.extend(read.parts);
    }
    for intent in intents::of_key(inbox, key).await? {
        let digest = intent.parts.digest;
        if bodies.iter().all(|parts| parts.digest != digest) {
            bodies.push(intent.parts);
        }
    }
    for parts in &bodies {
        copies.extend(parts::copies(inbox, key, parts).await?);
    }
    Ok(copies)
}

async fn read_row(inbox: &DynamoInbox, key: &Key) -> Result<Option<DecodedItem>, InboxError> {
    let stored = inbox.read(key.as_str()).await?;
    stored.as_ref().map(item::read).transpose()
}

/// An update of the row that fails if the row has changed since it was read.
fn if_unchanged(inbox: &DynamoInbox, read: &DecodedItem) -> UpdateExpression {
    UpdateExpression::of(inbox, read.row.key.as_str())
        .require_state(read.row.state)
        .only_if("attempts = :attempts AND budget_from = :budget_from")
        .value(":attempts", number(read.row.attempts))
        .value(":budget_from", instant(read.row.budget_from))
}
