//! Compares a payment with the events received for it, and finds the missing ones. Pure.
//!
//! An event is missing some time after it happened, three hours by default, because until then Pay
//! may still push it. The age of the event counts, and not the age of the payment: a payment of
//! last week may have been captured just now. Only events that the webhook subscribes to, and for
//! which Pay sends a webhook at all, can be missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    domain::{Key, Timestamp},
    inbox::{LedgerEntry, PendingEvent},
    senders::{OBSERVED_EVENT_TYPE, Payment},
};

/// The longest that a payment waits for its payer.
const PAYMENT_TIMEOUT: Duration = Duration::from_secs(90 * 60);
/// Pay gives only the day of a capture, so the capture is certain when that day is over.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An event that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpectedEvent {
    /// `card_payment_succeeded`.
    Succeeded,
    /// `card_payment_captured`.
    Captured,
    /// `card_payment_failed`.
    Failed,
    /// `card_payment_expired`.
    Expired,
    /// `card_payment_failed`, or `card_payment_succeeded` if the capture failed, for which Pay
    /// sends no event.
    FailedOrSucceeded,
    /// One `card_payment_refunded` for each refund.
    Refunded,
}

impl ExpectedEvent {
    /// The name of the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "card_payment_succeeded",
            Self::Captured => "card_payment_captured",
            Self::Failed => "card_payment_failed",
            Self::Expired => "card_payment_expired",
            Self::FailedOrSucceeded => "card_payment_failed or card_payment_succeeded",
            Self::Refunded => "card_payment_refunded",
        }
    }

    /// Whether the event is about the payment's current state, whose time is only in Pay's history.
    pub(super) fn is_of_state(self) -> bool {
        !matches!(self, Self::Captured | Self::Refunded)
    }

    fn is_received(self, received: &ReceivedEvents) -> bool {
        match self {
            Self::FailedOrSucceeded => {
                Self::Failed.is_received(received) || Self::Succeeded.is_received(received)
            }
            one => received.count(one.as_str()) > 0,
        }
    }
}

/// The events received for one payment: the distinct keys of each event type.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceivedEvents(BTreeMap<String, BTreeSet<Key>>);

impl ReceivedEvents {
    /// The events in the ledger and those that are pending. Pending events count as received,
    /// because they are still to be delivered or handled by a person.
    pub(super) fn new<'a>(
        ledger: Vec<LedgerEntry>,
        pending: impl IntoIterator<Item = &'a PendingEvent>,
    ) -> Self {
        let mut received = Self::default();
        for event in ledger {
            received.add(event.event_type().to_owned(), event.owner);
        }
        for row in pending {
            received.add(row.event_type.clone(), row.key.clone());
        }
        received
    }

    fn add(&mut self, event_type: String, key: Key) {
        self.0.entry(event_type).or_default().insert(key);
    }

    fn count(&self, event_type: &str) -> usize {
        self.0.get(event_type).map_or(0, BTreeSet::len)
    }

    /// Whether the observation with this key was received.
    pub(super) fn has_observation(&self, key: &Key) -> bool {
        let observed = self.0.get(OBSERVED_EVENT_TYPE);
        observed.is_some_and(|keys| keys.contains(key))
    }

    /// The number of refund events received.
    pub(super) fn refunds(&self) -> usize {
        self.count(ExpectedEvent::Refunded.as_str())
    }
}

/// The event that a payment's state requires, apart from refunds. `None` until the state is final.
fn state(payment: &Payment) -> Option<ExpectedEvent> {
    match (payment.status.as_str(), payment.code.as_deref()) {
        ("success", _) => Some(ExpectedEvent::Succeeded),
        ("failed", Some("P0010" | "P0030")) | ("cancelled", _) => Some(ExpectedEvent::Failed),
        ("failed", Some("P0020")) => Some(ExpectedEvent::Expired),
        ("error", _) => Some(ExpectedEvent::FailedOrSucceeded),
        _ => None,
    }
}

/// The latest time at which the payment was captured, if it was.
pub(super) fn captured_by(payment: &Payment) -> Option<Timestamp> {
    let day_over = payment.captured_on?.plus(DAY);
    Some(
        payment
            .capture_submitted_at
            .map_or(day_over, |submitted| submitted.max(day_over)),
    )
}

