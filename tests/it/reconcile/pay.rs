//! Every missing event is reported, and nothing else.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use pillarbox::{
    domain::State,
    inbox::Row,
    reconcile::{
        RunEnd, RunOptions,
        govuk_pay::{ExpectedEvent, ObservationStatus},
    },
    senders::OBSERVED_EVENT_TYPE,
};
use sender_simulator::{
    apis::pay_api::{PaymentLifecycle, PaymentWebhook, SimulatedPayment},
    govuk_pay::{PaymentEvent, PaymentKind},
};

use super::{
    machine::minutes,
    pay_api::{API_KEY, LostEvents, PayRig, named},
};
use test_support::manual_clock::sender_time;

const DAY: Duration = minutes(24 * 60);

/// Loses one of a hundred of each kind of event.
fn one_of_a_hundred() -> impl FnMut(&PaymentWebhook) -> bool {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    move |webhook| {
        let count = counts.entry(webhook.event.as_str()).or_default();
        *count += 1;
        *count % 100 == 50
    }
}

#[tokio::test]
async fn of_ten_thousand_payments_each_event_that_was_lost_is_named_and_no_other() {
    let rig = PayRig::new().await;
    let payments = rig.live(10_000, 30 * DAY);
    let lost = rig.push(&payments, one_of_a_hundred()).await;
    let kinds = [
        ExpectedEvent::Succeeded,
        ExpectedEvent::Captured,
        ExpectedEvent::Failed,
        ExpectedEvent::Expired,
        ExpectedEvent::FailedOrSucceeded,
    ];
    for kind in kinds {
        assert!(
            lost.iter().filter(|(_, what)| *what == kind).count() >= 5,
            "{kind:?} was lost, too"
        );
    }
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(named(&report), lost);
    assert!(
        report
            .missing
            .iter()
            .all(|one| one.observed == ObservationStatus::First && one.since < rig.now())
    );
    let (looked_at, unreadable) = (report.payments, report.unreadable);
    assert!(
        (9_950..10_000).contains(&looked_at) && unreadable == 0,
        "those of the last three hours are left out"
    );

    // Each payment once, whole, and on its way like anything else.
    let observations = rig.observations().await;
    let subjects: std::collections::BTreeSet<_> =
        lost.iter().map(|(payment, _)| payment.clone()).collect();
    assert_eq!(
        (observations.len(), observations.into_iter().collect()),
        (subjects.len(), subjects.clone())
    );
    let rows = rig.rows().await;
    let observed = rows
        .iter()
        .filter(|row| row.event_type == OBSERVED_EVENT_TYPE);
    assert!(
        observed.clone().all(|row| row.state == State::Recorded
            && row.event().unwrap().event.starts_with("observed|"))
    );

    let [searches, payment_calls, histories, refunds] = rig.counts();
    assert_eq!(
        (searches, payment_calls),
        (looked_at.div_ceil(500), subjects.len())
    );
    let of_state = lost
        .iter()
        .filter(|(_, what)| !matches!(what, ExpectedEvent::Captured | ExpectedEvent::Refunded));
    assert_eq!(histories, of_state.count());
    assert!(
        refunds < 2000,
        "only of payments of which something was given back: {refunds}"
    );
    let calls = rig.api.calls();
    assert!(
        calls.max_calls_per_second() <= 5,
        "{}",
        calls.max_calls_per_second()
    );

    // A second run finds the same, and records nothing twice.
    rig.clock.pass(minutes(1));
    let (ended, again) = rig.run_by_hand().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert!(
        named(&again).is_superset(&lost)
            && again.missing.iter().all(|one| {
                one.observed
                    == if subjects.contains(one.payment.as_str()) {
                        ObservationStatus::Before
                    } else {
                        ObservationStatus::First
                    }
            })
    );
}

