//! The `n`th message of a run: drawn from the seed alone, so that nothing has to be remembered of it.

use std::time::Duration;

use super::{
    dice::{Dice, Of},
    plan::Plan,
};
use crate::{
    Body, Sender, Timestamp,
    govuk_pay::{Event, Payment},
    hmrc::{self, Message},
    pull::ppns::Notification,
};

/// Payments and messages begin a second apart, and after half a day from the beginning again.
const SPREAD: u64 = 12 * 60 * 60;
/// How far back HMRC keeps notifications.
const KEPT_DAYS: u64 = 30;

/// The `n`th message.
pub(super) fn body(plan: &Plan, n: u64) -> Body {
    match plan.sender {
        Sender::Hmrc => kept(plan, n).body(),
        Sender::GovukPay => pay_event(plan, n, Of::Message),
    }
}

/// The `n`th message's event again, under another id; HMRC never does that, and tells the message itself.
pub(super) fn again(plan: &Plan, n: u64) -> Body {
    match plan.sender {
        Sender::Hmrc => kept(plan, n).body(),
        Sender::GovukPay => pay_event(plan, n, Of::Other),
    }
}

/// A message of nobody's, for forgeries beside the `n`th.
pub(super) fn stranger(plan: &Plan, n: u64) -> Body {
    let dice = Dice::new(plan.seed, Of::Other, !n, plan.start);
    plan.sender
        .body(None, &dice)
        .expect("the sender's first event is known")
}

/// Four payments tell eight messages: one is captured, one captured and partly refunded twice, one fails and one
/// expires.
const LIVES: [(u64, Telling); 8] = [
    (0, Telling::Once(Event::Succeeded)),
    (0, Telling::Once(Event::Captured)),
    (1, Telling::Once(Event::Succeeded)),
    (1, Telling::Once(Event::Captured)),
    (1, Telling::Once(Event::Refunded)),
    (1, Telling::SecondRefund),
    (2, Telling::Once(Event::Failed)),
    (3, Telling::Once(Event::Expired)),
];

#[derive(Clone, Copy)]
enum Telling {
    Once(Event),
    SecondRefund,
}

fn pay_event(plan: &Plan, n: u64, id: Of) -> Body {
    let (life, telling) = LIVES[(n % 8) as usize];
    let payment = n / 8 * 4 + life;
    let begun = moment(plan, payment);
    let payment = Payment::new(begun, &Dice::new(plan.seed, Of::Payment, payment, begun));
    let dice = Dice::new(plan.seed, id, n, begun);
    match telling {
        Telling::Once(event) => payment.body(event, &dice),
        Telling::SecondRefund => payment.second_refund(&dice),
    }
}

/// Sizes of the long messages, in bytes: one message in fifty is of one of them.
const LONG: [usize; 3] = [100 * 1024, 500 * 1024, 2 * 1024 * 1024];

/// The `n`th notification, as HMRC keeps it whether or not it is pushed.
pub(super) fn kept(plan: &Plan, n: u64) -> Notification {
    let created = if n < plan.backlog {
        kept_since(plan, n)
    } else {
        moment(plan, n)
    };
    let dice = Dice::new(plan.seed, Of::Message, n, created);
    let message = match n % 50 {
        49 => {
            let bytes = LONG[(n / 50 % 3) as usize];
            if (n / 50).is_multiple_of(2) {
                Message::long_json(bytes, &dice)
            } else {
                Message::long_xml(bytes, &dice)
            }
        }
        nth => {
            let name = hmrc::EVENTS[(nth % 4) as usize];
            Message::named(name, &dice).expect("these are the names there are")
        }
    };
    Notification::new(&box_id(plan), message, &dice)
}

/// The box that all of a run's notifications are for.
pub(super) fn box_id(plan: &Plan) -> String {
    hmrc::new_box(&Dice::new(plan.seed, Of::Box, 0, plan.start))
}

fn moment(plan: &Plan, n: u64) -> Timestamp {
    plan.start.plus(Duration::from_secs(n % SPREAD))
}

/// Spread evenly over the days that HMRC keeps a backlog, the oldest first.
fn kept_since(plan: &Plan, n: u64) -> Timestamp {
    let kept = Duration::from_secs((KEPT_DAYS - 3) * 24 * 60 * 60);
    let share = u128::from(n) * kept.as_millis() / u128::from(plan.backlog.max(1));
    plan.start.minus(kept).plus(Duration::from_millis(
        u64::try_from(share).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::Value;
    use url::Url;

    use super::*;

    fn plan(sender: Sender, seed: u64) -> Plan {
        let now = Timestamp::parse("2026-11-25T08:00:00Z").unwrap();
        Plan::new(
            sender,
            Url::parse("http://localhost/").unwrap(),
            "secret".to_owned(),
            seed,
            now,
        )
    }

    fn value(body: &Body) -> Value {
        serde_json::from_str(&body.wire).unwrap()
    }

    #[test]
    fn a_seed_tells_the_same_story_all_day_and_another_seed_another() {
        for sender in Sender::ALL {
            let mut later = plan(sender, 7);
            later.start = super::super::plan::start_of_story(
                Timestamp::parse("2026-11-25T23:59:59Z").unwrap(),
            );
            for n in [0, 5, 49, 1_000_003] {
                assert_eq!(body(&plan(sender, 7), n), body(&later, n));
                assert_ne!(body(&plan(sender, 7), n).id, body(&plan(sender, 8), n).id);
            }
        }
    }

    #[test]
    fn no_id_comes_twice_not_even_a_stranger_s() {
        for sender in Sender::ALL {
            let plan = plan(sender, 7);
            let bodies = (0..100).flat_map(|n| [body(&plan, n), stranger(&plan, n)]);
            let ids: Vec<String> = bodies.map(|body| body.id).collect();
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        }
    }

    #[test]
    fn pay_tells_whole_lives_of_payments_whose_events_all_lie_behind() {
        let plan = plan(Sender::GovukPay, 7);
        let mut lives: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0..80 {
            let value = value(&body(&plan, n));
            let (payment, event) = (
                value["resource_id"].as_str().unwrap(),
                value["event_type"].as_str().unwrap(),
            );
            lives
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
        for events in lives.into_values() {
            *counted.entry(events.join(" ")).or_default() += 1;
        }
        let expected = [
            "expired",
            "failed",
            "succeeded captured",
            "succeeded captured refunded refunded",
        ];
        assert_eq!(counted, expected.map(|life| (life.to_owned(), 10)).into());
    }

    #[test]
    fn an_event_told_again_is_the_same_but_for_its_id() {
        let plan = plan(Sender::GovukPay, 7);
        for n in 0..8 {
            let (mut first, mut second) = (value(&body(&plan, n)), value(&again(&plan, n)));
            assert_ne!(
                first["webhook_message_id"].take(),
                second["webhook_message_id"].take()
            );
            assert_eq!(first, second);
        }
    }

    #[test]
    fn hmrc_sends_every_sort_of_message_up_to_two_megabytes_to_one_box() {
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
            (0..4).any(|n| body(&plan, n).signed != body(&plan, n).wire),
            "some have astral characters"
        );
    }

    #[test]
    fn a_backlog_reaches_back_a_month_less_the_days_a_story_needs() {
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
