//! Sweeps over a real inbox, and over one that lists and claims as scripted.

use std::time::Duration;

use super::*;
use crate::{
    delivery::{
        FAILURE_THRESHOLD,
        test_support::{ClaimScript, ScriptedInbox},
        tests::{DeliveryRig, down},
    },
    senders::example::{NOW, hmrc, pay},
};

fn an_hour() -> RunDeadline {
    RunDeadline::deadline(NOW.plus(Duration::from_secs(3_600)))
}

fn keys(numbers: std::ops::Range<usize>) -> Vec<Key> {
    numbers
        .map(|n| Key::parse(&format!("hmrc:{n}")).unwrap())
        .collect()
}

#[tokio::test]
async fn whatever_is_due_is_worked_on_over_as_many_pages_as_it_takes() {
    let rig = DeliveryRig::new([]);
    for n in 0..2 * PAGE + 1 {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let swept = Sweeper::new(Arc::clone(&rig.worker))
        .sweep(an_hour(), |_| ())
        .await
        .unwrap();
    assert_eq!(
        swept.tally,
        AttemptCounts {
            delivered: 2 * PAGE as u64 + 1,
            ..AttemptCounts::default()
        }
    );
    assert!(!swept.is_cut_short);
    assert_eq!(rig.arrived().len(), 2 * PAGE + 1);
}

#[tokio::test]
async fn a_destination_that_is_down_is_left_alone_but_for_one_probe_a_sweep() {
    let rig = DeliveryRig::new((0..1_000).map(|_| down()));
    let rows = 3 * AT_ONCE;
    for n in 0..rows {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = Sweeper::new(Arc::clone(&rig.worker));
    let first = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(first.down, ["hmrc"]);
    let tried = first.tally.retry;
    assert!(
        (u64::from(FAILURE_THRESHOLD)..(AT_ONCE as u64 + u64::from(FAILURE_THRESHOLD)))
            .contains(&tried),
        "{tried}"
    );

    let second = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(
        second.tally,
        AttemptCounts {
            retry: 1,
            ..AttemptCounts::default()
        }
    );

    rig.record(&pay("p", "payment", "card_payment_captured", NOW))
        .await;
    let third = sweeper.sweep(an_hour(), |_| ()).await.unwrap();
    assert_eq!(
        third.tally.retry, 2,
        "another source's destination may be up, and is asked"
    );
    assert_eq!(third.down, ["hmrc"]);
}

#[tokio::test]
async fn one_probe_that_gets_through_lets_everything_through() {
    let rig = DeliveryRig::new((0..FAILURE_THRESHOLD + AT_ONCE as u32).map(|_| down()));
    let rows = 3 * AT_ONCE as u64;
    for n in 0..rows {
        rig.record(&hmrc(&n.to_string(), "{}")).await;
    }
    let sweeper = Sweeper::new(Arc::clone(&rig.worker));
    let mut delivered = 0;
    for _ in 0..100 {
        delivered += sweeper
            .sweep(an_hour(), |_| ())
            .await
            .unwrap()
            .tally
            .delivered;
        rig.worker.clock.pass(Duration::from_secs(60));
    }
    assert_eq!(delivered, rows);
}

#[tokio::test]
async fn rows_that_stay_listed_hide_nothing_behind_them_and_are_claimed_once() {
    let listed = keys(0..PAGE);
    let behind = keys(0..PAGE + 3);
    let inbox = ScriptedInbox::new(|_| ClaimScript::NotOurs).listing([
        Ok(listed.clone()),
        Ok(listed),
        Ok(behind.clone()),
    ]);
    let worker = Arc::new(inbox.worker());
    let swept = Sweeper::new(Arc::clone(&worker))
        .sweep(an_hour(), |_| ())
        .await
        .unwrap();
    assert_eq!(swept.tally.not_ours, PAGE as u64 + 3);
    assert!(!swept.is_cut_short);
    assert_eq!(*worker.inbox.claimed.lock().unwrap(), behind, "each once");
    assert_eq!(*worker.inbox.limits.lock().unwrap(), [PAGE, PAGE, 2 * PAGE]);
}

#[tokio::test]
async fn an_inbox_that_can_not_say_what_is_due_is_an_error_after_what_was_begun() {
    let away = InboxError::Unavailable("away".to_owned());
    let inbox =
        ScriptedInbox::new(|_| ClaimScript::NotOurs).listing([Ok(keys(0..PAGE)), Err(away)]);
    let worker = Arc::new(inbox.worker());
    let mut said = 0;
    let swept = Sweeper::new(Arc::clone(&worker))
        .sweep(an_hour(), |_| said += 1)
        .await;
    assert!(
        matches!(swept, Err(InboxError::Unavailable(_))),
        "{swept:?}"
    );
    assert_eq!(said, PAGE);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_stops_claiming_early_enough_for_the_longest_attempt() {
    let inbox = ScriptedInbox::new(|_| ClaimScript::After(20)).listing([Ok(keys(0..PAGE))]);
    let worker = Arc::new(inbox.worker());
    let until = RunDeadline::deadline(NOW.plus(Duration::from_secs(120)));
    let swept = Sweeper::new(Arc::clone(&worker))
        .sweep(until, |_| ())
        .await
        .unwrap();
    assert!(swept.is_cut_short);
    assert_eq!(
        swept.tally.not_ours,
        4 * AT_ONCE as u64,
        "begun after 0, 20, 40 and 60 s; after 80 it is too late"
    );
    assert_eq!(worker.inbox.claimed.lock().unwrap().len(), 4 * AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_does_not_outlive_the_sweep() {
    let inbox = ScriptedInbox::new(|_| ClaimScript::Hangs).listing([Ok(keys(0..3))]);
    let until = RunDeadline::deadline(NOW.plus(Duration::from_secs(120)));
    let began = tokio::time::Instant::now();
    let swept = Sweeper::new(Arc::new(inbox.worker()))
        .sweep(until, |_| ())
        .await
        .unwrap();
    assert!(swept.is_cut_short);
    assert_eq!(began.elapsed(), Duration::from_secs(119));
}