#[tokio::test]
async fn a_late_webhook_is_no_longer_reported_missing() {
    let rig = PayRig::new().await;
    let payment = rig.one(PaymentLifecycle::RefundedTwice, 9 * DAY);
    let lost = rig.push(std::slice::from_ref(&payment), |_| true).await;
    assert_eq!(named(&rig.run().await.1), lost);
    assert_eq!(lost.len(), 2, "succeeded, captured");
    rig.clock.pass(minutes(3 * 60));
    let (_, report) = rig.run_by_hand().await;
    let refunds = report
        .missing
        .iter()
        .filter(|one| one.what == ExpectedEvent::Refunded);
    assert_eq!((report.missing.len(), refunds.count()), (3, 1));

    rig.push(std::slice::from_ref(&payment), |webhook| {
        webhook.event == PaymentEvent::Captured
    })
    .await;
    let (_, report) = rig.run_by_hand().await;
    let left: Vec<_> = report
        .missing
        .iter()
        .map(|one| (one.what, one.observed))
        .collect();
    assert_eq!(left, [(ExpectedEvent::Captured, ObservationStatus::Before)]);
    rig.push(std::slice::from_ref(&payment), |_| false).await;
    assert_eq!(rig.run_by_hand().await.1.missing, []);
}

#[tokio::test]
async fn a_lost_second_refund_is_missing_although_the_first_was_received() {
    let rig = PayRig::new().await;
    let payment = rig.one(PaymentLifecycle::RefundedTwice, 9 * DAY);
    let mut refunds = 0;
    let second = |webhook: &PaymentWebhook| {
        refunds += u32::from(webhook.event == PaymentEvent::Refunded);
        webhook.event == PaymentEvent::Refunded && refunds == 2
    };
    let id = payment.id().to_owned();
    rig.push(&[payment], second).await;
    assert_eq!(named(&rig.run().await.1), LostEvents::new(), "just seen");
    rig.clock.pass(minutes(3 * 60));
    let (_, report) = rig.run_by_hand().await;
    assert_eq!(named(&report), [(id, ExpectedEvent::Refunded)].into());
}

#[tokio::test]
async fn a_refund_that_failed_and_a_payment_that_is_not_final_are_not_missed() {
    let rig = PayRig::new().await;
    for life in [
        PaymentLifecycle::RefundFailed,
        PaymentLifecycle::Created,
        PaymentLifecycle::Started,
        PaymentLifecycle::Submitted,
        PaymentLifecycle::Capturable,
    ] {
        let payment = rig.one(life, 9 * DAY);
        rig.push(&[payment], |_| false).await;
    }
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.payments, report.missing.len()), (5, 0));
}

#[tokio::test]
async fn nothing_is_missed_before_pay_has_had_three_hours_for_it() {
    for life in PaymentLifecycle::ALL {
        let rig = PayRig::new().await;
        // From before the first event until after the last webhook.
        let payment = rig.one(life, Duration::ZERO);
        for _ in 0..35 {
            let lost = rig.push(std::slice::from_ref(&payment), |_| true).await;
            let (ended, report) = rig.run_by_hand().await;
            assert!(matches!(ended, RunEnd::Completed), "{ended}");
            assert_eq!(
                named(&report),
                lost,
                "{life:?} after {:?}",
                sender_time(rig.now()).since(payment.created())
            );
            rig.clock.pass(minutes(97));
        }
    }
}

#[tokio::test]
async fn a_search_that_is_behind_the_times_names_nothing_that_is_not_so() {
    for hours in [1, 5, 30] {
        let rig = PayRig::new().await;
        let payments = rig.live(300, 4 * DAY);
        let lost = rig.push(&payments, one_of_a_hundred()).await;
        rig.api
            .with(|accounts| accounts.set_lag(minutes(60 * hours)));
        let (ended, report) = rig.run().await;
        assert!(matches!(ended, RunEnd::Completed), "{ended}");
        assert!(named(&report).is_subset(&lost), "{hours} h behind");

        rig.api.with(|accounts| accounts.set_lag(Duration::ZERO));
        assert_eq!(named(&rig.run_by_hand().await.1), lost);
    }
}

