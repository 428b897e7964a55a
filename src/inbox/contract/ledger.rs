//! The ledger: an event of a payment belongs to the first key that claims it.

use super::{later, pay_source, record_paid, row};
use crate::{
    domain::{Key, SourceName},
    inbox::{EventClaim, Inbox},
    senders::example::{NOW, pay, pay_refund},
};

/// Claims the event of the row for its own key.
async fn claim_event_of(inbox: &impl Inbox, key: &Key) -> EventClaim {
    let event = row(inbox, key).await.event().unwrap();
    let claim = inbox.claim_event(&event, key, later(97)).await;
    claim.unwrap()
}

pub async fn gives_an_event_to_the_first_key_that_claims_it(inbox: &impl Inbox) {
    let (first, second) = (record_paid(inbox, "a").await, record_paid(inbox, "b").await);
    let event = row(inbox, &first).await.event();
    assert_eq!(row(inbox, &second).await.event(), event);

    for (key, expected) in [
        (&first, EventClaim::Acquired),
        (&first, EventClaim::Acquired), // again, after a crash
        (&second, EventClaim::HeldBy(first.clone())),
    ] {
        assert_eq!(claim_event_of(inbox, key).await, expected);
    }

    let refund = pay("c", "payment", "card_payment_refunded", later(1));
    inbox.record(&refund).await.unwrap();
    let claim = claim_event_of(inbox, &refund.key).await;
    assert_eq!(claim, EventClaim::Acquired);
}

pub async fn distinguishes_two_refunds_of_one_instant_by_their_amounts(inbox: &impl Inbox) {
    let refunds = [("one", 1500), ("two", 4000), ("again", 1500)]
        .map(|(id, submitted)| pay_refund(id, "payment", submitted));
    let mut claims = Vec::new();
    for refund in &refunds {
        inbox.record(refund).await.unwrap();
        claims.push(claim_event_of(inbox, &refund.key).await);
    }
    assert_eq!(
        claims,
        [
            EventClaim::Acquired,
            EventClaim::Acquired,
            EventClaim::HeldBy(refunds[0].key.clone())
        ]
    );
}

pub async fn lists_the_claimed_events_of_a_subject(inbox: &impl Inbox) {
    let entries = [
        pay("a", "p1", "card_payment_succeeded", NOW),
        pay("b", "p1", "card_payment_refunded", later(1)),
        pay("c", "p1", "card_payment_refunded", later(2)),
        pay("d", "p2", "card_payment_refunded", later(2)),
    ];
    for entry in &entries {
        inbox.record(entry).await.unwrap();
        claim_event_of(inbox, &entry.key).await;
    }
    let mut entries = inbox.ledger_entries(&pay_source(), "p1").await.unwrap();
    entries.sort();
    let entries: Vec<_> = entries
        .iter()
        .map(|event| (event.event_type(), event.owner.as_str()))
        .collect();
    let refunded = "card_payment_refunded";
    assert_eq!(
        entries,
        [
            (refunded, "pay:b"),
            (refunded, "pay:c"),
            ("card_payment_succeeded", "pay:a")
        ]
    );
    let other = SourceName::new("other").unwrap();
    for (source, subject) in [(&pay_source(), "p3"), (&other, "p1")] {
        assert_eq!(inbox.ledger_entries(source, subject).await.unwrap(), []);
    }
}
