//! Tests of sweeps over an inbox in memory, and over a scripted one.

use std::time::Duration;

use super::*;
use crate::{
    delivery::test_support::{ClaimScript, DeliveryRig, ScriptedInbox, down},
    senders::example::{NOW, hmrc, pay},
};

const MAX_CONCURRENT_ATTEMPTS: usize = DeliveryLimits::MAX_CONCURRENT_ATTEMPTS;
const PAGE_SIZE: usize = 8 * MAX_CONCURRENT_ATTEMPTS;
const FAILURE_THRESHOLD: u32 = CircuitBreaker::FAILURE_THRESHOLD;

fn an_hour() -> RunDeadline {
    RunDeadline::before(NOW.plus(Duration::from_secs(3_600)))
}

fn keys(numbers: std::ops::Range<usize>) -> Vec<Key> {
    numbers
        .map(|n| Key::parse(&format!("hmrc:{n}")).unwrap())
        .collect()
}

#[tokio::test]
async fn a_sweep_attempts_the_due_rows_of_every_page() {
    let rig = DeliveryRig::new([]);
    for n in 0..2 * PAGE_SIZE + 1 {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let swept = SweepRunner::new(Arc::clone(&rig.worker))
        .sweep(an_hour(), |_| ())
        .await
        .unwrap();
    assert_eq!(
        swept.counts,
        AttemptCounts {
            delivered: 2 * PAGE_SIZE as u64 + 1,
            ..AttemptCounts::default()
        }
    );
    assert!(!swept.is_cut_short);
    assert_eq!(rig.received().len(), 2 * PAGE_SIZE + 1);
}

#[tokio::test]
async fn a_destination_that_is_down_gets_one_attempt_per_sweep() {
    let rig = DeliveryRig::new((0..1_000).map(|_| down()));
    let rows = 3 * MAX_CONCURRENT_ATTEMPTS;
    for n in 0..rows {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = SweepRunner::new(Arc::clone(&rig.worker));
    let first = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(first.open_circuits, ["hmrc"]);
    let tried = first.counts.retry;
    assert!(
        (u64::from(FAILURE_THRESHOLD)
            ..(MAX_CONCURRENT_ATTEMPTS as u64 + u64::from(FAILURE_THRESHOLD)))
            .contains(&tried),
        "{tried}"
    );

    let second = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(
        second.counts,
        AttemptCounts {
            retry: 1,
            ..AttemptCounts::default()
        }
    );

    rig.record(&pay("p", "payment", "card_payment_captured", NOW))
        .await;
    let third = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(third.counts.retry, 2, "another source has its own circuit");
    assert_eq!(third.open_circuits, ["hmrc"]);
}

#[tokio::test]
async fn one_delivery_closes_the_circuit_and_the_backlog_is_delivered() {
    let rig =
        DeliveryRig::new((0..FAILURE_THRESHOLD + MAX_CONCURRENT_ATTEMPTS as u32).map(|_| down()));
    let rows = 3 * MAX_CONCURRENT_ATTEMPTS as u64;
    for n in 0..rows {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = SweepRunner::new(Arc::clone(&rig.worker));
    let mut delivered = 0;
    for _ in 0..100 {
        delivered += sweeper
            .sweep(an_hour(), |_| ())
            .await
            .unwrap()
            .counts
            .delivered;
        rig.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(delivered, rows);
}

/// Runs the round to its end. Returns its attempts by outcome.
async fn drain<I: DeliveryInbox, D: Destination>(sweep: &mut Sweep<I, D>) -> AttemptCounts {
    let mut counts = AttemptCounts::default();
    loop {
        sweep.fill().await.unwrap();
        match sweep.next_result().await {
            Some(attempt) => counts.add(&attempt),
            None => return counts,
        }
    }
}

#[tokio::test]
async fn the_backlog_is_delivered_in_the_round_that_closes_the_circuit() {
    let max = MAX_CONCURRENT_ATTEMPTS as u32;
    let rig = DeliveryRig::new((0..FAILURE_THRESHOLD + max).map(|_| down()));
    for n in 0..3 * PAGE_SIZE {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = SweepRunner::new(Arc::clone(&rig.worker));
    let mut counts = sweeper.sweep(an_hour(), |_| ()).await.unwrap().counts;
    while counts.delivered == 0 {
        rig.clock.advance(Duration::from_secs(60));
        counts = sweeper.sweep(an_hour(), |_| ()).await.unwrap().counts;
    }
    assert_eq!(counts.delivered, 3 * PAGE_SIZE as u64);
}

#[tokio::test]
async fn rows_that_an_open_circuit_skipped_are_attempted_if_it_closes_in_the_same_round() {
    let rig = DeliveryRig::new((0..FAILURE_THRESHOLD).map(|_| down()));
    for n in 0..PAGE_SIZE {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = SweepRunner::new(Arc::clone(&rig.worker));
    let counts = sweeper.sweep(an_hour(), |_| ()).await.unwrap().counts;
    assert_eq!(
        counts.delivered,
        PAGE_SIZE as u64 - u64::from(FAILURE_THRESHOLD)
    );
}

#[tokio::test]
async fn a_server_attempts_one_row_per_round_at_a_destination_that_is_down_until_one_succeeds() {
    let rig = DeliveryRig::new((0..1_000).map(|_| down()));
    for n in 0..300 {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let limits = DeliveryLimits::SERVER;
    let mut sweep = Sweep::new(Arc::clone(&rig.worker), Arc::default(), limits);
    assert_eq!(
        drain(&mut sweep).await,
        AttemptCounts::default(),
        "no round has begun"
    );
    sweep.begin_round().await.unwrap();
    let at_most = limits.max_concurrent_attempts as u64 + u64::from(FAILURE_THRESHOLD);
    let first = drain(&mut sweep).await.retry;
    assert!(
        (u64::from(FAILURE_THRESHOLD)..=at_most).contains(&first),
        "{first}"
    );

    let new = rig.record(&hmrc("new", "{}")).await;
    for _ in 0..3 {
        sweep.begin_round().await.unwrap();
        assert!(sweep.has_room());
        sweep.start_unless_open(new.clone());
        let one = AttemptCounts {
            retry: 1,
            ..AttemptCounts::default()
        };
        assert_eq!(drain(&mut sweep).await, one);
    }
    assert_eq!(rig.row(&new).await.attempts, 0);

    rig.recover();
    rig.clock.advance(Duration::from_secs(60));
    sweep.begin_round().await.unwrap();
    assert_eq!(
        drain(&mut sweep).await.delivered,
        301,
        "the backlog is delivered in the same round"
    );
}

#[tokio::test(start_paused = true)]
async fn a_round_that_begins_while_rows_wait_attempts_none_of_them_twice() {
    let max = DeliveryLimits::SERVER.max_concurrent_attempts;
    let inbox = ScriptedInbox::new(|_| ClaimScript::After(20))
        .listing([Ok(keys(0..2 * max)), Ok(keys(max..2 * max + 1))]);
    let worker = Arc::new(inbox.worker());
    let mut sweep = Sweep::new(Arc::clone(&worker), Arc::default(), DeliveryLimits::SERVER);
    sweep.begin_round().await.unwrap();
    sweep.fill().await.unwrap();
    assert!(!sweep.has_room());
    sweep.begin_round().await.unwrap();
    assert_eq!(drain(&mut sweep).await.not_ours, 2 * max as u64 + 1);
    assert_eq!(*worker.inbox.claimed.lock().unwrap(), keys(0..2 * max + 1));
}

#[tokio::test]
async fn rows_that_stay_due_are_claimed_once_and_the_rows_behind_them_are_reached() {
    let listed = keys(0..PAGE_SIZE);
    let behind = keys(0..PAGE_SIZE + 3);
    let inbox = ScriptedInbox::new(|_| ClaimScript::NotOurs).listing([
        Ok(listed.clone()),
        Ok(listed),
        Ok(behind.clone()),
    ]);
    let worker = Arc::new(inbox.worker());
    let swept = SweepRunner::new(Arc::clone(&worker))
        .sweep(an_hour(), |_| ())
        .await
        .unwrap();
    assert_eq!(swept.counts.not_ours, PAGE_SIZE as u64 + 3);
    assert!(!swept.is_cut_short);
    assert_eq!(*worker.inbox.claimed.lock().unwrap(), behind, "each once");
    assert_eq!(
        *worker.inbox.limits.lock().unwrap(),
        [PAGE_SIZE, PAGE_SIZE, 2 * PAGE_SIZE]
    );
}

#[tokio::test]
async fn a_sweep_that_cannot_read_due_rows_fails_after_the_started_attempts_have_ended() {
    let error = InboxError::Unavailable("no answer".to_owned());
    let inbox =
        ScriptedInbox::new(|_| ClaimScript::NotOurs).listing([Ok(keys(0..PAGE_SIZE)), Err(error)]);
    let worker = Arc::new(inbox.worker());
    let mut attempts = 0;
    let swept = SweepRunner::new(Arc::clone(&worker))
        .sweep(an_hour(), |_| attempts += 1)
        .await;
    assert!(
        matches!(swept, Err(InboxError::Unavailable(_))),
        "{swept:?}"
    );
    assert_eq!(attempts, PAGE_SIZE);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_stops_claiming_early_enough_for_the_longest_attempt() {
    let inbox = ScriptedInbox::new(|_| ClaimScript::After(20)).listing([Ok(keys(0..PAGE_SIZE))]);
    let worker = Arc::new(inbox.worker());
    let deadline = RunDeadline::before(NOW.plus(Duration::from_secs(120)));
    let swept = SweepRunner::new(Arc::clone(&worker))
        .sweep(deadline, |_| ())
        .await
        .unwrap();
    assert!(swept.is_cut_short);
    assert_eq!(
        swept.counts.not_ours,
        4 * MAX_CONCURRENT_ATTEMPTS as u64,
        "started after 0, 20, 40 and 60 s; 80 s is too late"
    );
    assert_eq!(
        worker.inbox.claimed.lock().unwrap().len(),
        4 * MAX_CONCURRENT_ATTEMPTS
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cancelled_at_the_deadline_of_the_sweep() {
    let inbox = ScriptedInbox::new(|_| ClaimScript::Hangs).listing([Ok(keys(0..3))]);
    let deadline = RunDeadline::before(NOW.plus(Duration::from_secs(120)));
    let began = tokio::time::Instant::now();
    let swept = SweepRunner::new(Arc::new(inbox.worker()))
        .sweep(deadline, |_| ())
        .await
        .unwrap();
    assert!(swept.is_cut_short);
    assert_eq!(began.elapsed(), Duration::from_secs(119));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_settles_bodies_after_its_rows_unless_it_is_out_of_time() {
    for (claim, settled) in [(ClaimScript::NotOurs, 1), (ClaimScript::Hangs, 0)] {
        let inbox = ScriptedInbox::new(move |_| claim).listing([Ok(keys(0..1))]);
        let worker = Arc::new(inbox.worker());
        let sweeper = SweepRunner::new(Arc::clone(&worker));
        let swept = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
        assert_eq!(swept.is_cut_short, settled == 0);
        assert_eq!(worker.inbox.settled.lock().unwrap().len(), settled);
    }
}

#[tokio::test]
async fn a_replica_that_reads_no_due_rows_attempts_one_new_row_per_round_of_an_open_circuit() {
    let rig = DeliveryRig::new((0..1_000).map(|_| down()));
    let limits = DeliveryLimits::SERVER;
    let mut sweep = Sweep::new(Arc::clone(&rig.worker), Arc::default(), limits);
    for n in 0..FAILURE_THRESHOLD {
        sweep.start_unless_open(rig.record(&hmrc(&n.to_string(), "{}")).await);
    }
    assert_eq!(drain(&mut sweep).await.retry, u64::from(FAILURE_THRESHOLD));

    let mut attempts = async |row: &str| {
        sweep.begin_unread_round();
        for n in 0..3 {
            sweep.start_unless_open(rig.record(&hmrc(&format!("{row}-{n}"), "{}")).await);
        }
        drain(&mut sweep).await
    };
    let one = AttemptCounts {
        retry: 1,
        ..AttemptCounts::default()
    };
    assert_eq!(attempts("down").await, one);
    rig.recover();
    let delivered = attempts("up").await.delivered;
    assert!(delivered > 1, "the circuit has closed: {delivered}");
}

#[tokio::test]
async fn rows_of_a_source_that_is_not_configured_are_skipped_and_other_rows_are_reached() {
    let rig = DeliveryRig::new([]);
    let mut foreign = Vec::new();
    for n in 0..PAGE_SIZE + 1 {
        foreign.push(rig.record(&hmrc(&n.to_string(), "{}")).await);
    }
    rig.clock.advance(Duration::from_secs(1));
    rig.record(&pay("p", "payment", "card_payment_captured", NOW))
        .await;
    let limits = DeliveryLimits::SERVER;
    let known = BTreeSet::from(["pay".to_owned()]);
    let mut sweep =
        Sweep::new(Arc::clone(&rig.worker), Arc::default(), limits).only_of(known.clone());
    for delivered in [1, 0] {
        sweep.begin_round().await.unwrap();
        assert_eq!(
            drain(&mut sweep).await,
            AttemptCounts {
                delivered,
                ..AttemptCounts::default()
            }
        );
    }
    for key in &foreign {
        assert_eq!(rig.row(key).await.attempts, 0, "{key}");
    }
}
