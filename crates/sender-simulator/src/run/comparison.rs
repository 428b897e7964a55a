//! Compares the outcomes that the sender recorded with the messages that the receiver stored.

use std::collections::HashMap;

use super::{DeliveryOutcome, ReceiverFault, SentMessage};

/// A message that a receiver stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The sender's id.
    pub id: String,
    /// The key under which the receiver delivers it.
    pub key: String,
    /// The event, if the same event may have several ids.
    pub event: Option<String>,
    /// Whether the receiver delivered it.
    pub delivered: bool,
}

/// Finds messages that were acknowledged and are absent, stored twice, delivered under two keys, or
/// forged and stored.
pub fn compare(sent: &[SentMessage], stored: &[StoredMessage]) -> Vec<ReceiverFault> {
    let mut by_id: HashMap<&str, Vec<&StoredMessage>> = HashMap::new();
    let mut by_event: HashMap<&str, Vec<&StoredMessage>> = HashMap::new();
    for message in stored {
        by_id.entry(&message.id).or_default().push(message);
        if let Some(event) = message.event.as_deref().filter(|_| message.delivered) {
            by_event.entry(event).or_default().push(message);
        }
    }
    let mut records: HashMap<&str, SenderRecord> = HashMap::new();
    for SentMessage { id, kind, outcome } in sent {
        let record = records.entry(id).or_default();
        record.is_hostile |= kind.is_hostile();
        let is_acknowledged = *outcome == DeliveryOutcome::Acknowledged;
        record.is_acknowledged |= kind.is_genuine() && is_acknowledged;
    }
    let mut faults: Vec<ReceiverFault> = Vec::new();
    for (id, record) in &records {
        let copies = by_id.get(id).map_or(&[][..], Vec::as_slice);
        faults.extend(record.contradiction(id, copies));
        faults.extend(stored_twice(id, copies));
    }
    faults.extend(
        by_event
            .values()
            .filter_map(|stored| several_keys(stored, &records)),
    );
    faults.sort_by(|a, b| (a.name, &a.id).cmp(&(b.name, &b.id)));
    faults
}

/// The sender's record for one id, over all messages sent with it.
#[derive(Default)]
struct SenderRecord {
    /// A message that must be refused was sent.
    is_hostile: bool,
    /// At least one copy was acknowledged, so the sender never sends it again.
    is_acknowledged: bool,
}

impl SenderRecord {
    fn contradiction(&self, id: &str, copies: &[&StoredMessage]) -> Option<ReceiverFault> {
        let (name, sentence) = if self.is_hostile && !copies.is_empty() {
            (
                "forgery-stored",
                "a forged message is stored: store nothing before its signature is verified.",
            )
        } else if self.is_acknowledged && copies.is_empty() {
            (
                "acknowledged-and-absent",
                "the receiver acknowledged it and does not have it: store first, then respond.",
            )
        } else {
            return None;
        };
        Some(ReceiverFault::new(name, id, sentence))
    }
}

fn stored_twice(id: &str, copies: &[&StoredMessage]) -> Option<ReceiverFault> {
    let keys: Vec<&str> = copies.iter().map(|stored| stored.key.as_str()).collect();
    let (count, keys) = (keys.len(), keys.join(" and "));
    let sentence = format!("stored {count} times, as {keys}: record each id once.");
    (count > 1).then(|| ReceiverFault::new("stored-twice", id, sentence))
}

/// One event delivered under several keys. Events that this run did not send are ignored.
fn several_keys(
    stored: &[&StoredMessage],
    records: &HashMap<&str, SenderRecord>,
) -> Option<ReceiverFault> {
    let mut keys: Vec<&str> = stored.iter().map(|stored| stored.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_sent = stored
        .iter()
        .any(|stored| records.contains_key(stored.id.as_str()));
    (is_sent && keys.len() > 1).then(|| {
        let keys = keys.join(" and ");
        let sentence =
            format!("one event was delivered as {keys}: compare payment, event and date as well.");
        ReceiverFault::new("delivered-under-two-keys", &stored[0].id, sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::MessageKind, *};

    fn sent(id: &str, kind: MessageKind, outcome: DeliveryOutcome) -> SentMessage {
        SentMessage {
            id: id.to_owned(),
            kind,
            outcome,
        }
    }

    fn stored(id: &str, key: &str, event: Option<&str>, delivered: bool) -> StoredMessage {
        StoredMessage {
            id: id.to_owned(),
            key: key.to_owned(),
            event: event.map(str::to_owned),
            delivered,
        }
    }

    /// The sent messages, the stored messages, and the names and ids of the faults.
    type ComparisonCase = (
        Vec<SentMessage>,
        Vec<StoredMessage>,
        &'static [(&'static str, &'static str)],
    );

    fn cases() -> Vec<ComparisonCase> {
        use DeliveryOutcome::{Acknowledged, Failed, Refused};
        use MessageKind::{Forged, Notification, Replayed, SecondId};
        const ABSENT: &[(&str, &str)] = &[("acknowledged-and-absent", "a")];
        let delivered = |id: &str| stored(id, id, Some("paid"), true);
        let acknowledged = || sent("a", Notification, Acknowledged);
        let failed = || sent("a", Notification, Failed);
        let second = || sent("b", SecondId, Acknowledged);
        let (forged, conflict) = (
            stored("f", "f", None, false),
            stored("a", "a~1", None, false),
        );
        let (pending, other) = (
            stored("b", "b", Some("paid"), false),
            stored("y", "y", Some("paid"), true),
        );
        vec![
            (vec![acknowledged()], vec![delivered("a")], &[]),
            (vec![acknowledged()], vec![], ABSENT),
            (vec![failed()], vec![], &[]),
            (vec![failed(), acknowledged()], vec![], ABSENT),
            (
                vec![acknowledged(), sent("a", Replayed, Refused)],
                vec![],
                ABSENT,
            ),
            (vec![sent("a", Replayed, Acknowledged)], vec![], &[]),
            (
                vec![acknowledged()],
                vec![delivered("a"), conflict],
                &[("stored-twice", "a")],
            ),
            (
                vec![acknowledged(), second()],
                vec![delivered("a"), delivered("b")],
                &[("delivered-under-two-keys", "a")],
            ),
            (
                vec![acknowledged(), second()],
                vec![delivered("a"), pending],
                &[],
            ),
            (
                vec![sent("f", Forged, Refused)],
                vec![forged],
                &[("forgery-stored", "f")],
            ),
            (vec![], vec![delivered("x"), other], &[]),
        ]
    }

    #[test]
    fn sent_and_stored_messages_are_compared_one_by_one() {
        for (sent, stored, expected) in cases() {
            let faults = compare(&sent, &stored);
            let found: Vec<_> = faults
                .iter()
                .map(|fault| (fault.name, fault.id.as_str()))
                .collect();
            assert_eq!(found, expected, "{sent:?} {stored:?}");
        }
    }
}
