//! Tests of the worker over an inbox in memory, with a scripted destination and clock.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    test_support::{DeliveryRig, FixedRandomClock, HangingDestination, down},
    *,
};
use crate::{
    destinations::{DeliveryError, DeliveryReport, Destination, Event},
    domain::{Clock, HeldReason, Key, SourceName, State},
    inbox::{
        Claim, DeliveryInbox, DiscardOutcome, DiscardRequest, Lease, LeaseId, Mark, MemoryInbox,
        OperatorInbox, PageRequest, PastOutcome, ReadInbox, ReceiveInbox, ReconcileInbox,
        RowFilter,
    },
    senders::example::{NOW, hmrc, hmrc_pulled, observed, pay},
};

#[tokio::test]
async fn a_recorded_row_is_delivered_once() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("n1", "{}")).await;
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
    assert_eq!(rig.process(&key).await, AttemptOutcome::NotOurs);

    let row = rig.row(&key).await;
    assert_eq!((row.state, row.attempts), (State::Delivered, 1));
    assert_eq!(
        row.expires_at,
        Some(NOW.plus(rig.worker.retention.retention))
    );
    assert_eq!(rig.received(), ["hmrc:n1"]);
}

#[tokio::test]
async fn a_failed_attempt_is_retried_when_due_with_the_same_key_and_bytes() {
    let rig = DeliveryRig::new([down(), down()]);
    let key = rig.record(&hmrc("n1", r#"{"duty":1.10}"#)).await;
    for _ in 0..2 {
        assert_eq!(
            rig.process(&key).await,
            AttemptOutcome::Retry {
                reason: "https: status 503".into(),
                // The rig's random number is 2,000.
                retry_at: rig.clock.now().plus(Duration::from_secs(2)),
            }
        );
        assert_eq!(
            rig.process(&key).await,
            AttemptOutcome::NotOurs,
            "not due yet"
        );
        rig.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);

    let received = rig.destination.received.lock().unwrap();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|event| *event == received[0]));
}

#[tokio::test]
async fn a_refused_row_is_dead_after_one_attempt_and_keeps_its_body() {
    let rig = DeliveryRig::new([Err(DeliveryError::Refused("https: status 422".into()))]);
    let entry = hmrc("n1", "{}");
    let key = rig.record(&entry).await;
    assert_eq!(
        rig.process(&key).await,
        AttemptOutcome::Dead("refused: https: status 422".into())
    );
    let row = rig.row(&key).await;
    assert_eq!(
        (row.state, row.reason.as_deref(), row.body),
        (State::Dead, Some("refused"), Some(entry.body))
    );
}

