use proptest::prelude::*;

use super::*;
use crate::senders::example::NOW;

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn attempt(number: u32, outcome: PastOutcome) -> PastAttempt {
    PastAttempt {
        number,
        began_at: at(u64::from(number)),
        duration: Duration::from_millis(35),
        outcome,
        destination: None,
        status: Some(200),
        error: None,
        answer: None,
    }
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(proptest::sample::select(vec![
        "",
        "ledger",
        "out of order – ✓",
    ]))
    .prop_map(|text| text.map(str::to_owned))
}

fn any_entry() -> impl Strategy<Value = HistoryEntry> {
    let attempt = (
        any::<u32>(),
        any::<i64>(),
        any::<u64>(),
        0..PastOutcome::ALL.len(),
        proptest::option::of(1..=u16::MAX),
        [any_text(), any_text(), any_text()],
    );
    let at = any::<i64>().prop_map(Timestamp::from_millis);
    prop_oneof![
        attempt.prop_map(|(number, began_at, millis, outcome, status, texts)| {
            let [destination, error, answer] = texts;
            HistoryEntry::Attempt(PastAttempt {
                number,
                began_at: Timestamp::from_millis(began_at),
                duration: Duration::from_millis(millis),
                outcome: PastOutcome::ALL[outcome],
                destination,
                status,
                error,
                answer,
            })
        }),
        (at.clone(), any::<u32>())
            .prop_map(|(at, attempts)| HistoryEntry::Replayed { at, attempts }),
        (at, any::<u32>(), any::<bool>()).prop_map(|(at, attempts, erased)| {
            HistoryEntry::Discarded {
                at,
                attempts,
                erased,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn an_encoded_history_is_decoded_unchanged(
        replays: u32,
        entries in proptest::collection::vec(any_entry(), 0..MAX_ENTRIES)
    ) {
        let history = DeliveryHistory { replays, entries };
        prop_assert_eq!(DeliveryHistory::decode(&history.encode()), history);
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(mut stored: Vec<u8>) {
        let _ = DeliveryHistory::decode(&stored);
        stored.insert(0, 1);
        let _ = DeliveryHistory::decode(&stored);
    }
}

/// A history in this format, which every later version must read.
const GOLDEN: &str = "010101808edee095670123c80100000010f099070112d00f00";

#[test]
fn the_stored_format_has_exactly_these_bytes() {
    let mut history = DeliveryHistory::default();
    assert_eq!(history.stored(), None, "an empty history takes no byte");
    history.add_attempt(PastAttempt {
        answer: Some("ok".to_owned()),
        ..attempt(1, PastOutcome::Delivered)
    });
    let stored = hex::encode(history.encode());
    assert_eq!(stored, "010001808edee095670123c8010000046f6b");
    history.add_replay(at(60), 1);
    history.add_discard(at(61), 0, true);
    let stored = hex::encode(history.encode());
    assert_eq!(stored, GOLDEN);
    let read = DeliveryHistory::decode(&hex::decode(GOLDEN).unwrap());
    assert_eq!(read, history);
    assert_eq!(
        DeliveryHistory::decode(&[9, 9, 9]),
        DeliveryHistory::default(),
        "a later format is read as empty"
    );
}

#[test]
fn a_history_with_too_many_entries_is_read_as_empty() {
    let entry = || HistoryEntry::Attempt(attempt(1, PastOutcome::Failed));
    for (entries, kept) in [(MAX_ENTRIES, MAX_ENTRIES), (MAX_ENTRIES + 1, 0)] {
        let history = DeliveryHistory {
            replays: 0,
            entries: (0..entries).map(|_| entry()).collect(),
        };
        let read = DeliveryHistory::decode(&history.encode());
        assert_eq!(read.entries().len(), kept, "{entries}");
    }
}

#[test]
fn a_repeated_answer_takes_one_byte() {
    let mut history = DeliveryHistory::default();
    let length = |number, history: &mut DeliveryHistory| {
        history.add_attempt(PastAttempt {
            destination: Some("ledger".to_owned()),
            answer: Some("x".repeat(MAX_TEXT_CHARS)),
            ..attempt(number, PastOutcome::Failed)
        });
        history.encode().len()
    };
    let first = length(1, &mut history);
    for number in 2..=20 {
        let before = history.encode().len();
        assert!(length(number, &mut history) <= before + 12);
    }
    assert!(first < 240 && history.encode().len() < 450);
}

#[test]
fn texts_are_shortened_and_the_oldest_are_removed_first() {
    let mut history = DeliveryHistory::default();
    for number in 1..=20 {
        history.add_attempt(PastAttempt {
            error: Some(format!("{number} {}", "é".repeat(100))),
            answer: Some(format!("{number} {}", "x".repeat(500))),
            ..attempt(number, PastOutcome::Failed)
        });
        assert!(history.encode().len() <= MAX_BYTES);
    }
    let attempts: Vec<_> = history.attempts().collect();
    assert_eq!(attempts.len(), 20, "only texts are removed");
    let last = attempts[19].answer.as_deref().unwrap();
    assert_eq!(last.chars().count(), MAX_TEXT_CHARS);
    assert!(last.ends_with('…'));
    assert!(attempts[0].answer.is_none() && attempts[0].error.is_none());
}

#[test]
fn a_missing_number_is_an_attempt_without_an_outcome() {
    let lapsed = |first, last| HistoryEntry::Lapsed { first, last };
    for (kept, ended, expected) in [
        (vec![], 0, vec![]),
        (vec![], 3, vec![]),
        (vec![1, 2], 2, vec![]),
        (vec![1, 4], 4, vec![lapsed(2, 3)]),
        (vec![7, 8], 8, vec![]),
        (vec![1], 3, vec![lapsed(2, 3)]),
        (vec![2, 5], 6, vec![lapsed(3, 4), lapsed(6, 6)]),
    ] {
        let mut history = DeliveryHistory::default();
        for number in &kept {
            history.add_attempt(attempt(*number, PastOutcome::Failed));
        }
        let mut found = history.with_lapsed(ended);
        let length = found.len();
        found.retain(|entry| matches!(entry, HistoryEntry::Lapsed { .. }));
        assert_eq!(found, expected, "{kept:?} of {ended}");
        assert_eq!(length, kept.len() + expected.len());
    }
}

#[test]
fn attempts_without_an_outcome_are_found_before_and_after_a_replay() {
    let mut history = DeliveryHistory::default();
    history.add_attempt(attempt(1, PastOutcome::Failed));
    history.add_replay(at(200), 2);
    history.add_attempt(attempt(2, PastOutcome::Delivered));
    let full = history.with_lapsed(2);
    assert_eq!(full[1], HistoryEntry::Lapsed { first: 2, last: 2 });
    assert_eq!(full[3], HistoryEntry::Lapsed { first: 1, last: 1 });
    assert_eq!(full.len(), 5);
}
