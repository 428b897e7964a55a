//! The `n`th message of a run. It depends only on the seed, so a run stores no messages.

use std::time::Duration;

use super::{
    plan::RunPlan,
    seeded_rng::{RngStream, SeededRng},
};
use crate::{
    MessageBody, Sender, Timestamp,
    apis::ppns::BoxNotification,
    govuk_pay::{PaymentEvent, PaymentKind, PaymentMessages},
    hmrc::{self, HmrcMessage},
};

/// Payments and messages begin one second apart. After half a day they begin at the start again.
const SPREAD_SECS: u64 = 12 * 60 * 60;
/// The days that HMRC keeps notifications.
const RETENTION_DAYS: u64 = 30;

/// The `n`th message.
pub(super) fn body(plan: &RunPlan, n: u64) -> MessageBody {
    match plan.sender {
        Sender::Hmrc => notification(plan, n).body(),
        Sender::GovukPay => payment_event(plan, n, RngStream::Message),
    }
}

/// The event of the `n`th message with another id. HMRC never does this, so its message is the
/// same.
pub(super) fn with_second_id(plan: &RunPlan, n: u64) -> MessageBody {
    match plan.sender {
        Sender::Hmrc => notification(plan, n).body(),
        Sender::GovukPay => payment_event(plan, n, RngStream::Other),
    }
}

/// A message that is not part of the run, for the forgery after the `n`th message.
pub(super) fn unrelated(plan: &RunPlan, n: u64) -> MessageBody {
    let rng = SeededRng::new(plan.seed, RngStream::Other, !n, plan.start);
    plan.sender
        .body(None, &rng)
        .expect("the sender's first event is known")
}

/// The payment and event of each of nine consecutive messages. Of five payments one is captured,
/// one is captured and partly refunded twice, one fails, one expires, and one is taken over the
/// telephone.
const PAYMENT_EVENTS: [(u64, EventSpec); 9] = [
    (0, EventSpec::First(PaymentEvent::Succeeded)),
    (0, EventSpec::First(PaymentEvent::Captured)),
    (1, EventSpec::First(PaymentEvent::Succeeded)),
    (1, EventSpec::First(PaymentEvent::Captured)),
    (1, EventSpec::First(PaymentEvent::Refunded)),
    (1, EventSpec::SecondRefund),
    (2, EventSpec::First(PaymentEvent::Failed)),
    (3, EventSpec::First(PaymentEvent::Expired)),
    (TELEPHONE, EventSpec::First(PaymentEvent::Captured)),
];
const PAYMENTS: u64 = 5;
const TELEPHONE: u64 = 4;
/// The kinds of the payments that succeed, in turn.
const KINDS: [PaymentKind; 6] = [
    PaymentKind::Card,
    PaymentKind::ApplePay,
    PaymentKind::DelayedCapture,
    PaymentKind::GooglePay,
    PaymentKind::CorporateSurcharge,
    PaymentKind::Agreement,
];

/// The kind of a payment of the `nth` group of five.
fn kind(nth: u64, payment: u64) -> PaymentKind {
    match payment {
        0 | 1 => KINDS[((nth + 3 * payment) % 6) as usize],
        TELEPHONE => PaymentKind::Telephone,
        _ => PaymentKind::Card,
    }
}

#[derive(Clone, Copy)]
enum EventSpec {
    First(PaymentEvent),
    SecondRefund,
}

fn payment_event(plan: &RunPlan, n: u64, id: RngStream) -> MessageBody {
    let nth = n / PAYMENT_EVENTS.len() as u64;
    let (payment, event) = PAYMENT_EVENTS[n as usize % PAYMENT_EVENTS.len()];
    let (kind, payment) = (kind(nth, payment), nth * PAYMENTS + payment);
    let created = creation_date(plan, payment);
    let rng = SeededRng::new(plan.seed, RngStream::Payment, payment, created);
    let payment = PaymentMessages::new(created, &rng).with_kind(kind);
    let rng = SeededRng::new(plan.seed, id, n, created);
    match event {
        EventSpec::First(event) => payment.body(event, &rng),
        EventSpec::SecondRefund => payment.second_refund(&rng),
    }
}

/// The sizes of long messages, in bytes. One message in fifty is long.
const LONG_BYTES: [usize; 3] = [100 * 1024, 500 * 1024, 2 * 1024 * 1024];

/// The `n`th notification, which HMRC stores whether or not it is pushed.
pub(super) fn notification(plan: &RunPlan, n: u64) -> BoxNotification {
    let created = if n < plan.backlog {
        backlog_date(plan, n)
    } else {
        creation_date(plan, n)
    };
    let rng = SeededRng::new(plan.seed, RngStream::Message, n, created);
    let message = match n % 50 {
        49 => {
            let bytes = LONG_BYTES[(n / 50 % 3) as usize];
            if (n / 50).is_multiple_of(2) {
                HmrcMessage::long_json(bytes, &rng)
            } else {
                HmrcMessage::long_xml(bytes, &rng)
            }
        }
        nth => {
            let name = hmrc::EVENTS[nth as usize % hmrc::EVENTS.len()];
            HmrcMessage::named(name, &rng).expect("every name in EVENTS is known")
        }
    };
    BoxNotification::new(&box_id(plan), message, &rng)
}

/// The id of the box that an HMRC run pushes from.
pub fn box_id(plan: &RunPlan) -> String {
    hmrc::new_box_id(&SeededRng::new(plan.seed, RngStream::Box, 0, plan.start))
}

fn creation_date(plan: &RunPlan, n: u64) -> Timestamp {
    plan.start.plus(Duration::from_secs(n % SPREAD_SECS))
}

