//! Looks up one payment at GOV.UK Pay, for a person.
//!
//! It makes a few calls without a lock, a rate limit or a retry, because a person looks up one
//! payment at a time and can try again. Nothing is recorded.

use std::collections::BTreeSet;

use super::{
    ExpectedEvent, PayAccess, PayError,
    client::{PayClient, WholePayment},
    judge::{ReceivedEvents, WebhookExpectation, pushed_since},
};
use crate::{
    domain::{NotificationId, SourceName, Timestamp},
    inbox::{InboxError, ReconcileInbox},
};

/// An event that Pay should push and that was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedEvent {
    /// The event.
    pub event: ExpectedEvent,
    /// Whether it is missing: Pay should have pushed it by now.
    pub is_missing: bool,
}

/// The current state of a payment at Pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentAtPay {
    /// Its state at Pay.
    pub status: String,
    /// The events that were not received, in the order in which they happen.
    pub awaited: Vec<AwaitedEvent>,
}

/// The ids of the payments that have this reference at Pay, at most 20.
///
/// # Errors
/// If the call to Pay fails.
pub async fn payments_by_reference(
    access: &PayAccess,
    reference: &str,
) -> Result<Vec<NotificationId>, PayError> {
    let payments = PayClient::new(access)?
        .payments_by_reference(reference)
        .await?;
    Ok(payments.into_iter().map(|payment| payment.id).collect())
}

/// The current state of a payment at Pay, compared with the received events; `None` if Pay does not
/// know it.
///
/// # Errors
/// The outer error if the inbox cannot be read; the inner one if a call to Pay fails.
pub async fn payment_at_pay(
    access: &PayAccess,
    inbox: &impl ReconcileInbox,
    (source, id): (&SourceName, &NotificationId),
    now: Timestamp,
) -> Result<Result<Option<PaymentAtPay>, PayError>, InboxError> {
    let lookup = async { PayClient::new(access)?.whole_payment(id).await };
    let whole = match lookup.await {
        Ok(Some(whole)) => whole,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    // The pending index first: a row that leaves it in between is in the ledger by then.
    let subjects = BTreeSet::from([id.as_str().to_owned()]);
    let pending = inbox.pending_events(source, &subjects).await?;
    let ledger = inbox.ledger_entries(source, id.as_str()).await?;
    let received = ReceivedEvents::new(ledger, &pending);
    Ok(Ok(Some(PaymentAtPay {
        awaited: awaited(access, &whole, &received, now),
        status: whole.payment.status,
    })))
}

fn awaited(
    access: &PayAccess,
    whole: &WholePayment,
    received: &ReceivedEvents,
    now: Timestamp,
) -> Vec<AwaitedEvent> {
    let Some(events) = &access.events else {
        return Vec::new(); // no webhook, so no event is pushed
    };
    let expectation = WebhookExpectation {
        events,
        after: access.after,
    };
    let payment = &whole.payment;
    let is_overdue = |at| expectation.is_overdue(at, now);
    let mut awaited: Vec<AwaitedEvent> = expectation
        .awaited_events(payment, received)
        .into_iter()
        .filter_map(|event| {
            let at = match event {
                ExpectedEvent::Captured => super::judge::captured_by(payment),
                _ => pushed_since(payment, &whole.history),
            };
            Some(AwaitedEvent {
                event,
                is_missing: is_overdue(at?),
            })
        })
        .collect();
    if expectation.has_refunds(payment) && whole.refunds > received.refunds() {
        // Pay gives no time at which a refund succeeded, so its age is not known.
        awaited.push(AwaitedEvent {
            event: ExpectedEvent::Refunded,
            is_missing: false,
        });
    }
    awaited
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::judge::{StateChange, tests::payment},
        *,
    };
    use crate::{domain::Key, inbox::LedgerEntry, secrets::Secret, senders::example::NOW};

    #[test]
    fn an_event_is_awaited_until_its_time_has_passed_and_then_missing() {
        let access = PayAccess {
            base_url: "https://pay.example".parse().unwrap(),
            api_key: Secret::new("a key of some length".to_owned()),
            every: Duration::from_secs(300),
            after: Duration::from_secs(3 * 60 * 60),
            events: Some(vec!["card_payment_succeeded", "card_payment_captured"]),
        };
        let ledger = |types: &[&str]| {
            let entry = |event_type: &&str| LedgerEntry {
                event: format!("{event_type}|1"),
                owner: Key::parse("pay:m1").unwrap(),
            };
            ReceivedEvents::new(types.iter().map(entry).collect(), [])
        };
        for (hours, received, expected) in [
            (2, &[][..], Some(false)),
            (3, &[], Some(true)),
            (3, &["card_payment_succeeded"], None),
        ] {
            let at = NOW.minus(Duration::from_secs(hours * 60 * 60));
            let whole = WholePayment {
                payment: payment("success", ""),
                history: vec![StateChange {
                    status: "success".to_owned(),
                    is_finished: true,
                    at,
                }],
                refunds: 0,
            };
            let found = awaited(&access, &whole, &ledger(received), NOW);
            let missing = found.first().map(|one| one.is_missing);
            assert_eq!(missing, expected, "{hours} h, {received:?}");
        }
    }
}