#[tokio::test]
async fn a_row_that_its_destination_refuses_unsigned_is_held_until_a_replay() {
    let rig = DeliveryRig::new([Err(DeliveryError::Unsigned)]);
    let key = rig.record(&hmrc_pulled("n1", "{}")).await;
    let held = AttemptOutcome::Held(HeldReason::Unsigned);
    assert_eq!(rig.process(&key).await, held);
    assert_eq!(rig.process(&key).await, AttemptOutcome::NotOurs);
    let row = rig.row(&key).await;
    assert_eq!(
        (row.state, row.reason.as_deref(), row.attempts),
        (State::Held, Some("unsigned"), 1)
    );

    let now = rig.worker.clock.now();
    rig.worker.inbox.replay(&key, now).await.unwrap();
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn a_row_is_dead_after_three_days_of_failures_and_a_replay_has_three_more() {
    let rig = DeliveryRig::new((0..2).map(|_| down()));
    let key = rig.record(&hmrc("n1", "{}")).await;
    rig.process(&key).await;
    rig.clock.advance(BUDGET);
    assert!(matches!(rig.process(&key).await, AttemptOutcome::Dead(_)));
    assert_eq!(rig.row(&key).await.reason.as_deref(), Some("budget spent"));

    let now = rig.clock.now();
    rig.worker.inbox.replay(&key, now).await.unwrap();
    let outcome = rig.process(&key).await;
    assert!(
        matches!(outcome, AttemptOutcome::Retry { .. }),
        "{outcome:?}"
    );
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn the_history_keeps_the_duration_outcome_and_answer_of_every_attempt() {
    struct SlowLedger(Arc<FixedRandomClock>, Mutex<VecDeque<u16>>);
    impl Destination for SlowLedger {
        async fn deliver(&self, _: &Key, _: &Event) -> Result<(), DeliveryError> {
            let status = self.1.lock().unwrap().pop_front().unwrap();
            DeliveryReport::set_destination("ledger");
            if status > 0 {
                DeliveryReport::set_status(status);
                DeliveryReport::set_answer(b"{\n}");
            }
            self.0.advance(Duration::from_millis(35));
            match status {
                0 => Err(DeliveryError::Unavailable("https: no connection".into())),
                200 => Ok(()),
                422 => Err(DeliveryError::Refused("https: status 422".into())),
                _ => down(),
            }
        }
    }
    let rig = DeliveryRig::new([]);
    let clock = Arc::clone(&rig.clock);
    let statuses = Mutex::new([0, 503, 422, 200].into());
    let worker = rig.worker_to(SlowLedger(Arc::clone(&clock), statuses));
    let entry = hmrc("n1", "{}");
    worker.inbox.record(&entry).await.unwrap();
    for _ in 0..4 {
        worker.process(&entry.key).await.unwrap();
        clock.advance(Duration::from_hours(1));
        worker.inbox.replay(&entry.key, clock.now()).await.unwrap();
    }
    let row = worker.inbox.get(&entry.key).await.unwrap().unwrap();
    let attempts: Vec<_> = row
        .history
        .attempts()
        .map(|attempt| {
            assert_eq!(attempt.duration, Duration::from_millis(35));
            assert_eq!(attempt.destination.as_deref(), Some("ledger"));
            (
                attempt.outcome,
                attempt.status,
                attempt.error.as_deref(),
                attempt.answer.as_deref(),
            )
        })
        .collect();
    let answer = Some("{ }");
    assert_eq!(
        attempts,
        [
            (
                PastOutcome::Failed,
                None,
                Some("https: no connection"),
                None
            ),
            (PastOutcome::Failed, Some(503), None, answer),
            (PastOutcome::Refused, Some(422), None, answer),
            (PastOutcome::Delivered, Some(200), None, answer),
        ]
    );
    assert_eq!(row.history.replays, 4);
}

#[tokio::test]
async fn a_row_that_was_never_attempted_is_attempted_regardless_of_its_age() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("n1", "{}")).await;
    rig.clock.advance(BUDGET * 2);
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn a_row_that_crashes_every_process_is_dead_when_its_budget_is_spent() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("n1", "{}")).await;
    let mut claims = 0;
    let dead = loop {
        let claimed = rig.worker.inbox.claim(&key, &rig.worker.new_claim()).await;
        let Some((row, fence)) = claimed.unwrap() else {
            rig.clock.advance(Duration::from_secs(60));
            continue;
        };
        claims += 1;
        // The process crashes here, before the mark, until the budget is spent.
        if rig.worker.clock.now().since(row.budget_from) >= BUDGET {
            break rig.worker.work(&row, &fence).await.unwrap();
        }
    };
    assert!(matches!(dead, Mark::Dead { .. }));
    assert!(
        (80..120).contains(&claims),
        "the last ones an hour apart: {claims}"
    );
    assert_eq!(rig.received(), [""; 0]);
}

#[tokio::test]
async fn one_event_under_two_ids_is_delivered_once() {
    let rig = DeliveryRig::new([]);
    let (first, second) = rig.record_twice().await;
    assert_eq!(rig.process(&first).await, AttemptOutcome::Delivered);
    assert_eq!(
        rig.process(&second).await,
        AttemptOutcome::Repeat(first.clone())
    );

    let row = rig.row(&second).await;
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (State::Repeat, Some("pay:a"))
    );
    assert!(row.expires_at.is_some() && row.body.is_some());
    assert_eq!(rig.received(), ["pay:a"]);
}