/// Spread evenly over the days that HMRC keeps a backlog, the oldest first.
fn backlog_date(plan: &RunPlan, n: u64) -> Timestamp {
    let span = Duration::from_secs((RETENTION_DAYS - 3) * 24 * 60 * 60);
    let share = u128::from(n) * span.as_millis() / u128::from(plan.backlog.max(1));
    let share = Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX));
    plan.start.minus(span).plus(share)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::Value;
    use url::Url;

    use super::*;

    fn plan(sender: Sender, seed: u64) -> RunPlan {
        let now = Timestamp::parse("2026-11-25T08:00:00Z").unwrap();
        RunPlan::new(
            sender,
            Url::parse("http://localhost/").unwrap(),
            "secret".to_owned(),
            seed,
            now,
        )
    }

    fn value(body: &MessageBody) -> Value {
        serde_json::from_str(&body.wire).unwrap()
    }

    #[test]
    fn a_seed_sends_the_same_messages_all_day_and_another_seed_sends_others() {
        for sender in Sender::ALL {
            let mut later = plan(sender, 7);
            later.start = super::super::plan::default_start(
                Timestamp::parse("2026-11-25T23:59:59Z").unwrap(),
            );
            for n in [0, 5, 49, 1_000_003] {
                assert_eq!(body(&plan(sender, 7), n), body(&later, n));
                assert_ne!(body(&plan(sender, 7), n).id, body(&plan(sender, 8), n).id);
            }
        }
    }

    #[test]
    fn no_id_is_used_twice_not_even_by_forgeries() {
        for sender in Sender::ALL {
            let plan = plan(sender, 7);
            let bodies = (0..100).flat_map(|n| [body(&plan, n), unrelated(&plan, n)]);
            let ids: Vec<String> = bodies.map(|body| body.id).collect();
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        }
    }

    #[test]
    fn pay_sends_all_events_of_each_payment_and_all_are_in_the_past() {
        let plan = plan(Sender::GovukPay, 7);
        let mut payments: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0..90 {
            let value = value(&body(&plan, n));
            let (payment, event) = (
                value["resource_id"].as_str().unwrap(),
                value["event_type"].as_str().unwrap(),
            );
            payments
                .entry(payment.to_owned())
                .or_default()
                .push(event.replace("card_payment_", ""));
            assert!(
                value["created_date"].as_str() < Some("2026-11-25T00:00:00.000Z"),
                "{value}"
            );
            assert!(
                value["created_date"].as_str() > Some("2026-11-23T00:00:00.000Z"),
                "{value}"
            );
        }
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for events in payments.into_values() {
            *counted.entry(events.join(" ")).or_default() += 1;
        }
        let expected = [
            "captured",
            "expired",
            "failed",
            "succeeded captured",
            "succeeded captured refunded refunded",
        ];
        assert_eq!(
            counted,
            expected.map(|events| (events.to_owned(), 10)).into()
        );
    }

    #[test]
    fn pay_sends_every_kind_of_payment() {
        let plan = plan(Sender::GovukPay, 7);
        let kinds: HashSet<&str> = (0..12)
            .map(|payment| kind(payment / 2, payment % 2).as_str())
            .chain([kind(0, TELEPHONE).as_str()])
            .collect();
        assert_eq!(kinds.len(), 1 + PaymentKind::SPECIAL.len());
        let resources = (0..9 * 6).map(|n| value(&body(&plan, n))["resource"].take());
        let resources: Vec<Value> = resources.collect();
        for has in [
            |resource: &Value| resource.get("email").is_none(),
            |resource: &Value| resource.get("return_url").is_none(),
            |resource: &Value| resource["delayed_capture"] == true,
            |resource: &Value| resource["total_amount"] == 5250,
        ] {
            assert!(resources.iter().any(has));
        }
    }

    #[test]
    fn an_event_with_a_second_id_differs_only_in_its_id() {
        let plan = plan(Sender::GovukPay, 7);
        for n in 0..9 {
            let (mut first, mut second) =
                (value(&body(&plan, n)), value(&with_second_id(&plan, n)));
            assert_ne!(
                first["webhook_message_id"].take(),
                second["webhook_message_id"].take()
            );
            assert_eq!(first, second);
        }
    }

    #[test]
    fn hmrc_sends_every_kind_of_message_up_to_two_megabytes_to_one_box() {
        let plan = plan(Sender::Hmrc, 7);
        let values: Vec<(usize, Value)> = (0..300)
            .map(|n| (body(&plan, n).wire.len(), value(&body(&plan, n))))
            .collect();
        let boxes: HashSet<&str> = values
            .iter()
            .map(|(_, value)| value["boxId"].as_str().unwrap())
            .collect();
        assert_eq!(boxes.len(), 1);
        for content_type in ["application/json", "application/xml"] {
            let longest = values
                .iter()
                .filter(|(_, value)| value["messageContentType"] == content_type)
                .map(|(length, _)| *length)
                .max();
            assert!(
                longest > Some(2 * 1024 * 1024),
                "{content_type}: {longest:?}"
            );
        }
        assert!(
            (0..5).any(|n| body(&plan, n).signed != body(&plan, n).wire),
            "some have astral characters"
        );
    }

    #[test]
    fn a_backlog_covers_a_month_less_the_days_of_the_run() {
        let mut plan = plan(Sender::Hmrc, 7);
        plan.backlog = 100;
        let created = |n| {
            value(&body(&plan, n))["createdDateTime"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(created(0), "2026-10-27T00:00:00.000+0000");
        assert!(created(99) > created(1) && created(99) < created(100));
    }
}
