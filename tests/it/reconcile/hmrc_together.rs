//! Concurrent runs, and runs one after another.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use pillarbox::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{KvEntry, KvKey, ReconcileInbox},
    reconcile::{RunEnd, RunOptions, RunSleeper},
};
use tokio::sync::Notify;

use super::{
    machine::minutes,
    ppns::{BOX, HmrcRig, SECOND_BOX},
};
use test_support::manual_clock::ManualClock;

/// A clock for several runs: it passes only while all of them wait, to the instant at which the
/// first goes on. A call that is under way takes no time.
struct ConcurrentClock {
    clock: Arc<ManualClock>,
    waiting: Mutex<WaitingRuns>,
    passed: Notify,
}

struct WaitingRuns {
    runs: usize,
    until: Vec<Timestamp>,
}

impl ConcurrentClock {
    fn new(clock: &Arc<ManualClock>, runs: usize) -> Self {
        let waiting = Mutex::new(WaitingRuns {
            runs,
            until: Vec::new(),
        });
        Self {
            clock: Arc::clone(clock),
            waiting,
            passed: Notify::new(),
        }
    }

    /// One of them is done, and is not waited for any more.
    fn leave(&self) {
        self.waiting.lock().unwrap().runs -= 1;
        self.pass();
    }

    fn pass(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        if waiting.until.len() >= waiting.runs
            && let Some(first) = waiting.until.iter().min().copied()
        {
            self.clock.pass(first.since(self.clock.now()));
            waiting.until.retain(|until| *until > first);
            self.passed.notify_waiters();
        }
    }
}

impl RunSleeper for ConcurrentClock {
    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        async move {
            let until = self.clock.now().plus(time);
            self.waiting.lock().unwrap().until.push(until);
            loop {
                let passed = self.passed.notified();
                self.pass();
                if self.clock.now() >= until {
                    return;
                }
                passed.await;
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn of_two_runs_of_one_source_the_second_ends_at_once() {
    let rig = HmrcRig::new().await;
    for number in 0..250 {
        rig.add(BOX, minutes(number));
    }
    let ((one, _), (other, _)) = tokio::join!(rig.run(&[BOX]), rig.run(&[BOX]));
    let how = (&one, &other);
    assert!(
        matches!(
            how,
            (RunEnd::Completed, RunEnd::AlreadyRunning(_))
                | (RunEnd::AlreadyRunning(_), RunEnd::Completed)
        ),
        "{one}, {other}"
    );
    assert_eq!((rig.left(), rig.rows().await.len()), (0, 250));
    rig.assert_limits_hold();
    assert!(
        matches!(rig.run(&[BOX]).await.0, RunEnd::Completed),
        "and the lock is free again"
    );
}

#[tokio::test]
async fn two_sources_of_one_application_keep_its_limits_together() {
    let rig = HmrcRig::new().await;
    for number in 0..250 {
        rig.add(BOX, minutes(number));
        rig.add(SECOND_BOX, minutes(number));
    }
    let (access, options) = (rig.access(&[BOX, SECOND_BOX]), RunOptions::default());
    let other = SourceName::new("other").unwrap();
    let together = ConcurrentClock::new(&rig.clock, 2);
    let run = async |source| {
        let outcome = rig.outcome(&together, source, &access, &options).await;
        together.leave();
        outcome
    };
    let (one, two) = tokio::join!(run(&rig.source), run(&other));
    assert!(
        matches!(
            (&one.ended, &two.ended),
            (RunEnd::Completed, RunEnd::Completed)
        ),
        "{one:?} {two:?}"
    );
    assert_eq!(rig.left(), 0);
    rig.assert_limits_hold();
    rig.assert_nothing_is_lost().await;
}

#[tokio::test]
async fn the_limits_hold_from_one_run_to_the_next() {
    let rig = HmrcRig::new().await;
    for _ in 0..10 {
        rig.add(BOX, minutes(1));
        assert!(matches!(rig.run(&[BOX]).await.0, RunEnd::Completed));
    }
    rig.assert_limits_hold();
}

#[tokio::test]
async fn a_run_whose_lock_was_taken_away_ends_and_takes_nothing_with_it() {
    let rig = HmrcRig::new().await;
    for number in 0..450 {
        rig.add(BOX, minutes(number));
    }
    // Somebody whose clock is an hour ahead takes it for lapsed.
    let name = KvKey::new("lock", "hmrc");
    let steal = async {
        while rig.acknowledged().is_empty() {
            tokio::task::yield_now().await;
        }
        let there = rig.inbox.inbox.kv_get(&name).await.unwrap().unwrap();
        let until = rig.now().plus(minutes(60)).as_millis();
        let theirs = KvEntry {
            version: 7,
            text: format!("0000000000000007 until {until}"),
        };
        rig.inbox
            .inbox
            .compare_and_swap(&name, Some(there.version), &theirs)
            .await
            .unwrap();
    };
    let ((ended, boxes), ()) = tokio::join!(rig.run(&[BOX]), steal);
    assert!(matches!(ended, RunEnd::LockLost), "{ended}");
    assert!(boxes[0].position.is_some());
    rig.assert_nothing_is_lost().await;

    // The thief is gone, and its lock would stand for an hour if its date were believed.
    let began = rig.now();
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(rig.left(), 0);
    assert!(rig.now().since(began) < Duration::from_secs(180));
    rig.assert_limits_hold();
}
