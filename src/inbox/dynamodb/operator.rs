//! Replay and discard: what a person decides about a row.

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item::{self, DecodedItem},
    names::{expiry, index_partition, instant, number, text},
    parts,
};
use crate::{
    domain::{Key, State, Timestamp},
    inbox::{Discarded, InboxError, Replayed},
};

/// Sets a row back to recorded: due now, new budget.
pub(super) async fn replay(
    inbox: &DynamoInbox,
    key: &Key,
    now: Timestamp,
) -> Result<Replayed, InboxError> {
    let Some(read) = read_row(inbox, key).await? else {
        return Ok(Replayed::Absent);
    };
    if let Err(why) = read.row.replayable(now) {
        return Ok(Replayed::Refused(why));
    }
    if let Some(parts) = &read.parts {
        parts::remove_expiry(inbox, key, parts).await?; // before the row is open
    }
    let update = if_unchanged(inbox, &read)
        .set("state", text(State::Recorded.as_str()))
        .set("attempts", number(0))
        .set("budget_from", instant(now))
        .set("due_at", instant(now))
        .set_or_remove(
            "shelf",
            index_partition(State::Recorded, key, inbox.settings.shards).map(text),
        )
        .remove("reason")
        .remove("lease")
        .remove("expires_at");
    Ok(match update.send(inbox).await? {
        ConditionalWrite::Written(_) => Replayed::Done,
        // The reply was lost, or another replay was written at the same time.
        ConditionalWrite::ConditionFailed(stored)
            if item::instant_of(&stored, "budget_from") == Some(now) =>
        {
            Replayed::Done
        }
        ConditionalWrite::ConditionFailed(_) => Replayed::Refused("it just changed: look again"),
    })
}

/// Ends an open, dead or held row; the bytes of a discarded row can still be erased.
pub(super) async fn discard(
    inbox: &DynamoInbox,
    key: &Key,
    erase: bool,
    expires_at: Timestamp,
) -> Result<Discarded, InboxError> {
    let Some(read) = read_row(inbox, key).await? else {
        return Ok(Discarded::Absent);
    };
    match read.row.state {
        State::Recorded | State::Dead | State::Held => {}
        State::Discarded if erase => {}
        State::Discarded => {
            return Ok(Discarded::Refused(
                "it was discarded before; --erase would remove its bytes",
            ));
        }
        State::Delivered | State::Repeat => {
            return Ok(Discarded::Refused("it is finished, and will expire"));
        }
    }
    let update = if_unchanged(inbox, &read)
        .set("state", text(State::Discarded.as_str()))
        .set("expires_at", expiry(expires_at))
        .remove("shelf")
        .remove("due_at")
        .remove("lease");
    let update = if erase { update.remove("body") } else { update };
    if let ConditionalWrite::ConditionFailed(stored) = update.send(inbox).await?
        && item::text_of(&stored, "state") != Some(State::Discarded.as_str())
    {
        return Ok(Discarded::Refused("it just changed: look again"));
    }
    // The row still names its parts, so that an interrupted erasure can be repeated.
    match &read.parts {
        Some(parts) if erase => parts::erase(inbox, key, parts, expires_at).await?,
        Some(parts) => parts::set_expiry(inbox, key, parts, expires_at).await?,
        None => {}
    }
    Ok(Discarded::Done)
}

async fn read_row(inbox: &DynamoInbox, key: &Key) -> Result<Option<DecodedItem>, InboxError> {
    inbox
        .read(key.as_str())
        .await?
        .as_ref()
        .map(item::read)
        .transpose()
}

/// An update of the row that fails if the row has changed since it was read.
fn if_unchanged(inbox: &DynamoInbox, read: &DecodedItem) -> UpdateExpression {
    UpdateExpression::of(inbox, read.row.key.as_str())
        .only_in(read.row.state)
        .only_if("attempts = :attempts AND budget_from = :budget_from")
        .value(":attempts", number(read.row.attempts))
        .value(":budget_from", instant(read.row.budget_from))
}
