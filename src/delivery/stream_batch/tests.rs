//! Tests of batches over an inbox in memory, and over a scripted one.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::{
    delivery::test_support::{ClaimScript, DeliveryRig, HangingDestination, ScriptedInbox, down},
    domain::State,
    senders::example::{NOW, hmrc},
};

const MAX_CONCURRENT_ATTEMPTS: usize = DeliveryLimits::MAX_CONCURRENT_ATTEMPTS;

/// A deadline that is late enough for every attempt.
fn an_hour() -> RunDeadline {
    RunDeadline::before(NOW.plus(Duration::from_secs(3_600)))
}

fn record(sequence: impl fmt::Display, key: Option<&str>) -> BatchRecord {
    let sequence = SequenceNumber::parse(&sequence.to_string()).unwrap();
    BatchRecord {
        sequence,
        key: key.map(|key| Key::parse(key).unwrap()),
    }
}

fn resume_from(sequence: impl fmt::Display) -> BatchOutcome {
    BatchOutcome::ResumeFrom(SequenceNumber::parse(&sequence.to_string()).unwrap())
}

/// A batch of the rows `hmrc:0`, `hmrc:1`, ….
fn batch_of(rows: usize) -> Vec<BatchRecord> {
    (0..rows)
        .map(|n| record(100 + n, Some(&format!("hmrc:{n}"))))
        .collect()
}

/// A worker whose claim of `hmrc:1` ends as `script` says.
fn worker_with_second_row(
    script: ClaimScript,
) -> Arc<DeliveryWorker<ScriptedInbox, HangingDestination>> {
    let claim = move |key: &Key| match key.as_str() {
        "hmrc:1" => script,
        _ => ClaimScript::NotOurs,
    };
    Arc::new(ScriptedInbox::new(claim).worker())
}

#[test]
fn sequence_numbers_are_compared_as_numbers_of_any_length() {
    let forty = "9".repeat(40);
    for (lower, higher) in [
        ("9", "10"),
        ("99", "100"),
        ("0099", "100"),
        (
            "340282366920938463463374607431768211455",
            "340282366920938463463374607431768211456",
        ),
        ("3402823669209384634633746074317682114560", forty.as_str()),
        ("01", "1"), // equal numbers with different texts are ordered
    ] {
        assert!(
            SequenceNumber::parse(lower).unwrap() < SequenceNumber::parse(higher).unwrap(),
            "{lower} {higher}"
        );
    }
}

#[test]
fn text_that_is_not_1_to_40_digits_is_not_a_sequence_number() {
    for text in [
        "",
        " ",
        "-1",
        "+1",
        "1.0",
        "0x1",
        "１",
        "1e3",
        "1 ",
        &"1".repeat(41),
    ] {
        assert_eq!(SequenceNumber::parse(text), None, "{text:?}");
    }
    assert!(SequenceNumber::parse(&"1".repeat(40)).is_some());
}

