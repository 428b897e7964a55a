//! Ledgers, one item for each payment, and the time of the last notification of each source.

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

/// Claims the event for `key`, unless another key holds it. The ledger has one attribute for each
/// event, and expires after its last event.
pub(super) async fn claim_event(
    inbox: &DynamoInbox,
    event: &EventName,
    key: &Key,
    expires_at: Timestamp,
) -> Result<EventClaim, InboxError> {
    let claim = UpdateExpression::of(inbox, names::ledger(event))
        .set(&event.event, text(key.as_str()))
        .set("expires_at", expiry(expires_at))
        .only_if("(attribute_not_exists(#event) OR #event = :key)")
        .name("#event", &event.event)
        .value(":key", text(key.as_str()));
    match claim.send(inbox).await? {
        ConditionalWrite::Written(_) => Ok(EventClaim::Acquired),
        ConditionalWrite::ConditionFailed(stored) => {
            let owner = item::text_of(&stored, &event.event).and_then(Key::parse);
            Ok(owner
                .filter(|owner| owner != key)
                .map_or(EventClaim::Acquired, EventClaim::HeldBy))
        }
    }
}

/// The claimed events of one payment; `None` if it has no ledger.
pub(super) async fn entries(
    inbox: &DynamoInbox,
    source: &str,
    subject: &str,
) -> Result<Option<Vec<LedgerEntry>>, InboxError> {
    let ledger = inbox.read(&names::ledger_of(source, subject)).await?;
    let events = |item: names::TableItem| item.into_iter().filter(|(name, _)| name.contains('|'));
    let entry_of = |(event, owner): (String, AttributeValue)| {
        Some(LedgerEntry {
            event,
            owner: Key::parse(owner.as_s().ok()?)?,
        })
    };
    Ok(ledger.map(|item| events(item).filter_map(entry_of).collect()))
}

/// Records that a notification of a source was received at `at`, unless a later time is stored.
pub(super) async fn record_last_received(
    inbox: &DynamoInbox,
    source: &SourceName,
    at: Timestamp,
) -> Result<(), InboxError> {
    let update = UpdateExpression::of(inbox, names::source(source))
        .set("heard_at", instant(at))
        .only_if("(attribute_not_exists(heard_at) OR heard_at < :at)")
        .value(":at", instant(at));
    update.send(inbox).await.map(drop)
}

/// When a notification of the source was last received.
pub(super) async fn last_received(
    inbox: &DynamoInbox,
    source: &SourceName,
) -> Result<Option<Timestamp>, InboxError> {
    let item = inbox.read(&names::source(source)).await?;
    Ok(item.and_then(|item| item::instant_of(&item, "heard_at")))
}