/// Which events Pay pushes to a source, and how long it has for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct WebhookExpectation<'a> {
    /// The events that the webhook subscribes to.
    pub(super) events: &'a [&'static str],
    /// How long Pay has to push an event.
    pub(super) after: Duration,
}

impl WebhookExpectation<'_> {
    /// Whether Pay should have sent the webhook of an event at `at` by now.
    pub(super) fn is_overdue(self, at: Timestamp, now: Timestamp) -> bool {
        at.plus(self.after) <= now
    }

    /// Whether Pay pushes this event of `payment`. Telephone payments have no event of success.
    fn is_pushed(self, what: ExpectedEvent, payment: &Payment) -> bool {
        let has_event = |one: ExpectedEvent| self.events.contains(&one.as_str());
        match what {
            ExpectedEvent::Succeeded => has_event(what) && !payment.is_by_telephone,
            // Which of the two it would be cannot be known, so both must be pushed.
            ExpectedEvent::FailedOrSucceeded => {
                has_event(ExpectedEvent::Failed)
                    && has_event(ExpectedEvent::Succeeded)
                    && !payment.is_by_telephone
            }
            _ => has_event(what),
        }
    }

    /// The events of `payment` that are missing, apart from refunds. An event of its state may
    /// still be within its time: the caller checks when the payment entered the state.
    pub(super) fn missing_events(
        self,
        payment: &Payment,
        received: &ReceivedEvents,
        now: Timestamp,
    ) -> Vec<ExpectedEvent> {
        let is_captured = captured_by(payment).is_some_and(|at| self.is_overdue(at, now));
        let mut missing = self.awaited_events(payment, received);
        missing.retain(|what| *what != ExpectedEvent::Captured || is_captured);
        missing
    }

    /// The events of `payment` that were not received, whether Pay still has time or not, apart
    /// from refunds.
    pub(super) fn awaited_events(
        self,
        payment: &Payment,
        received: &ReceivedEvents,
    ) -> Vec<ExpectedEvent> {
        let captured = captured_by(payment).map(|_| ExpectedEvent::Captured);
        state(payment)
            .into_iter()
            .chain(captured)
            .filter(|what| self.is_pushed(*what, payment) && !what.is_received(received))
            .collect()
    }

    /// Whether a refund of `payment` may be missing.
    pub(super) fn has_refunds(self, payment: &Payment) -> bool {
        payment.refunded > 0 && self.is_pushed(ExpectedEvent::Refunded, payment)
    }

    /// When the first missing refund was first seen: of the successful refunds in the order in
    /// which they were seen, the first that has no event and is overdue.
    pub(super) fn first_missing_refund(
        self,
        seen: &[Timestamp],
        received: &ReceivedEvents,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let first = seen.get(received.refunds()).copied();
        first.filter(|at| self.is_overdue(*at, now))
    }
}

/// A state in Pay's history of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateChange {
    pub(super) status: String,
    pub(super) is_finished: bool,
    pub(super) at: Timestamp,
}