#[tokio::test]
async fn a_sweep_begins_half_an_hour_after_the_last_one_ended() {
    let rig = PayRig::new().await;
    rig.one(PaymentLifecycle::Captured, 9 * DAY);
    assert!(matches!(rig.run().await.0, RunEnd::Completed));
    let ended_at = rig.now();
    rig.clock.pass(minutes(29));
    let (ended, report) = rig.run().await;
    assert!(
        matches!(ended, RunEnd::NotDue(at) if at == ended_at.plus(minutes(30))),
        "{ended}"
    );
    assert_eq!((report.payments, rig.counts()[0]), (0, 1));
    rig.clock.pass(minutes(1));
    assert!(matches!(rig.run().await.0, RunEnd::Completed));
}

#[tokio::test]
async fn a_dry_run_names_everything_and_records_nothing() {
    let rig = PayRig::new().await;
    let payments = rig.live(300, 9 * DAY);
    let lost = rig.push(&payments, one_of_a_hundred()).await;
    let before = rig.rows().await.len();
    let (ended, report) = rig
        .run_as(&RunOptions {
            dry_run: true,
            ..RunOptions::default()
        })
        .await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (named(&report), rig.rows().await.len()),
        (lost.clone(), before)
    );
    assert!(
        report
            .missing
            .iter()
            .all(|one| one.observed == ObservationStatus::No)
    );

    let (_, report) = rig.run().await;
    assert_eq!(named(&report), lost, "and the next one is not put off");
    assert!(
        report
            .missing
            .iter()
            .all(|one| one.observed == ObservationStatus::First)
    );
}

#[tokio::test]
async fn with_since_only_later_payments_are_checked() {
    let rig = PayRig::new().await;
    // the clock moves on while they are looked at
    let payments = rig.live(100, 50 * DAY - minutes(60));
    rig.push(&payments, |_| true).await;
    let since = |days: u32| RunOptions {
        since: Some(rig.now().minus(days * DAY)),
        ..RunOptions::default()
    };
    assert_eq!(rig.run_as(&since(10)).await.1.payments, 20);
    assert_eq!(rig.run_as(&since(50)).await.1.payments, 100);
    assert_eq!(rig.run().await.1.payments, 60, "thirty days by default");
}

#[tokio::test]
async fn of_ten_thousand_payments_without_a_webhook_each_final_state_is_recorded_once() {
    let mut rig = PayRig::new().await;
    rig.events = None;
    let first = rig.live(5_000, 12 * DAY);
    assert!(matches!(rig.run().await.0, RunEnd::Completed));

    // For five days nothing runs, and payments go on.
    rig.clock.pass(5 * DAY);
    let second = rig.live(5_000, 5 * DAY);
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.missing.len(), report.unreadable), (0, 0));
    assert!(report.observed > 0);

    // The last of them become old enough, and every refund succeeds.
    rig.clock.pass(10 * DAY);
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.missing.len(), report.unreadable), (0, 0));

    let rows = rig.rows().await;
    let keys: BTreeSet<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys.len(), rows.len(), "each once");
    let is_event =
        |row: &Row| (row.state, row.event_type.as_str()) == (State::Recorded, "observed");
    assert!(rows.iter().all(is_event));
    let [searches, payments, histories, refunds] = rig.counts();
    assert_eq!((payments, histories, refunds), (rows.len(), 0, 0));
    assert!(searches <= 10 + 20 + 20, "{searches}");
    let observed: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| row.subject.as_deref())
        .collect();
    for payment in first.iter().chain(&second) {
        let is_open = matches!(
            payment.lifecycle(),
            PaymentLifecycle::Created | PaymentLifecycle::Started | PaymentLifecycle::Submitted
        );
        assert_eq!(
            observed.contains(payment.id()),
            !is_open,
            "{:?}",
            payment.lifecycle()
        );
    }

    // Nothing has changed since, so every current state is recorded already.
    rig.clock.pass(minutes(31));
    let (ended, again) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((again.observed, rig.rows().await.len()), (0, rows.len()));
}

