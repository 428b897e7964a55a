//! What a person decides about a row: to send it again, or to end it.

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item::{self, DecodedItem},
    names::{expiry, instant, number, shelf, text},
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
    let Some(read) = look(inbox, key).await? else {
        return Ok(Replayed::Absent);
    };
    if let Err(why) = read.row.replayable() {
        return Ok(Replayed::Refused(why));
    }
    if let Some(parts) = &read.parts {
        parts::keep(inbox, key, parts).await?; // before it is open: those of a finished row expire
    }
    let replaying = unchanged(inbox, &read)
        .set("state", text(State::Recorded.as_str()))
        .set("attempts", number(0))
        .set("budget_from", instant(now))
        .set("due_at", instant(now))
        .set_or_remove(
            "shelf",
            shelf(State::Recorded, key, inbox.settings.shards).map(text),
        )
        .remove("reason")
        .remove("lease")
        .remove("expires_at");
    Ok(match replaying.send(inbox).await? {
        ConditionalWrite::Done(_) => Replayed::Again,
        // Our own write whose answer was lost, or somebody's who did the same in the same instant.
        ConditionalWrite::Refused(there)
            if item::instant_of(&there, "budget_from") == Some(now) =>
        {
            Replayed::Again
        }
        ConditionalWrite::Refused(_) => Replayed::Refused("it just changed: look again"),
    })
}

/// Ends an open, dead or held row; a discarded one can still lose its bytes.
pub(super) async fn discard(
    inbox: &DynamoInbox,
    key: &Key,
    erase: bool,
    expires_at: Timestamp,
) -> Result<Discarded, InboxError> {
    let Some(read) = look(inbox, key).await? else {
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
            return Ok(Discarded::Refused("it is finished, and expires by itself"));
        }
    }
    let ending = unchanged(inbox, &read)
        .set("state", text(State::Discarded.as_str()))
        .set("expires_at", expiry(expires_at))
        .remove("shelf")
        .remove("due_at")
        .remove("lease");
    let ending = if erase { ending.remove("body") } else { ending };
    if let ConditionalWrite::Refused(there) = ending.send(inbox).await?
        && item::text_of(&there, "state") != Some(State::Discarded.as_str())
    {
        return Ok(Discarded::Refused("it just changed: look again"));
    }
    // The row still names its parts, so that erasing can be asked for again if it breaks off here.
    match &read.parts {
        Some(parts) if erase => parts::erase(inbox, key, parts, expires_at).await?,
        Some(parts) => parts::let_expire(inbox, key, parts, expires_at).await?,
        None => {}
    }
    Ok(Discarded::Done)
}

async fn look(inbox: &DynamoInbox, key: &Key) -> Result<Option<DecodedItem>, InboxError> {
    inbox
        .read(key.as_str())
        .await?
        .as_ref()
        .map(item::read)
        .transpose()
}

/// A change of the row as it was seen: whoever got there first, this one is refused.
fn unchanged(inbox: &DynamoInbox, seen: &DecodedItem) -> UpdateExpression {
    UpdateExpression::of(inbox, seen.row.key.as_str())
        .only_in(seen.row.state)
        .only_if("attempts = :seen AND budget_from = :since")
        .value(":seen", number(seen.row.attempts))
        .value(":since", instant(seen.row.budget_from))
}