#[test]
fn the_reply_has_these_bytes() {
    let json = |outcome: &BatchOutcome| serde_json::to_string(outcome).unwrap();
    assert_eq!(json(&BatchOutcome::Done), r#"{"batchItemFailures":[]}"#);
    assert_eq!(
        json(&resume_from("00042")),
        r#"{"batchItemFailures":[{"itemIdentifier":"00042"}]}"#
    );
}

#[tokio::test]
async fn every_row_is_attempted_even_if_another_fails() {
    let rig = DeliveryRig::new([down()]);
    let mut batch = Vec::new();
    for id in ["a", "b", "c"] {
        let key = rig.record(&hmrc(id, "{}")).await;
        batch.push(record(batch.len(), Some(key.as_str())));
    }
    batch.push(record(7, None));
    batch.push(record(8, Some("hmrc:missing")));
    let (outcome, counts) = run(&rig.worker, &batch, an_hour(), |_| ()).await;
    assert_eq!(
        outcome,
        BatchOutcome::Done,
        "a failed attempt has an outcome in its row"
    );
    assert_eq!(
        counts,
        AttemptCounts {
            delivered: 2,
            retry: 1,
            not_ours: 1,
            ..AttemptCounts::default()
        }
    );
    let mut states = Vec::new();
    for key in batch
        .iter()
        .take(3)
        .filter_map(|record| record.key.as_ref())
    {
        states.push(rig.row(key).await.state);
    }
    states.sort_by_key(|state| state.as_str());
    assert_eq!(
        states,
        [State::Delivered, State::Delivered, State::Recorded]
    );
}

#[tokio::test]
async fn a_batch_that_is_sent_again_delivers_no_row_twice() {
    let rig = DeliveryRig::new([]);
    let key = rig.record(&hmrc("a", "{}")).await;
    let batch = [record(1, Some(key.as_str())), record(2, Some(key.as_str()))];
    for expected in [
        AttemptCounts {
            delivered: 1,
            ..AttemptCounts::default()
        },
        AttemptCounts {
            not_ours: 1,
            ..AttemptCounts::default()
        },
    ] {
        assert_eq!(
            run(&rig.worker, &batch, an_hour(), |_| ()).await,
            (BatchOutcome::Done, expected)
        );
    }
    assert_eq!(rig.received(), ["hmrc:a"]);
}

/// Every combination of written and unwritten outcomes, in two orders.
#[tokio::test]
async fn a_batch_resumes_from_the_lowest_outcome_that_is_not_written() {
    for rows in 0..=12_usize {
        let mut batch = batch_of(rows);
        for failing in 0..1_usize << rows {
            batch.reverse();
            let fails =
                move |key: &Key| failing >> key.encoded_id().parse::<usize>().unwrap() & 1 == 1;
            let script = move |key: &Key| {
                if fails(key) {
                    ClaimScript::Fails
                } else {
                    ClaimScript::NotOurs
                }
            };
            let worker = Arc::new(ScriptedInbox::new(script).worker());
            let (outcome, counts) = run(&worker, &batch, an_hour(), |_| ()).await;
            let expected = if failing == 0 {
                BatchOutcome::Done
            } else {
                resume_from(100 + failing.trailing_zeros())
            };
            assert_eq!(outcome, expected, "{failing:b}");
            assert_eq!(counts.unwritten, u64::from(failing.count_ones()));
        }
    }
}

#[tokio::test]
async fn a_panic_ends_only_the_attempt_of_its_own_row() {
    let worker = worker_with_second_row(ClaimScript::Panics);
    let mut ended = Vec::new();
    let (outcome, counts) = run(&worker, &batch_of(3), an_hour(), |attempt| {
        ended.push(format!("{:?}", attempt.ended))
    })
    .await;
    assert_eq!(
        (outcome, counts.not_ours, counts.unwritten),
        (resume_from(101), 2, 1)
    );
    assert!(ended.contains(&"Err(Panicked)".to_owned()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cancelled_at_the_deadline_and_the_batch_resumes_there() {
    let worker = worker_with_second_row(ClaimScript::Hangs);
    let began = Instant::now();
    let deadline = RunDeadline::before(NOW.plus(Duration::from_secs(60)));
    let (outcome, counts) = run(&worker, &batch_of(3), deadline, |_| ()).await;
    assert_eq!((outcome, counts.unwritten), (resume_from(101), 1));
    assert_eq!(began.elapsed(), Duration::from_secs(59));
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_too_late_and_the_batch_resumes_at_the_first_that_did_not_start() {
    let worker = Arc::new(ScriptedInbox::new(|_| ClaimScript::After(20)).worker());
    let deadline = RunDeadline::before(NOW.plus(Duration::from_secs(60)));
    let (outcome, counts) = run(
        &worker,
        &batch_of(3 * MAX_CONCURRENT_ATTEMPTS),
        deadline,
        |_| (),
    )
    .await;
    assert_eq!(
        outcome,
        resume_from(100 + MAX_CONCURRENT_ATTEMPTS),
        "20 s before its end is too late"
    );
    assert_eq!(
        (counts.not_ours, counts.unwritten),
        (
            MAX_CONCURRENT_ATTEMPTS as u64,
            2 * MAX_CONCURRENT_ATTEMPTS as u64
        )
    );
    assert_eq!(
        worker.inbox.claimed.lock().unwrap().len(),
        MAX_CONCURRENT_ATTEMPTS,
        "the other rows are not claimed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_function_with_little_time_still_makes_its_first_attempts() {
    for (seconds, not_ours) in [(5, MAX_CONCURRENT_ATTEMPTS as u64), (1, 0), (0, 0)] {
        let worker = Arc::new(ScriptedInbox::new(|_| ClaimScript::After(1)).worker());
        let deadline = RunDeadline::before(NOW.plus(Duration::from_secs(seconds)));
        let (_, counts) = run(
            &worker,
            &batch_of(2 * MAX_CONCURRENT_ATTEMPTS),
            deadline,
            |_| (),
        )
        .await;
        assert_eq!(counts.not_ours, not_ours, "{seconds}");
    }
}