#[tokio::test]
async fn two_partial_refunds_of_one_payment_are_two_events() {
    let rig = DeliveryRig::new([]);
    for (id, seconds) in [("a", 0), ("b", 1)] {
        let at = NOW.plus(Duration::from_secs(seconds));
        let key = rig
            .record(&pay(id, "p1", "card_payment_refunded", at))
            .await;
        assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
    }
}

#[tokio::test]
async fn an_observation_does_not_replace_an_event_that_arrives_late() {
    let rig = DeliveryRig::new([]);
    let observation = rig.record(&observed("p1")).await;
    let late = rig
        .record(&pay("a", "p1", "card_payment_succeeded", NOW))
        .await;
    // An event that Pay names `observed` is not one of our observations.
    let foreign = rig.record(&pay("b", "p1", "observed", NOW)).await;
    for key in [&observation, &late, &foreign] {
        assert_eq!(rig.process(key).await, AttemptOutcome::Delivered, "{key}");
    }
    let mut names = BTreeSet::new();
    for key in [&observation, &late, &foreign] {
        names.insert(rig.row(key).await.event().unwrap().event);
    }
    assert_eq!(names.len(), 3, "each is a different event: {names:?}");
    assert_eq!(
        rig.worker.inbox.record(&observed("p1")).await.unwrap(),
        crate::inbox::RecordOutcome::Duplicate
    );
}

#[tokio::test]
async fn a_crash_between_claim_of_the_event_and_delivery_loses_no_event() {
    let rig = DeliveryRig::new([]);
    let (first, second) = rig.record_twice().await;
    let (row, _) = rig.claim(&first).await;
    rig.worker
        .inbox
        .claim_event(&row.event().unwrap(), &first, NOW.plus(BUDGET))
        .await
        .unwrap();
    // The process crashes here. The first key holds the event, and its row is still open.
    assert_eq!(
        rig.process(&second).await,
        AttemptOutcome::Repeat(first.clone())
    );
    rig.clock.advance(LEASE_DURATION);
    assert_eq!(rig.process(&first).await, AttemptOutcome::Delivered);
    assert_eq!(rig.received(), ["pay:a"]);
}

#[tokio::test]
async fn a_dead_row_still_holds_its_event_and_its_replay_delivers_it() {
    let rig = DeliveryRig::new([Err(DeliveryError::Refused("https: status 422".into()))]);
    let (first, second) = rig.record_twice().await;
    assert!(matches!(rig.process(&first).await, AttemptOutcome::Dead(_)));
    assert_eq!(
        rig.process(&second).await,
        AttemptOutcome::Repeat(first.clone())
    );
    rig.worker.inbox.replay(&first, NOW).await.unwrap();
    assert_eq!(rig.process(&first).await, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn a_row_whose_bytes_are_damaged_is_dead_and_not_delivered() {
    // A claim has no body if its bytes cannot be inflated; other bytes do not match their digest.
    for damaged in [None, Some(bytes::Bytes::from_static(b"{}"))] {
        let rig = DeliveryRig::new([]);
        let key = rig.record(&hmrc("n1", "{}")).await;
        rig.worker.inbox.replace_body(&key, damaged.clone());
        assert!(
            matches!(rig.process(&key).await, AttemptOutcome::Dead(_)),
            "{damaged:?}"
        );
        let (all, page) = (RowFilter::default(), PageRequest::first(1));
        let listed = rig.worker.inbox.list(&all, page).await.unwrap();
        assert_eq!(listed.rows[0].reason.as_deref(), Some("damaged"));
        assert_eq!(rig.received(), [""; 0]);
    }
}

#[tokio::test]
async fn the_time_of_a_sources_last_notification_is_written_at_most_every_ten_seconds() {
    let rig = DeliveryRig::new([]);
    let source = SourceName::new("hmrc").unwrap();
    for (id, after) in [("a", 0), ("b", 9), ("c", 10)] {
        let mut entry = hmrc(id, "{}");
        entry.received_at = NOW.plus(Duration::from_secs(after));
        let key = rig.record(&entry).await;
        rig.process(&key).await;
        let last_received = rig.worker.inbox.last_received(&source).await.unwrap();
        let written_after = Duration::from_secs(if after < 10 { 0 } else { 10 });
        let expected = Some(NOW.plus(written_after));
        assert_eq!(last_received, expected, "after {after} s");
    }
}

#[tokio::test]
async fn a_pulled_row_does_not_count_as_received_from_its_source() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc_pulled("a", "{}")).await;
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
    let source = SourceName::new("hmrc").unwrap();
    let last_received = rig.worker.inbox.last_received(&source).await.unwrap();
    assert_eq!(last_received, None);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cancelled_within_its_lease() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("n1", "{}")).await;
    let (row, fence) = rig.claim(&key).await;
    let worker = rig.worker_to(HangingDestination);
    let mark = worker.work(&row, &fence).await.unwrap();
    assert!(matches!(mark, Mark::Retry { .. }), "{mark:?}");
    const { assert!(ATTEMPT_TIMEOUT.as_secs() < LEASE_DURATION.as_secs()) };
}

