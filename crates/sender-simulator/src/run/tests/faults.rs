//! The faults that a run injects.

use std::{collections::HashSet, sync::Mutex, time::Duration};

use super::*;
use crate::test_receiver::{OK, ReceivedRequest, status};

/// A change of the fault rates, and the outcomes, ids and posts of 20 notifications with it.
type FaultCase = (fn(&mut FaultRates), &'static str);

const FAULT_CASES: [FaultCase; 6] = [
    (
        |rates| rates.duplicate = 100,
        "notification acknowledged 40; 20 ids 40 posts",
    ),
    (
        |rates| rates.concurrent = 100,
        "notification acknowledged 40; 20 ids 40 posts",
    ),
    (
        |rates| rates.second_id = 100,
        "notification acknowledged 20, second-id acknowledged 20; 40 ids 40 posts",
    ),
    (
        |rates| rates.slow = 100,
        "notification acknowledged 20; 20 ids 20 posts",
    ),
    (
        |rates| rates.wrong_key = 100,
        "forged refused 20, notification acknowledged 20; 40 ids 40 posts",
    ),
    (
        |rates| rates.truncate = 100,
        "notification acknowledged 20, truncated refused 20; 21 ids 40 posts",
    ),
];

#[tokio::test]
async fn every_injected_fault_reaches_the_receiver() {
    for (set_rate, expected) in FAULT_CASES {
        let receiver = TestReceiver::new(|_, received| {
            let is_signed = received.is_signed_with(Sender::GovukPay, SECRET);
            Some(status(if is_signed { 200 } else { 401 }, ""))
        })
        .await;
        let mut plan = plan(Sender::GovukPay, &receiver, 20);
        set_rate(&mut plan.fault_rates);
        let summary = summary_of(&plan).await;
        let outcomes = outcomes(&summary).into_iter();
        let outcomes: Vec<_> = outcomes
            .map(|(outcome, count)| format!("{outcome} {count}"))
            .collect();
        let posts = receiver.posts();
        let ids: HashSet<String> = posts.iter().map(ReceivedRequest::id).collect();
        let (outcomes, ids, posts) = (outcomes.join(", "), ids.len(), posts.len());
        assert_eq!(format!("{outcomes}; {ids} ids {posts} posts"), expected);
        assert_eq!(*receiver.broken_off.lock().unwrap(), 0);
        assert!(summary.faults.is_empty(), "{:?}", summary.faults);
    }
}

#[tokio::test]
async fn a_disconnect_is_in_the_body_or_before_the_response_and_the_message_is_sent_again() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 40);
    plan.fault_rates.disconnect = 100;
    let summary = summary_of(&plan).await;
    assert_eq!(
        (
            summary.abandoned,
            summary.count_genuine(DeliveryOutcome::Acknowledged)
        ),
        (40, 40)
    );
    let whole = receiver.posts().len() - 40;
    let broken = *receiver.broken_off.lock().unwrap();
    assert_eq!(whole + broken, 40);
    assert!(whole > 5 && broken > 5, "{whole} {broken}");
}

#[tokio::test]
async fn every_accepted_forgery_is_a_fault() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 20);
    plan.fault_rates = FaultRates {
        wrong_key: 100,
        truncate: 100,
        ..FaultRates::default()
    };
    let summary = summary_of(&plan).await;
    assert_eq!(
        summary.faults_by_name,
        BTreeMap::from([("forgery-accepted", 40)])
    );
}

#[tokio::test]
async fn the_schedule_outlasts_an_outage_and_no_request_reaches_the_receiver() {
    // When an hour passes in a second, every delay of this machine is long: HMRC may make fewer
    // than twelve attempts.
    for (sender, unreachable) in [(Sender::GovukPay, 3..=3), (Sender::Hmrc, 6..=12)] {
        let receiver = TestReceiver::answering(OK).await;
        let mut plan = plan(sender, &receiver, 1);
        (plan.time_scale, plan.fault_rates.outage) = (3_600, Duration::from_secs(59 * 60));
        let summary = summary_of(&plan).await;
        assert_eq!(receiver.posts().len(), 1);
        assert!(
            unreachable.contains(&summary.outcomes["unreachable"]),
            "{sender:?} {summary:?}"
        );
        assert!(summary.faults.is_empty());
    }
}

#[tokio::test]
async fn after_half_of_the_messages_all_are_signed_with_the_new_key() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 20);
    (plan.threads, plan.rotate_to) = (1, Some("webhook_test_thenextone".to_owned()));
    summary_of(&plan).await;
    let with = |secret| {
        receiver
            .posts()
            .iter()
            .filter(|post| post.is_signed_with(Sender::GovukPay, secret))
            .count()
    };
    let (old, new) = (with(SECRET), with("webhook_test_thenextone"));
    assert_eq!(old + new, 20);
    assert!(new >= 10, "{old} {new}");
}

#[tokio::test]
async fn each_planned_message_completes_once_with_every_fault() {
    let receiver = TestReceiver::answering(OK).await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(Sender::Hmrc, &receiver, 50);
    plan.fault_rates = FaultScenario::named("hostile").unwrap().fault_rates;
    (plan.fault_rates.lost, plan.fault_rates.duplicate) = (20, 100);
    let completed = Mutex::new(0);
    let recorder = capture::ExchangeRecorder::create(folder.path()).unwrap();
    let observe = |seen: RunEvent<'_>| match seen {
        RunEvent::Completed => *completed.lock().unwrap() += 1,
        RunEvent::Exchanged(exchange) => recorder.record(&exchange).unwrap(),
        _ => {}
    };
    let summary = run(&plan, &observe, pending()).await.unwrap();
    assert_eq!(*completed.lock().unwrap(), 50);
    assert!(
        summary.settled.values().sum::<u64>() > 50,
        "{:?}",
        summary.settled
    );

    let mut replay = self::plan(Sender::Hmrc, &receiver, 0);
    replay.replay = capture::read_captures(folder.path(), Sender::Hmrc).unwrap();
    *completed.lock().unwrap() = 0;
    let count = |seen: RunEvent<'_>| {
        *completed.lock().unwrap() += usize::from(matches!(seen, RunEvent::Completed));
    };
    run(&replay, &count, pending()).await.unwrap();
    assert_eq!(*completed.lock().unwrap(), replay.replay.len());
}
