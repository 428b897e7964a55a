use std::time::Duration;

use super::*;
use crate::history::RowState;

const KEY: &str = "pay:m1";
const DAY: i64 = 24 * 60 * 60 * 1000;

fn created(id: &str) -> RecordedEvent {
    RecordedEvent::Created {
        source: "pay".to_owned(),
        id: id.to_owned(),
        payment: Some("p1".to_owned()),
        content: 1,
    }
}

fn posted(post: u32, id: &str, content: u64, genuine: BodyGenuineness) -> RecordedEvent {
    let digest = [u8::try_from(content).unwrap(); 32];
    RecordedEvent::Posted {
        post,
        source: "pay".to_owned(),
        id: id.to_owned(),
        content,
        digest,
        genuine,
    }
}

fn answered(post: u32, status: u16) -> RecordedEvent {
    RecordedEvent::Answered {
        post,
        status,
        took: Duration::from_millis(7),
    }
}

fn ended(id: &str, acknowledged: bool) -> RecordedEvent {
    RecordedEvent::Ended {
        source: "pay".to_owned(),
        id: id.to_owned(),
        acknowledged,
    }
}

fn stored(key: &str, content: u64, held: Option<&'static str>) -> RecordedEvent {
    let digest = [u8::try_from(content).unwrap(); 32];
    RecordedEvent::Stored {
        key: key.to_owned(),
        content,
        digest,
        held,
    }
}

fn claimed(key: &str, attempt: u32, lease: u64) -> RecordedEvent {
    RecordedEvent::Claimed {
        key: key.to_owned(),
        attempt,
        lease,
        until: 1_000_000_000_000,
    }
}

fn delivering(key: &str, call: u32) -> RecordedEvent {
    RecordedEvent::Delivering {
        key: key.to_owned(),
        call,
    }
}

fn accepted(key: &str, call: u32, digest: u8) -> RecordedEvent {
    RecordedEvent::Accepted {
        key: key.to_owned(),
        call,
        digest: [digest; 32],
    }
}

fn returned(key: &str, call: u32, refused: bool) -> RecordedEvent {
    RecordedEvent::Returned {
        key: key.to_owned(),
        call,
        refused,
    }
}

fn marked(key: &str, attempt: u32, lease: u64, state: RowState, reason: &str) -> RecordedEvent {
    let (key, reason) = (key.to_owned(), reason.to_owned());
    RecordedEvent::Marked {
        key,
        attempt,
        lease,
        state,
        reason,
        done: true,
    }
}

fn remaining(key: &str, state: RowState, content: u64) -> RecordedEvent {
    let digest = Some([u8::try_from(content).unwrap(); 32]);
    RecordedEvent::Remaining {
        key: key.to_owned(),
        state,
        digest,
    }
}

fn history(events: impl IntoIterator<Item = RecordedEvent>) -> History {
    let mut history = History {
        retention: Some(Duration::from_secs(90 * 86_400)),
        ..History::default()
    };
    for (at, event) in events.into_iter().enumerate() {
        history.push(i64::try_from(at).unwrap(), event);
    }
    history
}

fn replayed() -> RecordedEvent {
    let key = KEY.to_owned();
    RecordedEvent::Replayed { key }
}

fn expired(state: RowState) -> RecordedEvent {
    let key = KEY.to_owned();
    RecordedEvent::Expired { key, state }
}

/// One message that is received and delivered.
fn good() -> Vec<RecordedEvent> {
    vec![
        created("m1"),
        posted(1, "m1", 1, BodyGenuineness::Proven),
        stored(KEY, 1, None),
        answered(1, 200),
        ended("m1", true),
        claimed(KEY, 1, 11),
        delivering(KEY, 1),
        accepted(KEY, 1, 9),
        returned(KEY, 1, false),
        marked(KEY, 1, 11, RowState::Delivered, ""),
        remaining(KEY, RowState::Delivered, 1),
    ]
}

/// The good history with its event at index `at` replaced by others.
fn with(at: usize, others: impl IntoIterator<Item = RecordedEvent>) -> History {
    let mut events = good();
    events.splice(at..=at, others);
    history(events)
}

