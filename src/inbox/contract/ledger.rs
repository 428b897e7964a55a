//! The ledger: an event of a payment belongs to the first key that claims it.

use super::{later, pay_source, recorded, row};
use crate::{
    domain::SourceName,
    inbox::{EventClaim, Inbox},
    senders::example::{NOW, pay, pay_refund},
};

pub async fn gives_an_event_to_the_first_key_that_claims_it(inbox: &impl Inbox) {
    let (first, second) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    let event = row(inbox, &first).await.event().unwrap();
    assert_eq!(
        row(inbox, &second).await.event().as_ref(),
        Some(&event),
        "one event under two ids"
    );

    assert_eq!(
        inbox.claim_event(&event, &first, later(97)).await.unwrap(),
        EventClaim::Acquired
    );
    assert_eq!(
        inbox.claim_event(&event, &first, later(97)).await.unwrap(),
        EventClaim::Acquired,
        "the key still holds it after a crash"
    );
    assert_eq!(
        inbox.claim_event(&event, &second, later(97)).await.unwrap(),
        EventClaim::HeldBy(first)
    );

    let refund = pay("c", "payment", "card_payment_refunded", later(1));
    inbox.record(&refund).await.unwrap();
    let refunded = row(inbox, &refund.key).await.event().unwrap();
    assert_eq!(
        inbox
            .claim_event(&refunded, &refund.key, later(97))
            .await
            .unwrap(),
        EventClaim::Acquired
    );
}

pub async fn tells_two_refunds_of_one_instant_apart_by_their_amounts(inbox: &impl Inbox) {
    let refunds = [("one", 1500), ("two", 4000), ("again", 1500)]
        .map(|(id, submitted)| pay_refund(id, "payment", submitted));
    let mut claims = Vec::new();
    for refund in &refunds {
        inbox.record(refund).await.unwrap();
        let event = row(inbox, &refund.key).await.event().unwrap();
        let claim = inbox.claim_event(&event, &refund.key, later(97)).await;
        claims.push(claim.unwrap());
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
        let event = row(inbox, &entry.key).await.event().unwrap();
        inbox
            .claim_event(&event, &entry.key, later(97))
            .await
            .unwrap();
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
    assert_eq!(inbox.ledger_entries(&pay_source(), "p3").await.unwrap(), []);
    assert_eq!(
        inbox
            .ledger_entries(&SourceName::new("other").unwrap(), "p1")
            .await
            .unwrap(),
        []
    );
}