/// When `payment` entered its state. `None` if Pay sends no webhook for how it did: a correction
/// of a final state, or the expiry of a payment that was authorised, whose cancellation may have
/// failed.
pub(super) fn pushed_since(payment: &Payment, history: &[StateChange]) -> Option<Timestamp> {
    let of_state = history
        .iter()
        .filter(|change| change.status == payment.status);
    let Some(entered) = of_state.map(|change| change.at).max() else {
        return Some(payment.created_at.plus(PAYMENT_TIMEOUT));
    };
    let before = || history.iter().filter(|change| change.at < entered);
    let was_corrected = before().any(|change| change.is_finished)
        && state(payment) != Some(ExpectedEvent::FailedOrSucceeded);
    let was_authorised = before()
        .any(|change| matches!(&*change.status, "submitted" | "capturable"))
        && state(payment) == Some(ExpectedEvent::Expired);
    (!was_corrected && !was_authorised).then_some(entered)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{domain::NotificationId, senders::example::NOW};

    const ALL: WebhookExpectation<'_> = WebhookExpectation {
        events: &[
            "card_payment_succeeded",
            "card_payment_captured",
            "card_payment_failed",
            "card_payment_expired",
            "card_payment_refunded",
        ],
        after: Duration::from_secs(3 * 60 * 60),
    };

    pub(in super::super) fn payment(status: &str, code: &str) -> Payment {
        Payment {
            id: NotificationId::new("p1").unwrap(),
            created_at: NOW.minus(Duration::from_secs(24 * 60 * 60)),
            status: status.to_owned(),
            code: (!code.is_empty()).then(|| code.to_owned()),
            capture_submitted_at: None,
            captured_on: None,
            refunded: 0,
            is_by_telephone: false,
        }
    }

    fn received(types: &[&str]) -> ReceivedEvents {
        let entry = |(number, event_type): (usize, &&str)| LedgerEntry {
            event: format!("{event_type}|{number}"),
            owner: Key::parse(&format!("pay:{number}")).unwrap(),
        };
        ReceivedEvents::new(types.iter().enumerate().map(entry).collect(), [])
    }

    #[test]
    fn a_final_state_needs_its_event_and_no_other_state_needs_any() {
        let (succeeded, failed, expired) = (
            ExpectedEvent::Succeeded,
            ExpectedEvent::Failed,
            ExpectedEvent::Expired,
        );
        for (status, code, what) in [
            ("success", "", Some(succeeded)),
            ("failed", "P0010", Some(failed)),
            ("failed", "P0030", Some(failed)),
            ("failed", "P0020", Some(expired)),
            ("failed", "P9999", None),
            ("failed", "", None),
            ("cancelled", "P0040", Some(failed)),
            ("error", "P0050", Some(ExpectedEvent::FailedOrSucceeded)),
            ("created", "", None),
            ("started", "", None),
            ("submitted", "", None),
            ("capturable", "", None),
            ("something new", "", None),
        ] {
            let payment = payment(status, code);
            assert_eq!(
                ALL.missing_events(&payment, &received(&[]), NOW),
                Vec::from_iter(what),
                "{status} {code}"
            );
            if let Some(what) = what.filter(|what| *what != ExpectedEvent::FailedOrSucceeded) {
                assert_eq!(
                    ALL.missing_events(&payment, &received(&[what.as_str()]), NOW),
                    [],
                    "{status} {code}"
                );
            }
        }
    }

    #[test]
    fn a_failed_capture_has_only_the_success_event_before_it() {
        let error = payment("error", "P0050");
        for (received_types, expected) in [
            (&["card_payment_succeeded"][..], vec![]),
            (&["card_payment_failed"], vec![]),
            (
                &["card_payment_captured"],
                vec![ExpectedEvent::FailedOrSucceeded],
            ),
        ] {
            assert_eq!(
                ALL.missing_events(&error, &received(received_types), NOW),
                expected
            );
        }
    }

    #[test]
    fn a_capture_is_overdue_three_hours_after_its_day() {
        let day = Timestamp::parse("2026-03-02T00:00:00Z").unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (submitted, now, is_missed) in [
            (None, "2026-03-03T02:59:59.999Z", false),
            (None, "2026-03-03T03:00:00.000Z", true),
            (
                Some("2026-03-02T23:59:00Z"),
                "2026-03-03T03:00:00.000Z",
                true,
            ),
            (
                Some("2026-03-03T01:00:00Z"),
                "2026-03-03T03:59:59.999Z",
                false,
            ),
            (
                Some("2026-03-03T01:00:00Z"),
                "2026-03-03T04:00:00.000Z",
                true,
            ),
        ] {
            let mut payment = payment("success", "");
            (payment.captured_on, payment.capture_submitted_at) = (Some(day), submitted.map(at));
            let missing_events =
                ALL.missing_events(&payment, &received(&["card_payment_succeeded"]), at(now));
            assert_eq!(
                missing_events,
                if is_missed {
                    vec![ExpectedEvent::Captured]
                } else {
                    vec![]
                },
                "{submitted:?} {now}"
            );
        }
        let mut submitted = payment("success", "");
        submitted.capture_submitted_at = Some(day);
        assert_eq!(
            captured_by(&submitted),
            None,
            "a submitted capture is not yet a capture"
        );
    }

    #[test]
    fn an_event_that_the_webhook_does_not_send_is_not_missing() {
        let (succeeded, captured) = ("card_payment_succeeded", "card_payment_captured");
        let (failed, expired) = ("card_payment_failed", "card_payment_expired");
        for (status, code, events, by_telephone, is_missed) in [
            ("success", "", vec![succeeded], false, true),
            ("success", "", vec![captured, failed, expired], false, false),
            ("success", "", ALL.events.to_vec(), true, false),
            ("failed", "P0010", vec![failed], false, true),
            ("failed", "P0010", vec![failed], true, true),
            ("failed", "P0010", vec![captured], false, false),
            ("failed", "P0020", vec![expired], false, true),
            ("failed", "P0020", vec![captured, failed], false, false),
            ("error", "P0050", vec![failed, succeeded], false, true),
            ("error", "P0050", vec![failed], false, false),
            ("error", "P0050", vec![succeeded], false, false),
            ("error", "P0050", ALL.events.to_vec(), true, false),
        ] {
            let payment = Payment {
                is_by_telephone: by_telephone,
                ..payment(status, code)
            };
            let only = WebhookExpectation {
                events: &events,
                ..ALL
            };
            let missing = only.missing_events(&payment, &received(&[]), NOW);
            assert_eq!(!missing.is_empty(), is_missed, "{status} {code} {events:?}");
        }
        let refunded = Payment {
            refunded: 1,
            ..payment("success", "")
        };
        let only_captured = WebhookExpectation {
            events: &[captured],
            ..ALL
        };
        assert!(ALL.has_refunds(&refunded) && !only_captured.has_refunds(&refunded));
    }

    #[test]
    fn a_correction_and_the_expiry_of_an_authorised_payment_have_no_webhook() {
        let entered = |hours: u64| NOW.minus(Duration::from_secs(hours * 60 * 60));
        let change = |(status, hours): &(&str, u64)| StateChange {
            status: (*status).to_owned(),
            is_finished: matches!(*status, "success" | "failed" | "cancelled" | "error"),
            at: entered(*hours),
        };
        for (status, code, history, since) in [
            (
                "success",
                "",
                &[("submitted", 9), ("success", 8)][..],
                Some(8),
            ),
            ("success", "", &[("failed", 9), ("success", 8)], None),
            ("cancelled", "", &[("success", 9), ("cancelled", 8)], None),
            ("error", "P0050", &[("success", 9), ("error", 8)], Some(8)),
            ("failed", "P0020", &[("started", 9), ("failed", 8)], Some(8)),
            ("failed", "P0020", &[("submitted", 9), ("failed", 8)], None),
            ("failed", "P0020", &[("capturable", 9), ("failed", 8)], None),
            (
                "failed",
                "P0010",
                &[("submitted", 9), ("failed", 8)],
                Some(8),
            ),
        ] {
            let history: Vec<_> = history.iter().map(change).collect();
            let found = pushed_since(&payment(status, code), &history);
            assert_eq!(found, since.map(entered), "{status} {code} {history:?}");
        }
        let payment = payment("success", "");
        let timeout = payment.created_at.plus(PAYMENT_TIMEOUT);
        assert_eq!(pushed_since(&payment, &[]), Some(timeout));
    }

    #[test]
    fn each_refund_needs_its_own_event() {
        let at = |hours: u64| NOW.minus(Duration::from_secs(hours * 60 * 60));
        let refunded = "card_payment_refunded";
        for (made, received_types, since) in [
            (vec![], vec![], None),
            (vec![at(3)], vec![], Some(at(3))),
            (vec![at(2)], vec![], None),
            (vec![at(9), at(3)], vec![refunded], Some(at(3))),
            (vec![at(9), at(3)], vec![refunded; 2], None),
            (vec![at(9), at(2)], vec![refunded], None),
            (vec![at(9)], vec![refunded; 3], None),
        ] {
            let found = ALL.first_missing_refund(&made, &received(&received_types), NOW);
            assert_eq!(found, since, "{made:?} {received_types:?}");
        }
    }

    #[test]
    fn a_pending_event_counts_once_whether_or_not_the_ledger_has_it() {
        let key = |id: &str| Key::parse(id).unwrap();
        let refunded = || "card_payment_refunded".to_owned();
        let open = |id| PendingEvent {
            key: key(id),
            event_type: refunded(),
            subject: "p1".to_owned(),
        };
        let ledger = vec![LedgerEntry {
            event: "card_payment_refunded|1".to_owned(),
            owner: key("pay:a"),
        }];
        let received = ReceivedEvents::new(ledger, &[open("pay:a"), open("pay:b")]);
        assert_eq!(received.refunds(), 2);
    }
}