fn rules(history: &History) -> Vec<&'static str> {
    check(history)
        .iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn a_correct_history_has_no_violations() {
    assert_eq!(check(&history(good())), []);
    let fault = RecordedEvent::FaultInjected {
        key: Some(KEY.to_owned()),
        fault: "lost-reply",
    };
    let again = [
        marked(KEY, 1, 11, RowState::Open, "no answer"),
        fault,
        claimed(KEY, 2, 12),
        delivering(KEY, 2),
        accepted(KEY, 2, 9),
        returned(KEY, 2, false),
        marked(KEY, 2, 12, RowState::Delivered, ""),
    ];
    assert_eq!(check(&with(9, again)), [], "a copy that a fault explains");
}

#[test]
fn each_violation_is_reported_under_its_rule() {
    let nothing = [];
    let cases: Vec<(&str, History, &str)> = vec![
        (
            "answered 200 before storing",
            {
                let mut events = good();
                events.swap(2, 3);
                history(events)
            },
            "I1",
        ),
        (
            "answered 200 but never stored",
            history(good()[..2].iter().cloned().chain([answered(1, 200)])),
            "I1",
        ),
        (
            "acknowledged but never stored",
            history([created("m1"), ended("m1", true)]),
            "I1",
        ),
        (
            "answered too late",
            with(
                3,
                [RecordedEvent::Answered {
                    post: 1,
                    status: 200,
                    took: Duration::from_secs(3),
                }],
            ),
            "I1b",
        ),
        (
            "still open",
            history(
                good()[..5]
                    .iter()
                    .cloned()
                    .chain([remaining(KEY, RowState::Open, 1)]),
            ),
            "I2",
        ),
        ("missing at the end", with(10, nothing.clone()), "I2"),
        ("finished without a mark", with(9, nothing.clone()), "I2"),
        (
            "marked delivered without a delivery",
            {
                let mut events = good();
                events.drain(6..9);
                history(events)
            },
            "I2",
        ),
        (
            "claimed after delivery",
            with(
                10,
                [claimed(KEY, 2, 12), remaining(KEY, RowState::Delivered, 1)],
            ),
            "I2",
        ),
        (
            "expired while dead",
            with(
                9,
                [
                    returned(KEY, 1, true),
                    marked(KEY, 1, 11, RowState::Dead, "refused"),
                    expired(RowState::Dead),
                ],
            ),
            "I2",
        ),
        (
            "expired too early",
            with(10, [expired(RowState::Delivered)]),
            "I8",
        ),
        (
            "dead before the budget ended",
            with(9, [marked(KEY, 1, 11, RowState::Dead, "budget spent")]),
            "budget",
        ),
        (
            "two bodies under one key",
            with(
                10,
                [
                    replayed(),
                    claimed(KEY, 1, 12),
                    delivering(KEY, 2),
                    accepted(KEY, 2, 8),
                ],
            ),
            "I3",
        ),
        (
            "a second copy without an explanation",
            with(
                9,
                [
                    marked(KEY, 1, 11, RowState::Open, "no answer"),
                    claimed(KEY, 2, 12),
                    delivering(KEY, 2),
                    accepted(KEY, 2, 9),
                ],
            ),
            "I3b",
        ),
        (
            "stored although forged",
            with(1, [posted(1, "m1", 1, BodyGenuineness::Forged)]),
            "I4",
        ),
        ("delivered without a row", with(2, nothing.clone()), "I4"),
        (
            "a forgery is answered 200",
            with(
                3,
                [
                    answered(1, 200),
                    posted(2, "m2", 2, BodyGenuineness::Forged),
                    answered(2, 200),
                ],
            ),
            "I9",
        ),
        (
            "a genuine request is refused",
            with(3, [answered(1, 401)]),
            "I9",
        ),
        (
            "a storage failure is answered with a client error",
            with(3, [answered(1, 409)]),
            "I9",
        ),
        (
            "other bytes at the end",
            with(10, [remaining(KEY, RowState::Delivered, 2)]),
            "I6",
        ),
        (
            "bytes lost at the end",
            with(
                10,
                [RecordedEvent::Remaining {
                    key: KEY.to_owned(),
                    state: RowState::Delivered,
                    digest: None,
                }],
            ),
            "I6",
        ),
        (
            "stored twice",
            with(3, [stored(KEY, 1, None), answered(1, 200)]),
            "I7",
        ),
        (
            "one content under two keys",
            with(
                3,
                [stored("pay:m1~00000001", 1, Some("held")), answered(1, 200)],
            ),
            "I7",
        ),
        (
            "a conflict that is not held",
            with(
                3,
                [
                    posted(2, "m1", 2, BodyGenuineness::Proven),
                    stored("pay:m1~00000002", 2, None),
                    answered(1, 200),
                ],
            ),
            "I7",
        ),
        (
            "held and delivered",
            with(2, [stored(KEY, 1, Some("held"))]),
            "I8",
        ),
        (
            "acknowledged at HMRC and not stored",
            with(
                4,
                [RecordedEvent::PullAcknowledged {
                    source: "hmrc".to_owned(),
                    ids: vec!["n1".to_owned()],
                }],
            ),
            "I11",
        ),
        (
            "an id twice in one acknowledgement",
            with(
                4,
                [RecordedEvent::PullAcknowledged {
                    source: "pay".to_owned(),
                    ids: vec!["m1".to_owned(), "m1".to_owned()],
                }],
            ),
            "I11",
        ),
        (
            "never acknowledged at HMRC",
            with(
                4,
                [RecordedEvent::Unacknowledged {
                    source: "hmrc".to_owned(),
                    id: "n1".to_owned(),
                }],
            ),
            "I11",
        ),
        (
            "a stream record without an attempt",
            with(
                4,
                [RecordedEvent::StreamAnswered {
                    records: 2,
                    untouched: vec![KEY.to_owned()],
                }],
            ),
            "I12",
        ),
        (
            "claimed while it is leased",
            with(6, [claimed(KEY, 2, 12), delivering(KEY, 1)]),
            "lease",
        ),
        (
            "delivered twice simultaneously",
            with(
                8,
                [
                    marked(KEY, 1, 11, RowState::Open, ""),
                    claimed(KEY, 2, 12),
                    delivering(KEY, 2),
                ],
            ),
            "lease",
        ),
        (
            "delivered without a claim",
            with(5, nothing.clone()),
            "attempts",
        ),
        (
            "a claim that is not counted",
            with(
                9,
                [marked(KEY, 1, 11, RowState::Open, ""), claimed(KEY, 1, 12)],
            ),
            "attempts",
        ),
        (
            "marked under another claim",
            with(9, [marked(KEY, 1, 10, RowState::Delivered, "")]),
            "fence",
        ),
        (
            "one payment event under two keys",
            {
                let mut events = good();
                events.extend([
                    posted(2, "m2", 1, BodyGenuineness::Proven),
                    stored("pay:m2", 1, None),
                    claimed("pay:m2", 1, 21),
                    delivering("pay:m2", 3),
                    accepted("pay:m2", 3, 7),
                ]);
                history(events)
            },
            "ledger",
        ),
        (
            "a sender that does not end",
            with(
                4,
                [RecordedEvent::Stuck {
                    what: "a sender".to_owned(),
                }],
            ),
            "I2",
        ),
        (
            "lost by its sender and not reported missing",
            {
                let events = [created("m1"), ended("m1", false)];
                History {
                    is_reconciled: true,
                    ..history(events)
                }
            },
            "I10",
        ),
        (
            "retried beyond its budget",
            {
                let mut events = history(good()[..9].iter().cloned().chain([
                    marked(KEY, 1, 11, RowState::Open, "down"),
                    claimed(KEY, 2, 12),
                ]));
                events.push(3 * DAY + 3, delivering(KEY, 2));
                events
            },
            "budget",
        ),
    ];
    for (name, history, rule) in cases {
        let broken = rules(&history);
        assert!(broken.contains(&rule), "{name}: {broken:?}");
    }
}

#[test]
fn wrong_clocks_replays_and_observations_explain_exceptions() {
    let jump = RecordedEvent::ClockSet { by: 3_600_000 };
    let mut events = good();
    events.insert(5, jump);
    events.insert(7, claimed(KEY, 2, 12));
    let broken = rules(&history(events));
    assert!(!broken.contains(&"lease"), "{broken:?}");

    let replayed = with(
        10,
        [
            replayed(),
            claimed(KEY, 1, 12),
            delivering(KEY, 2),
            accepted(KEY, 2, 9),
            returned(KEY, 2, false),
            marked(KEY, 1, 12, RowState::Delivered, ""),
            remaining(KEY, RowState::Delivered, 1),
        ],
    );
    assert_eq!(check(&replayed), []);

    let observed = [
        created("m1"),
        ended("m1", false),
        RecordedEvent::Listed {
            source: "pay".to_owned(),
            digest: [3; 32],
        },
        stored("pay:observed-p1-0123456789abcdef", 3, Some("held")),
        remaining("pay:observed-p1-0123456789abcdef", RowState::Held, 3),
    ];
    assert_eq!(
        check(&History {
            is_reconciled: true,
            ..history(observed)
        }),
        []
    );
}