/// What a person or another process does to a row during its attempt.
#[derive(Clone, Copy)]
enum RowIntervention {
    Discard,
    Claim,
}

#[tokio::test]
async fn an_attempt_whose_row_changed_meanwhile_is_lost_with_the_reason() {
    struct StalledDestination {
        inbox: Arc<MemoryInbox>,
        clock: Arc<FixedRandomClock>,
        intervention: RowIntervention,
    }
    impl Destination for StalledDestination {
        async fn deliver(&self, key: &Key, _: &Event) -> Result<(), DeliveryError> {
            self.clock.advance(LEASE_DURATION);
            let now = self.clock.now();
            let discard = DiscardRequest {
                erase: false,
                now,
                expires_at: now,
            };
            let claim = Claim {
                now,
                lease: Lease {
                    id: LeaseId(7),
                    until: now.plus(LEASE_DURATION),
                },
                first_backoff: FIRST_BACKOFF,
            };
            match self.intervention {
                RowIntervention::Discard => {
                    let discarded = self.inbox.discard(key, &discard).await.unwrap();
                    assert_eq!(discarded, DiscardOutcome::Done);
                }
                RowIntervention::Claim => {
                    assert!(self.inbox.claim(key, &claim).await.unwrap().is_some());
                }
            }
            Ok(())
        }
    }
    for (intervention, cause) in [
        (
            RowIntervention::Discard,
            "the notification was discarded meanwhile",
        ),
        (RowIntervention::Claim, "its lease had expired"),
    ] {
        let rig = DeliveryRig::new([]);
        let key = rig.record(&hmrc("n1", "{}")).await;
        let destination = StalledDestination {
            inbox: Arc::clone(&rig.worker.inbox),
            clock: Arc::clone(&rig.clock),
            intervention,
        };
        let worker = rig.worker_to(destination);
        assert_eq!(
            worker.process(&key).await.unwrap().outcome,
            AttemptOutcome::Lost(format!("{cause}; the attempt ended as delivered"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_cut_off_leaves_its_row_due_immediately_and_not_leased() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("n1", "{}")).await;
    let stopping = rig.worker_to(HangingDestination);
    let (processed, ()) = tokio::join!(stopping.process(&key), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        stopping.cut_off();
    });
    let outcome = processed.unwrap().outcome;
    assert!(
        matches!(outcome, AttemptOutcome::Retry { .. }),
        "{outcome:?}"
    );
    let row = rig.row(&key).await;
    assert_eq!(
        (row.state, row.attempts, row.lease),
        (State::Recorded, 1, None)
    );
    assert_eq!(rig.process(&key).await, AttemptOutcome::Delivered);
}