#[tokio::test]
async fn a_refund_long_after_the_window_of_its_payment_is_recorded_without_a_webhook() {
    let mut rig = PayRig::new().await;
    rig.events = None;
    let paid = |ago: Duration, refunded_ago: Duration| {
        let created = sender_time(rig.now()).minus(ago);
        SimulatedPayment::new(PaymentLifecycle::Refunded, created, &*rig.clock)
            .with_refund_delay(ago - refunded_ago - DAY)
    };
    let (year, before_the_window) = (365 * DAY, 31 * DAY);
    let payments = [
        paid(year, DAY),
        paid(year, before_the_window),
        paid(2 * DAY, DAY),
        paid(year, Duration::ZERO), // an hour ago, which is too young
    ];
    let subjects = |nth: &[usize]| -> BTreeSet<String> {
        nth.iter().map(|n| payments[*n].id().to_owned()).collect()
    };
    rig.api
        .with(|accounts| accounts.add(API_KEY, payments.clone()));

    let dry = RunOptions {
        dry_run: true,
        by_hand: true,
        ..RunOptions::default()
    };
    assert_eq!(rig.run_as(&dry).await.1.observed, 2);
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.observed, report.unreadable), (2, 0));
    let observed: BTreeSet<_> = rig.observations().await.into_iter().collect();
    assert_eq!(observed, subjects(&[0, 2]));

    // The next sweep reads the payments of new refunds alone.
    rig.clock.pass(minutes(6 * 60));
    assert_eq!(rig.run_as(&dry).await.1.observed, 1);
    let payment_calls = rig.counts()[1];
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.observed, rig.counts()[1]), (1, payment_calls + 1));
    let observed: BTreeSet<_> = rig.observations().await.into_iter().collect();
    assert_eq!(observed, subjects(&[0, 2, 3]));
    assert_eq!(rig.observations().await.len(), 3, "each once");
    assert_eq!(rig.run_as(&dry).await.1.observed, 0);

    // Everything that a person requests, and nothing twice.
    let since = RunOptions {
        since: Some(rig.now().minus(60 * DAY)),
        ..RunOptions::default()
    };
    assert_eq!(rig.run_as(&since).await.1.observed, 1);
    let observed: BTreeSet<_> = rig.observations().await.into_iter().collect();
    assert_eq!(observed, subjects(&[0, 1, 2, 3]));
}

#[tokio::test]
async fn a_webhook_for_captured_payments_alone_misses_nothing_else() {
    let mut rig = PayRig::new().await;
    rig.events = Some(vec!["card_payment_captured"]);
    let payments = rig.live(300, 9 * DAY);
    rig.push(&payments, |webhook| webhook.event != PaymentEvent::Captured)
        .await;
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.missing.len(), report.observed), (0, 0));
    assert_eq!(
        rig.counts(),
        [1, 0, 0, 0],
        "one search is all that it costs"
    );
}

#[tokio::test]
async fn a_telephone_payment_is_never_missing_its_success() {
    let rig = PayRig::new().await;
    let begun = sender_time(rig.now()).minus(9 * DAY);
    let telephone = SimulatedPayment::new(PaymentLifecycle::Captured, begun, &*rig.clock)
        .with_kind(PaymentKind::Telephone);
    rig.api
        .with(|accounts| accounts.add(API_KEY, [telephone.clone()]));
    rig.push(std::slice::from_ref(&telephone), |_| false).await;
    let (_, report) = rig.run().await;
    assert_eq!(named(&report), LostEvents::new());
}
