//! What is known of a payment's events, and of a source.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item,
    names::{self, expiry, instant, text},
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    inbox::{EventClaim, InboxError, LedgerEntry},
    senders::EventName,
};

/// Makes the event `key`'s, unless it is another's: one attribute an event, in the item of its payment.
///
/// The whole ledger of a payment expires after its last event.
pub(super) async fn own(
    inbox: &DynamoInbox,
    event: &EventName,
    key: &Key,
    expires_at: Timestamp,
) -> Result<EventClaim, InboxError> {
    let owning = UpdateExpression::of(inbox, names::ledger(event))
        .set(&event.event, text(key.as_str()))
        .set("expires_at", expiry(expires_at))
        .only_if("(attribute_not_exists(#event) OR #event = :key)")
        .name("#event", &event.event)
        .value(":key", text(key.as_str()));
    match owning.send(inbox).await? {
        ConditionalWrite::Done(_) => Ok(EventClaim::Mine),
        ConditionalWrite::Refused(there) => {
            let owner = item::text_of(&there, &event.event).and_then(Key::parse);
            Ok(owner
                .filter(|owner| owner != key)
                .map_or(EventClaim::Mine, EventClaim::Other))
        }
    }
}

/// Which events of one payment have an owner; `None` if there is no ledger of it.
pub(super) async fn events(
    inbox: &DynamoInbox,
    source: &str,
    subject: &str,
) -> Result<Option<Vec<LedgerEntry>>, InboxError> {
    let ledger = inbox.read(&names::ledger_of(source, subject)).await?;
    let events = |item: names::TableItem| item.into_iter().filter(|(name, _)| name.contains('|'));
    let come = |(event, owner): (String, AttributeValue)| {
        Some(LedgerEntry {
            event,
            owner: Key::parse(owner.as_s().ok()?)?,
        })
    };
    Ok(ledger.map(|item| events(item).filter_map(come).collect()))
}

/// Notes when a source was last heard; never backwards.
pub(super) async fn heard(
    inbox: &DynamoInbox,
    source: &SourceName,
    at: Timestamp,
) -> Result<(), InboxError> {
    let hearing = UpdateExpression::of(inbox, names::source(source))
        .set("heard_at", instant(at))
        .only_if("(attribute_not_exists(heard_at) OR heard_at < :at)")
        .value(":at", instant(at));
    hearing.send(inbox).await.map(drop)
}

/// When a source was last heard.
pub(super) async fn last_heard(
    inbox: &DynamoInbox,
    source: &SourceName,
) -> Result<Option<Timestamp>, InboxError> {
    let item = inbox.read(&names::source(source)).await?;
    Ok(item.and_then(|item| item::instant_of(&item, "heard_at")))
}
