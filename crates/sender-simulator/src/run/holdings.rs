//! What the sender believes, held against what the receiver holds.

use std::collections::HashMap;

use super::{Fate, Fault, Sent};

/// One thing a receiver holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The sender's id of it.
    pub id: String,
    /// What the receiver calls it: the key it is handed on under.
    pub key: String,
    /// The event it tells of, if the same event may come under another id.
    pub event: Option<String>,
    /// Whether it was handed on.
    pub delivered: bool,
}

/// What must not be: acknowledged and absent, stored twice, handed on under two keys, forged and stored.
pub fn compare(sent: &[Sent], held: &[Held]) -> Vec<Fault> {
    let mut by_id: HashMap<&str, Vec<&Held>> = HashMap::new();
    let mut by_event: HashMap<&str, Vec<&Held>> = HashMap::new();
    for one in held {
        by_id.entry(&one.id).or_default().push(one);
        if let Some(event) = one.event.as_deref().filter(|_| one.delivered) {
            by_event.entry(event).or_default().push(one);
        }
    }
    let mut beliefs: HashMap<&str, Belief> = HashMap::new();
    for Sent { id, what, fate } in sent {
        let belief = beliefs.entry(id).or_default();
        belief.is_hostile |= what.is_hostile();
        belief.is_taken |= what.is_genuine() && *fate == Fate::Acknowledged;
    }
    let mut faults: Vec<Fault> = Vec::new();
    for (id, belief) in &beliefs {
        let copies = by_id.get(id).map_or(&[][..], Vec::as_slice);
        faults.extend(
            belief
                .contradicted_by(id, copies)
                .into_iter()
                .chain(twice(id, copies)),
        );
    }
    faults.extend(
        by_event
            .values()
            .filter_map(|held| two_keys(held, &beliefs)),
    );
    faults.sort_by(|a, b| (a.name, &a.id).cmp(&(b.name, &b.id)));
    faults
}

/// What there is to believe of one id, whatever was sent under it.
#[derive(Default)]
struct Belief {
    /// Something that must be refused was.
    is_hostile: bool,
    /// One copy acknowledged is enough for its sender never to send it again.
    is_taken: bool,
}

impl Belief {
    fn contradicted_by(&self, id: &str, copies: &[&Held]) -> Option<Fault> {
        let (name, sentence) = match (self, copies) {
            (
                Self {
                    is_hostile: true, ..
                },
                [_, ..],
            ) => (
                "forgery-stored",
                "a forged message is stored: nothing may be kept before its signature is verified.",
            ),
            (Self { is_taken: true, .. }, []) => (
                "acknowledged-and-absent",
                "the sender was told that it is taken, and the receiver doesn't hold it: store first, answer then.",
            ),
            _ => return None,
        };
        Some(Fault {
            name,
            id: id.to_owned(),
            sentence: sentence.to_owned(),
        })
    }
}

fn twice(id: &str, copies: &[&Held]) -> Option<Fault> {
    (copies.len() > 1).then(|| {
        let keys: Vec<&str> = copies.iter().map(|held| held.key.as_str()).collect();
        let sentence = format!(
            "stored {} times, as {}: record each id once.",
            keys.len(),
            keys.join(" and ")
        );
        Fault {
            name: "stored-twice",
            id: id.to_owned(),
            sentence,
        }
    })
}

/// The same event handed on more than once; only those that this run told of are judged.
fn two_keys(held: &[&Held], beliefs: &HashMap<&str, Belief>) -> Option<Fault> {
    let mut keys: Vec<&str> = held.iter().map(|held| held.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let ours = held
        .iter()
        .any(|held| beliefs.contains_key(held.id.as_str()));
    (ours && keys.len() > 1).then(|| Fault {
        name: "delivered-under-two-keys",
        id: held[0].id.clone(),
        sentence: format!(
            "one event was handed on as {}: compare payment, event and date, too.",
            keys.join(" and ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::What, *};

    fn sent(id: &str, what: What, fate: Fate) -> Sent {
        Sent {
            id: id.to_owned(),
            what,
            fate,
        }
    }

    fn held(id: &str, key: &str, event: Option<&str>, delivered: bool) -> Held {
        Held {
            id: id.to_owned(),
            key: key.to_owned(),
            event: event.map(str::to_owned),
            delivered,
        }
    }

    #[test]
    fn belief_and_holdings_are_compared_message_by_message() {
        use Fate::{Acknowledged, Failed, Refused};
        use What::{Forged, Notification, Replayed, SecondId};
        let delivered = |id: &str| held(id, id, Some("paid"), true);
        for (sent, held, expected) in [
            (
                vec![sent("a", Notification, Acknowledged)],
                vec![delivered("a")],
                vec![],
            ),
            (
                vec![sent("a", Notification, Acknowledged)],
                vec![],
                vec![("acknowledged-and-absent", "a")],
            ),
            (vec![sent("a", Notification, Failed)], vec![], vec![]),
            (
                vec![
                    sent("a", Notification, Failed),
                    sent("a", Notification, Acknowledged),
                ],
                vec![],
                vec![("acknowledged-and-absent", "a")],
            ),
            (
                vec![
                    sent("a", Notification, Acknowledged),
                    sent("a", Replayed, Refused),
                ],
                vec![],
                vec![("acknowledged-and-absent", "a")],
            ),
            (vec![sent("a", Replayed, Acknowledged)], vec![], vec![]),
            (
                vec![sent("a", Notification, Acknowledged)],
                vec![delivered("a"), held("a", "a~1", None, false)],
                vec![("stored-twice", "a")],
            ),
            (
                vec![
                    sent("a", Notification, Acknowledged),
                    sent("b", SecondId, Acknowledged),
                ],
                vec![delivered("a"), delivered("b")],
                vec![("delivered-under-two-keys", "a")],
            ),
            (
                vec![
                    sent("a", Notification, Acknowledged),
                    sent("b", SecondId, Acknowledged),
                ],
                vec![delivered("a"), held("b", "b", Some("paid"), false)],
                vec![],
            ),
            (
                vec![sent("f", Forged, Refused)],
                vec![held("f", "f", None, false)],
                vec![("forgery-stored", "f")],
            ),
            (
                vec![],
                vec![delivered("x"), held("y", "y", Some("paid"), true)],
                vec![],
            ),
        ] {
            let faults = compare(&sent, &held);
            let found: Vec<_> = faults
                .iter()
                .map(|fault| (fault.name, fault.id.as_str()))
                .collect();
            assert_eq!(found, expected, "{sent:?} {held:?}");
        }
    }
}
