//! The contract: what every inbox must do. Written once, run against each implementation.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "these are tests: a name says what is promised, and unwrap checks it"
)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    AuditAction, AuditEntry, AuditOutcome, CasOutcome, Claim, DeliveryHistory, DiscardRequest,
    Discarded, EventClaim, Fence, HistoryEntry, Imported, Inbox, KvEntry, KvKey, Lease, LeaseId,
    MAX_BACKOFF, MAX_HISTORY_BYTES, MAX_HISTORY_ENTRIES, Mark, Marked, PageRequest, PastAttempt,
    PastOutcome, PendingGauges, Recorded, Replayed, Row, RowFilter, SourceFilter, SummaryRequest,
    SweepStatus, last_sweep,
};
use crate::{
    domain::{HeldReason, Key, Origin, SourceName, State, Timestamp},
    senders::{
        Entry, SenderKind,
        example::{NOW, entry, hmrc, hmrc_pulled, pay, pay_refund, spellings},
    },
};

/// Makes a test of every function below for one implementation; `$fresh` opens an empty inbox and
/// derefs to it.
#[macro_export]
macro_rules! inbox_contract {
    ($fresh:expr) => {
        $crate::inbox_contract!(@each $fresh,
            records_each_key_once
            knows_whose_a_row_is_that_could_not_be_read
            holds_other_content_under_a_taken_key_beside_the_first
            keeps_one_row_of_a_notification_that_was_pushed_and_pulled
            keeps_one_row_of_a_signed_request_in_any_spelling
            returns_every_byte_of_a_body_of_any_length
            records_one_of_many_concurrent_copies_as_the_first
            changes_nothing_when_a_duplicate_is_recorded
            counts_an_attempt_before_the_work
            lets_one_of_many_concurrent_claims_succeed
            keeps_due_at_at_the_first_claim_and_moves_it_at_every_later_one
            allows_a_claim_once_the_lease_has_lapsed_and_refuses_the_late_mark
            refuses_a_claim_of_a_row_that_is_not_due_again
            finds_due_rows_longest_due_first
            finds_due_rows_of_some_sources_and_not_of_others
            believes_no_date_that_only_a_wrong_clock_can_have_written
            has_an_open_row_attempted_at_once_on_request_but_not_during_an_attempt
            removes_a_finished_row_from_the_pending_index_and_lets_it_expire
            never_lets_dead_or_held_rows_expire
            holds_a_row_that_delivery_cannot_deliver_until_it_is_replayed
            tells_two_refunds_of_one_instant_apart_by_their_amounts
            gives_an_event_to_the_first_key_that_claims_it
            replays_dead_delivered_and_held_rows_but_nothing_unreadable
            keeps_every_attempt_and_replay_of_a_row_in_its_history
            keeps_a_short_history_however_often_a_row_fails
            forgets_the_last_error_once_a_row_is_delivered_or_replayed
            erases_what_destinations_answered_with_the_bytes
            discards_rows_and_erases_only_on_request
            discards_no_row_while_an_attempt_is_under_way
            erases_rows_of_every_state_and_keeps_what_they_were
            erases_a_conflict_and_the_first_row_apart
            lists_newest_first_page_by_page
            keeps_the_latest_time_at_which_a_source_was_received
            remembers_since_when_a_source_that_was_never_received_is_silent
            measures_the_pending_rows_and_tells_conflicts_from_other_held_rows
            sums_up_what_waits_and_says_when_there_is_more
            keeps_the_status_of_the_last_sweep
            lists_the_claimed_events_of_a_subject
            lists_the_open_dead_and_held_events_of_subjects
            swaps_an_entry_only_for_the_expected_version
            lets_one_of_many_concurrent_swaps_succeed
            imports_a_row_as_it_is_and_never_over_another
            lists_the_audit_trail_newest_first_with_the_last_outcome_of_each_act
        );
    };
    (@each $fresh:expr, $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            let fresh = $fresh;
            $crate::inbox::contract::$name(&*fresh).await;
        })*
    };
}

const LEASE: Duration = Duration::from_secs(150);
const FIRST_BACKOFF: Duration = Duration::from_secs(5);

fn claim_at(now: Timestamp, id: u64) -> Claim {
    Claim {
        now,
        lease: Lease {
            id: LeaseId(id),
            until: now.plus(LEASE),
        },
        first_backoff: FIRST_BACKOFF,
    }
}

fn paid(id: &str) -> Entry {
    pay(id, "payment", "card_payment_succeeded", NOW)
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// An inbox may store expiries in whole seconds.
fn expiry(seconds: u64) -> Timestamp {
    Timestamp::from_millis(later(seconds).as_millis() / 1000 * 1000)
}

async fn row(inbox: &impl Inbox, key: &Key) -> Row {
    inbox.get(key).await.unwrap().expect("the row is there")
}

async fn recorded(inbox: &impl Inbox, id: &str) -> Key {
    let entry = paid(id);
    assert_eq!(inbox.record(&entry).await.unwrap(), Recorded::First);
    entry.key
}

async fn claimed(inbox: &impl Inbox, key: &Key, now: Timestamp, id: u64) -> Fence {
    inbox
        .claim(key, &claim_at(now, id))
        .await
        .unwrap()
        .expect("the row is free")
        .1
}

async fn dead(inbox: &impl Inbox, key: &Key) {
    let fence = claimed(inbox, key, NOW, 1).await;
    let mark = Mark::Dead {
        reason: "refused".into(),
        error: "422".into(),
        at: NOW,
    };
    assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), Marked::Done);
}

pub async fn records_each_key_once(inbox: &impl Inbox) {
    let entry = paid("m1");
    assert_eq!(inbox.record(&entry).await.unwrap(), Recorded::First);
    assert_eq!(inbox.record(&entry).await.unwrap(), Recorded::Duplicate);

    let row = row(inbox, &entry.key).await;
    assert_eq!(row.proven_body().unwrap(), &entry.body);
    assert_eq!(
        (row.state, row.attempts, row.due_at),
        (State::Recorded, 0, Some(NOW))
    );
    assert_eq!(
        (row.signature, row.key_label),
        (entry.signature, entry.key_label)
    );
    assert_eq!(
        (row.event_type.as_str(), row.subject.as_deref()),
        ("card_payment_succeeded", Some("payment"))
    );
    assert_eq!(
        (row.event_at, row.received_at, row.budget_from),
        (Some(NOW), NOW, NOW)
    );
}

pub async fn knows_whose_a_row_is_that_could_not_be_read(inbox: &impl Inbox) {
    for (kind, source) in [(SenderKind::HMRC, "hmrc"), (SenderKind::GOVUK_PAY, "pay")] {
        let unreadable = entry(kind, source, Bytes::from_static(b"{}"));
        assert_eq!(inbox.record(&unreadable).await.unwrap(), Recorded::First);
        assert_eq!(row(inbox, &unreadable.key).await.kind, kind);
    }
}

pub async fn holds_other_content_under_a_taken_key_beside_the_first(inbox: &impl Inbox) {
    let (first, other) = (hmrc("n1", "[1]"), hmrc("n1", "[2]"));
    assert_eq!(inbox.record(&first).await.unwrap(), Recorded::First);

    let beside = other.as_conflict().key;
    assert_eq!(
        inbox.record(&other).await.unwrap(),
        Recorded::Conflict(beside.clone())
    );
    assert_eq!(
        inbox.record(&other).await.unwrap(),
        Recorded::Duplicate,
        "a conflict is stored once, too"
    );

    let (first_row, beside) = (row(inbox, &first.key).await, row(inbox, &beside).await);
    assert_eq!(
        (first_row.state, first_row.body),
        (State::Recorded, Some(first.body))
    );
    assert_eq!(
        (beside.state, beside.reason.as_deref()),
        (State::Held, Some("conflict"))
    );
    assert_eq!(beside.body, Some(other.body));
}

pub async fn keeps_one_row_of_a_notification_that_was_pushed_and_pulled(inbox: &impl Inbox) {
    let (pushed, pulled) = (hmrc("n1", "[1]"), hmrc_pulled("n1", "[1]"));
    assert_eq!(inbox.record(&pulled).await.unwrap(), Recorded::First);
    assert_eq!(inbox.record(&pushed).await.unwrap(), Recorded::Duplicate);
    let row = row(inbox, &pulled.key).await;
    assert_eq!(row.proven_body().unwrap(), &pulled.body, "as it was pulled");
    assert_eq!(
        (row.origin, row.signature, row.key_label),
        (Origin::Pull, None, None)
    );
}

pub async fn keeps_one_row_of_a_signed_request_in_any_spelling(inbox: &impl Inbox) {
    let noise = hex::encode(noise(40_000));
    let envelope = |id: &str, message: &str| {
        format!(
            r#"{{"notificationId":"{id}","boxId":"50dca3fc","messageContentType":"application/json",
                "message":{message},
                "createdDateTime":"2026-03-02T10:15:31.480+0000"}}"#
        )
    };
    for text in [
        envelope("short", r#""paid 😀""#),
        envelope("long", &format!(r#""paid 😀 {noise}""#)),
        envelope("object", &format!(r#"{{"paid":"😀","for":"{noise}"}}"#)),
        "unreadable 😀".to_owned(),
        format!("unreadable and long 😀 {noise}"),
    ] {
        let copies = spellings(&text);
        let first = &copies[0];
        assert_eq!(inbox.record(first).await.unwrap(), Recorded::First);
        for copy in &copies[1..] {
            assert_eq!(inbox.record(copy).await.unwrap(), Recorded::Duplicate);
            assert_eq!(copy.key, first.key);
            assert_ne!(copy.digest, first.digest);
        }
        let row = row(inbox, &first.key).await;
        assert_eq!(row.proven_body().unwrap(), &first.body);
    }
    let listed = inbox
        .list(&RowFilter::default(), PageRequest::first(100))
        .await;
    assert_eq!(listed.unwrap().rows.len(), 5);
}

fn noise(length: usize) -> Bytes {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect::<Vec<u8>>().into()
}

pub async fn returns_every_byte_of_a_body_of_any_length(inbox: &impl Inbox) {
    for length in [
        1,
        100,
        8 * 1024 - 1,
        8 * 1024,
        8 * 1024 + 1,
        350 * 1024,
        350 * 1024 + 1,
        2_100_000,
        8 << 20,
    ] {
        let entry = entry(SenderKind::GOVUK_PAY, "pay", noise(length));
        assert_eq!(
            inbox.record(&entry).await.unwrap(),
            Recorded::First,
            "{length}"
        );
        assert_eq!(
            inbox.record(&entry).await.unwrap(),
            Recorded::Duplicate,
            "{length}"
        );
        let row = row(inbox, &entry.key).await;
        assert!(
            row.proven_body().unwrap() == &entry.body,
            "{length} bytes come back"
        );
        assert_eq!((row.state, row.is_unreadable()), (State::Held, true));
    }
}

pub async fn records_one_of_many_concurrent_copies_as_the_first(inbox: &impl Inbox) {
    let entry = Arc::new(paid("m1"));
    let copies = (0..64).map(|_| inbox.record(&entry));
    let mut outcomes = Vec::new();
    for outcome in futures_util::future::join_all(copies).await {
        outcomes.push(outcome.unwrap());
    }
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Recorded::First)
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == Recorded::Duplicate)
            .count(),
        63
    );
}

pub async fn changes_nothing_when_a_duplicate_is_recorded(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let fence = claimed(inbox, &key, NOW, 1).await;
    let retry = Mark::Retry {
        due_at: later(60),
        error: "503".into(),
    };
    inbox.mark(&fence, &retry).await.unwrap();
    let before = format!("{:?}", row(inbox, &key).await);

    assert_eq!(
        inbox.record(&paid("m1")).await.unwrap(),
        Recorded::Duplicate
    );
    assert_eq!(
        format!("{:?}", row(inbox, &key).await),
        before,
        "an open row stays open"
    );
}

pub async fn counts_an_attempt_before_the_work(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let (claimed, fence) = inbox.claim(&key, &claim_at(NOW, 7)).await.unwrap().unwrap();
    assert_eq!((claimed.attempts, fence.attempt), (1, 1));
    assert_eq!(
        claimed.body,
        Some(paid("m1").body),
        "a claim returns the bytes"
    );

    let row = row(inbox, &key).await;
    assert_eq!(row.attempts, 1, "the attempt counts before the work");
    assert_eq!(
        row.lease,
        Some(Lease {
            id: LeaseId(7),
            until: NOW.plus(LEASE)
        })
    );
}

pub async fn lets_one_of_many_concurrent_claims_succeed(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let claims: Vec<_> = (0..32).map(|id| claim_at(NOW, id)).collect();
    let claimed =
        futures_util::future::join_all(claims.iter().map(|claim| inbox.claim(&key, claim))).await;
    assert_eq!(
        claimed
            .into_iter()
            .filter(|claim| claim.as_ref().unwrap().is_some())
            .count(),
        1
    );
}

pub async fn keeps_due_at_at_the_first_claim_and_moves_it_at_every_later_one(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    claimed(inbox, &key, NOW, 1).await;
    assert_eq!(row(inbox, &key).await.due_at, Some(NOW));

    let mut now = NOW;
    let mut backoffs = Vec::new();
    for id in 2..=13 {
        let due = row(inbox, &key).await.due_at.unwrap();
        now = now.plus(LEASE).max(due);
        claimed(inbox, &key, now, id).await;
        backoffs.push(row(inbox, &key).await.due_at.unwrap().since(now).as_secs());
    }
    assert_eq!(
        backoffs,
        [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    );
}

pub async fn allows_a_claim_once_the_lease_has_lapsed_and_refuses_the_late_mark(
    inbox: &impl Inbox,
) {
    let key = recorded(inbox, "m1").await;
    let late = claimed(inbox, &key, NOW, 1).await;
    let lapse = NOW.plus(LEASE);
    let just_before = lapse.minus(Duration::from_millis(1));
    assert!(
        inbox
            .claim(&key, &claim_at(just_before, 2))
            .await
            .unwrap()
            .is_none()
    );

    let in_time = claimed(inbox, &key, lapse, 2).await;
    let delivered = Mark::Delivered {
        expires_at: later(1000),
    };
    assert_eq!(inbox.mark(&late, &delivered).await.unwrap(), Marked::Lost);
    assert_eq!(row(inbox, &key).await.state, State::Recorded);
    assert_eq!(
        inbox.mark(&in_time, &delivered).await.unwrap(),
        Marked::Done
    );
    assert_eq!(inbox.mark(&late, &delivered).await.unwrap(), Marked::Lost);

    let retry = Mark::Retry {
        due_at: later(2000),
        error: "503".into(),
    };
    assert_eq!(
        inbox.mark(&in_time, &retry).await.unwrap(),
        Marked::Lost,
        "a fence is good for one mark"
    );
    assert_eq!(row(inbox, &key).await.state, State::Delivered);
}

pub async fn refuses_a_claim_of_a_row_that_is_not_due_again(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let fence = claimed(inbox, &key, NOW, 1).await;
    let retry = Mark::Retry {
        due_at: later(30),
        error: "https: 503".into(),
    };
    assert_eq!(inbox.mark(&fence, &retry).await.unwrap(), Marked::Done);

    assert!(
        inbox
            .claim(&key, &claim_at(later(29), 2))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(29), 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(30), 10)
            .await
            .unwrap(),
        std::slice::from_ref(&key)
    );
    let (row, fence) = inbox
        .claim(&key, &claim_at(later(30), 2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.last_error.as_deref(), fence.attempt),
        (Some("https: 503"), 2)
    );
}

pub async fn finds_due_rows_longest_due_first(inbox: &impl Inbox) {
    let (first, second) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    for (key, seconds) in [(&first, 20), (&second, 10)] {
        let fence = claimed(inbox, key, NOW, 1).await;
        inbox
            .mark(
                &fence,
                &Mark::Retry {
                    due_at: later(seconds),
                    error: String::new(),
                },
            )
            .await
            .unwrap();
    }
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(60), 10)
            .await
            .unwrap(),
        [second.clone(), first.clone()]
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(15), 10)
            .await
            .unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(60), 1)
            .await
            .unwrap(),
        [second]
    );

    let third = recorded(inbox, "c").await;
    claimed(inbox, &third, NOW, 1).await;
    let due = inbox
        .find_due(&SourceFilter::ALL, NOW.plus(LEASE), 10)
        .await
        .unwrap();
    assert!(
        due.contains(&third) && due.len() == 3,
        "a lapsed lease excludes no row"
    );
}

pub async fn finds_due_rows_of_some_sources_and_not_of_others(inbox: &impl Inbox) {
    let (paid, filed) = (recorded(inbox, "a").await, hmrc("n1", "{}"));
    inbox.record(&filed).await.unwrap();
    for (sources, expected) in [
        (SourceFilter::ALL, vec![&filed.key, &paid]),
        (SourceFilter::Only("pay".into()), vec![&paid]),
        (SourceFilter::Only("pa".into()), vec![]),
        (SourceFilter::Except(vec!["pay".into()]), vec![&filed.key]),
        (
            SourceFilter::Except(vec!["pay".into(), "hmrc".into()]),
            vec![],
        ),
    ] {
        let mut due = inbox.find_due(&sources, NOW, 10).await.unwrap();
        due.sort(); // they are due at the same time
        assert_eq!(due.iter().collect::<Vec<_>>(), expected, "{sources:?}");
    }
}

/// A clock a day ahead received, claimed and put off rows, and then was set right.
pub async fn believes_no_date_that_only_a_wrong_clock_can_have_written(inbox: &impl Inbox) {
    const DAY: u64 = 24 * 60 * 60;
    let mut early = paid("received");
    early.received_at = later(DAY);
    inbox.record(&early).await.unwrap();
    let (claimed_key, retried) = (recorded(inbox, "claimed").await, recorded(inbox, "b").await);
    claimed(inbox, &claimed_key, later(DAY), 1).await;
    let fence = claimed(inbox, &retried, later(DAY), 1).await;
    let retry = Mark::Retry {
        due_at: later(DAY + 60),
        error: "503".into(),
    };
    inbox.mark(&fence, &retry).await.unwrap();
    let on_time = recorded(inbox, "on time").await;
    let fence = claimed(inbox, &on_time, NOW, 1).await;
    let retry = Mark::Retry {
        due_at: NOW.plus(MAX_BACKOFF),
        error: "503".into(),
    };
    inbox.mark(&fence, &retry).await.unwrap();

    let mut due = inbox.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap();
    due.sort();
    let mut expected = [early.key.clone(), claimed_key, retried];
    expected.sort();
    assert_eq!(
        due, expected,
        "a date within the longest backoff is believed"
    );
    let one = inbox.find_due(&SourceFilter::ALL, NOW, 1).await.unwrap();
    assert_eq!(one.len(), 1);
    for (key, id) in expected.iter().zip(2..) {
        claimed(inbox, key, NOW, id).await;
        let row = row(inbox, key).await;
        assert!(row.due_at.unwrap() <= later(DAY), "{key} is not put off");
    }
    assert!(
        inbox
            .claim(&on_time, &claim_at(NOW, 9))
            .await
            .unwrap()
            .is_none(),
        "it is not due yet"
    );

    // Its budget began tomorrow, and would not end before that.
    let lapse = NOW.plus(LEASE);
    claimed(inbox, &early.key, lapse, 10).await;
    assert_eq!(row(inbox, &early.key).await.budget_from, lapse);
}

pub async fn has_an_open_row_attempted_at_once_on_request_but_not_during_an_attempt(
    inbox: &impl Inbox,
) {
    let key = recorded(inbox, "m1").await;
    let fence = claimed(inbox, &key, NOW, 1).await;
    assert!(matches!(
        inbox.replay(&key, later(1)).await.unwrap(),
        Replayed::Refused(_)
    ));
    let retry = Mark::Retry {
        due_at: later(3000),
        error: "503".into(),
    };
    assert_eq!(inbox.mark(&fence, &retry).await.unwrap(), Marked::Done);

    assert_eq!(inbox.replay(&key, later(2)).await.unwrap(), Replayed::Done);
    let row = row(inbox, &key).await;
    assert_eq!(
        (row.state, row.attempts, row.due_at, row.budget_from),
        (State::Recorded, 0, Some(later(2)), later(2))
    );
    let due = inbox.find_due(&SourceFilter::ALL, later(2), 10).await;
    assert_eq!(due.unwrap(), std::slice::from_ref(&key));
    claimed(inbox, &key, later(2), 2).await;
}

pub async fn removes_a_finished_row_from_the_pending_index_and_lets_it_expire(inbox: &impl Inbox) {
    let (done, again) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    let fence = claimed(inbox, &done, NOW, 1).await;
    inbox
        .mark(
            &fence,
            &Mark::Delivered {
                expires_at: expiry(90),
            },
        )
        .await
        .unwrap();
    let fence = claimed(inbox, &again, NOW, 1).await;
    inbox
        .mark(
            &fence,
            &Mark::Repeat {
                of: done.clone(),
                expires_at: expiry(90),
            },
        )
        .await
        .unwrap();

    let (done, again) = (row(inbox, &done).await, row(inbox, &again).await);
    assert_eq!(
        (done.state, done.expires_at, done.due_at, done.lease),
        (State::Delivered, Some(expiry(90)), None, None)
    );
    assert_eq!(
        (again.state, again.reason.as_deref()),
        (State::Repeat, Some("pay:a"))
    );
    assert_eq!(again.expires_at, Some(expiry(90)));
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(1000), 10)
            .await
            .unwrap(),
        []
    );
}

pub async fn holds_a_row_that_delivery_cannot_deliver_until_it_is_replayed(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let fence = claimed(inbox, &key, NOW, 1).await;
    let mark = Mark::Held {
        reason: HeldReason::Unsigned,
        at: later(2),
    };
    assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), Marked::Done);

    let held = row(inbox, &key).await;
    assert_eq!(
        (held.state, held.reason.as_deref(), held.due_at, held.lease),
        (State::Held, Some("unsigned"), Some(later(2)), None)
    );
    assert_eq!((held.expires_at, held.body.is_some()), (None, true));
    let due = inbox.find_due(&SourceFilter::ALL, later(1000), 10).await;
    assert_eq!(due.unwrap(), []);
    let of_payment = ["payment".to_owned()].into();
    let source = SourceName::new("pay").unwrap();
    let pending = inbox.pending_events(&source, &of_payment).await.unwrap();
    assert_eq!(pending.len(), 1, "a person finds it");

    let replayed = inbox.replay(&key, later(1001)).await.unwrap();
    assert_eq!(replayed, Replayed::Done);
    claimed(inbox, &key, later(1001), 2).await;
}

pub async fn never_lets_dead_or_held_rows_expire(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    dead(inbox, &key).await;
    let held = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
    inbox.record(&held).await.unwrap();

    let dead = row(inbox, &key).await;
    assert_eq!(
        (
            dead.state,
            dead.reason.as_deref(),
            dead.last_error.as_deref()
        ),
        (State::Dead, Some("refused"), Some("422"))
    );
    assert_eq!((dead.expires_at, dead.body.is_some()), (None, true));
    assert_eq!(row(inbox, &held.key).await.expires_at, None);
    assert_eq!(
        inbox
            .find_due(&SourceFilter::ALL, later(1000), 10)
            .await
            .unwrap(),
        []
    );
}

pub async fn gives_an_event_to_the_first_key_that_claims_it(inbox: &impl Inbox) {
    let (first, second) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    let event = row(inbox, &first).await.event().unwrap();
    assert_eq!(
        row(inbox, &second).await.event().as_ref(),
        Some(&event),
        "one event under two ids"
    );

    assert_eq!(
        inbox.claim_event(&event, &first, later(97)).await.unwrap(),
        EventClaim::Acquired
    );
    assert_eq!(
        inbox.claim_event(&event, &first, later(97)).await.unwrap(),
        EventClaim::Acquired,
        "the key still holds it after a crash"
    );
    assert_eq!(
        inbox.claim_event(&event, &second, later(97)).await.unwrap(),
        EventClaim::HeldBy(first)
    );

    let refund = pay("c", "payment", "card_payment_refunded", later(1));
    inbox.record(&refund).await.unwrap();
    let refunded = row(inbox, &refund.key).await.event().unwrap();
    assert_eq!(
        inbox
            .claim_event(&refunded, &refund.key, later(97))
            .await
            .unwrap(),
        EventClaim::Acquired
    );
}

pub async fn tells_two_refunds_of_one_instant_apart_by_their_amounts(inbox: &impl Inbox) {
    let refunds = [("one", 1500), ("two", 4000), ("again", 1500)]
        .map(|(id, submitted)| pay_refund(id, "payment", submitted));
    let mut claims = Vec::new();
    for refund in &refunds {
        inbox.record(refund).await.unwrap();
        let event = row(inbox, &refund.key).await.event().unwrap();
        let claim = inbox.claim_event(&event, &refund.key, later(97)).await;
        claims.push(claim.unwrap());
    }
    assert_eq!(
        claims,
        [
            EventClaim::Acquired,
            EventClaim::Acquired,
            EventClaim::HeldBy(refunds[0].key.clone())
        ]
    );
}

pub async fn replays_dead_delivered_and_held_rows_but_nothing_unreadable(inbox: &impl Inbox) {
    let (dead_key, done) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    dead(inbox, &dead_key).await;
    let fence = claimed(inbox, &done, NOW, 1).await;
    inbox
        .mark(
            &fence,
            &Mark::Delivered {
                expires_at: expiry(90),
            },
        )
        .await
        .unwrap();
    let stale = pay(
        "c",
        "payment",
        "card_payment_captured",
        Timestamp::from_millis(0),
    );
    assert_eq!(stale.held, Some(HeldReason::Stale));
    inbox.record(&stale).await.unwrap();

    for key in [&dead_key, &done, &stale.key] {
        assert_eq!(inbox.replay(key, later(500)).await.unwrap(), Replayed::Done);
        let row = row(inbox, key).await;
        assert_eq!(
            (row.state, row.reason, row.attempts, row.lease),
            (State::Recorded, None, 0, None)
        );
        assert_eq!(
            (row.due_at, row.budget_from, row.expires_at),
            (Some(later(500)), later(500), None)
        );
    }
    let unreadable = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
    inbox.record(&unreadable).await.unwrap();
    assert!(matches!(
        inbox.replay(&unreadable.key, NOW).await.unwrap(),
        Replayed::Refused(_)
    ));
    assert_eq!(
        inbox.replay(&paid("nobody").key, NOW).await.unwrap(),
        Replayed::Absent
    );
}

/// A request at that time.
fn discard_at(seconds: u64, erase: bool) -> DiscardRequest {
    DiscardRequest {
        erase,
        now: later(seconds),
        expires_at: expiry(90),
    }
}

/// An ordinary notification that is too long for its row, with any status.
fn long_hmrc(id: &str, status: &str) -> Entry {
    let noise = hex::encode(noise(40_000));
    let body = format!(
        r#"{{"notificationId":"{id}","boxId":"50dca3fc","messageContentType":"application/json",
            "message":"{noise}","status":"{status}",
            "createdDateTime":"2026-03-02T10:15:31.480+0000"}}"#
    );
    entry(SenderKind::HMRC, "hmrc", body.into())
}

async fn has_no_copy(inbox: &impl Inbox, key: &Key) {
    assert_eq!(inbox.body_copies(key).await.unwrap(), [], "{key}");
}

fn attempt(number: u32, began_at: Timestamp, outcome: PastOutcome) -> PastAttempt {
    PastAttempt {
        number,
        began_at,
        duration: Duration::from_millis(35),
        outcome,
        destination: Some("ledger".to_owned()),
        status: Some(503),
        error: Some("no connection".to_owned()),
        answer: Some(format!("{number}: out of order – ✓")),
    }
}

/// Makes one attempt at `now` that ends like this.
async fn attempted(
    inbox: &impl Inbox,
    key: &Key,
    now: Timestamp,
    outcome: PastOutcome,
    mark: &Mark,
) -> PastAttempt {
    let mut fence = claimed(inbox, key, now, 1).await;
    let attempt = attempt(fence.attempt, now, outcome);
    fence.history.add_attempt(attempt.clone());
    assert_eq!(inbox.mark(&fence, mark).await.unwrap(), Marked::Done);
    attempt
}

fn retry_at(due_at: Timestamp) -> Mark {
    let error = "https: status 503".to_owned();
    Mark::Retry { due_at, error }
}

fn delivered_until(seconds: u64) -> Mark {
    let expires_at = expiry(seconds);
    Mark::Delivered { expires_at }
}

pub async fn keeps_every_attempt_and_replay_of_a_row_in_its_history(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    assert_eq!(row(inbox, &key).await.history, DeliveryHistory::default());

    let retry = retry_at(later(60));
    let failed = attempted(inbox, &key, NOW, PastOutcome::Failed, &retry).await;
    claimed(inbox, &key, later(60), 2).await; // and its process stops
    let lapsed = row(inbox, &key).await;
    assert_eq!(
        lapsed.history.entries(),
        [HistoryEntry::Attempt(failed.clone())],
        "a claim keeps the history"
    );
    assert_eq!(
        (
            lapsed.full_history(later(61)).len(),
            lapsed.full_history(later(300)).len()
        ),
        (1, 2),
        "an attempt that is under way has not lapsed"
    );
    let refused = Mark::Dead {
        reason: "refused".into(),
        error: "https: status 422".into(),
        at: later(300),
    };
    let refused = attempted(inbox, &key, later(300), PastOutcome::Refused, &refused).await;
    inbox.replay(&key, later(400)).await.unwrap();
    let until = delivered_until(1000);
    let delivered = attempted(inbox, &key, later(401), PastOutcome::Delivered, &until).await;

    let row = row(inbox, &key).await;
    let replayed = HistoryEntry::Replayed {
        at: later(400),
        attempts: 3,
    };
    assert_eq!(
        row.history.entries(),
        [
            HistoryEntry::Attempt(failed.clone()),
            HistoryEntry::Attempt(refused.clone()),
            replayed.clone(),
            HistoryEntry::Attempt(delivered.clone()),
        ]
    );
    assert_eq!(
        row.full_history(later(500)),
        [
            HistoryEntry::Attempt(failed),
            HistoryEntry::Lapsed { first: 2, last: 2 },
            HistoryEntry::Attempt(refused),
            replayed,
            HistoryEntry::Attempt(delivered.clone()),
        ]
    );
    let history = &row.history;
    assert_eq!(
        (
            history.replays,
            history.replayed_at(),
            history.delivered_at()
        ),
        (1, Some(later(400)), Some(delivered.ended_at()))
    );
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(1)).await.unwrap();
    assert_eq!(&listed.rows[0].history, history);

    inbox.discard(&key, &discard_at(600, true)).await.unwrap();
    let inbox_row = inbox.get(&key).await.unwrap().unwrap();
    assert_eq!(
        inbox_row.history.entries().last(),
        Some(&HistoryEntry::Discarded {
            at: later(600),
            attempts: 1,
            erased: true
        })
    );
}

pub async fn keeps_a_short_history_however_often_a_row_fails(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    let until = delivered_until(1000);
    let delivered = attempted(inbox, &key, NOW, PastOutcome::Delivered, &until).await;
    inbox.replay(&key, later(10)).await.unwrap();
    let mut last = None;
    for second in 100..150 {
        let retry = retry_at(later(second + 1));
        last = Some(attempted(inbox, &key, later(second), PastOutcome::Failed, &retry).await);
    }
    let row = row(inbox, &key).await;
    assert_eq!(row.attempts, 50);
    assert!(row.history.entries().len() <= MAX_HISTORY_ENTRIES);
    assert!(row.history.encode().len() <= MAX_HISTORY_BYTES);
    assert_eq!(row.history.attempts().next_back(), last.as_ref());
    assert_eq!(
        (row.history.replays, row.history.delivered_at()),
        (1, Some(delivered.ended_at())),
        "the last delivery and the last replay stay"
    );
}

pub async fn forgets_the_last_error_once_a_row_is_delivered_or_replayed(inbox: &impl Inbox) {
    let (done, repeat, replayed) = (
        recorded(inbox, "done").await,
        recorded(inbox, "repeat").await,
        recorded(inbox, "replayed").await,
    );
    for key in [&done, &repeat, &replayed] {
        attempted(inbox, key, NOW, PastOutcome::Failed, &retry_at(later(5))).await;
        let error = row(inbox, key).await.last_error;
        assert_eq!(error.as_deref(), Some("https: status 503"));
    }
    let until = delivered_until(1000);
    attempted(inbox, &done, later(5), PastOutcome::Delivered, &until).await;
    let of_done = Mark::Repeat {
        of: done.clone(),
        expires_at: expiry(1000),
    };
    attempted(inbox, &repeat, later(5), PastOutcome::Repeat, &of_done).await;
    inbox.replay(&replayed, later(5)).await.unwrap();
    for key in [&done, &repeat, &replayed] {
        let row = row(inbox, key).await;
        assert_eq!(row.last_error, None, "{key}");
        assert_eq!(
            row.history.attempts().next().map(|attempt| attempt.outcome),
            Some(PastOutcome::Failed),
            "the history keeps it"
        );
    }
}

pub async fn erases_what_destinations_answered_with_the_bytes(inbox: &impl Inbox) {
    let key = recorded(inbox, "m1").await;
    attempted(inbox, &key, NOW, PastOutcome::Failed, &retry_at(later(5))).await;
    let answers = async || {
        let history = row(inbox, &key).await.history;
        history
            .attempts()
            .filter(|attempt| attempt.answer.is_some())
            .count()
    };
    inbox.discard(&key, &discard_at(10, false)).await.unwrap();
    assert_eq!(answers().await, 1);
    inbox.discard(&key, &discard_at(20, true)).await.unwrap();
    assert_eq!(answers().await, 0, "an answer may repeat what was erased");
}

pub async fn discards_rows_and_erases_only_on_request(inbox: &impl Inbox) {
    let open = recorded(inbox, "a").await;
    let keep = discard_at(0, false);
    assert_eq!(inbox.discard(&open, &keep).await.unwrap(), Discarded::Done);
    let kept = row(inbox, &open).await;
    assert_eq!(
        (kept.state, kept.expires_at, kept.body.is_some()),
        (State::Discarded, Some(expiry(90)), true)
    );
    assert_eq!(inbox.body_copies(&open).await.unwrap().len(), 1);
    assert!(matches!(
        inbox.discard(&open, &keep).await.unwrap(),
        Discarded::Refused(_)
    ));
    for _ in 0..2 {
        let erase = discard_at(0, true);
        assert_eq!(inbox.discard(&open, &erase).await.unwrap(), Discarded::Done);
        let erased = row(inbox, &open).await;
        assert_eq!((erased.state, erased.body), (State::Discarded, None));
        has_no_copy(inbox, &open).await;
    }
    let unknown = paid("nobody").key;
    assert_eq!(
        inbox.discard(&unknown, &discard_at(0, true)).await.unwrap(),
        Discarded::Absent
    );
    has_no_copy(inbox, &unknown).await;
}

pub async fn discards_no_row_while_an_attempt_is_under_way(inbox: &impl Inbox) {
    let delivered = Mark::Delivered {
        expires_at: expiry(90),
    };
    let (first, second) = (recorded(inbox, "a").await, recorded(inbox, "b").await);
    for erase in [false, true] {
        let key = if erase { &first } else { &second };
        let fence = claimed(inbox, key, NOW, 1).await;
        for seconds in [0, 149] {
            let discarded = inbox.discard(key, &discard_at(seconds, erase)).await;
            assert!(
                matches!(discarded.unwrap(), Discarded::Refused(why) if why.contains("attempt"))
            );
            assert_eq!(row(inbox, key).await.state, State::Recorded);
        }
        let lapsed = discard_at(150, erase);
        assert_eq!(inbox.discard(key, &lapsed).await.unwrap(), Discarded::Done);
        assert_eq!(
            inbox.mark(&fence, &delivered).await.unwrap(),
            Marked::Discarded,
            "a late mark learns what became of its row"
        );
        assert_eq!(row(inbox, key).await.state, State::Discarded);
    }

    let ahead = recorded(inbox, "c").await;
    claimed(inbox, &ahead, later(86_400), 1).await;
    assert_eq!(
        inbox.discard(&ahead, &discard_at(0, false)).await.unwrap(),
        Discarded::Done,
        "a lease of a wrong clock does not keep a person waiting for a day"
    );
}

pub async fn erases_rows_of_every_state_and_keeps_what_they_were(inbox: &impl Inbox) {
    let delivered = Mark::Delivered {
        expires_at: expiry(90),
    };
    let (done, repeat, died) = (
        recorded(inbox, "done").await,
        recorded(inbox, "repeat").await,
        recorded(inbox, "dead").await,
    );
    let event = row(inbox, &done).await.event().unwrap();
    inbox.claim_event(&event, &done, later(97)).await.unwrap();
    let fence = claimed(inbox, &done, NOW, 1).await;
    inbox.mark(&fence, &delivered).await.unwrap();
    let fence = claimed(inbox, &repeat, NOW, 2).await;
    let mark = Mark::Repeat {
        of: done.clone(),
        expires_at: expiry(90),
    };
    inbox.mark(&fence, &mark).await.unwrap();
    dead(inbox, &died).await;
    let long = long_hmrc("long", "PENDING");
    inbox.record(&long).await.unwrap();
    let fence = claimed(inbox, &long.key, NOW, 3).await;
    inbox.mark(&fence, &delivered).await.unwrap();
    let held = entry(SenderKind::GOVUK_PAY, "pay", noise(400_000));
    inbox.record(&held).await.unwrap();

    for key in [&done, &repeat, &long.key] {
        assert!(matches!(
            inbox.discard(key, &discard_at(0, false)).await.unwrap(),
            Discarded::Refused(why) if why.contains("--erase")
        ));
    }
    for (key, reason) in [
        (&done, "delivered"),
        (&repeat, "pay:done"),
        (&died, "refused"),
        (&long.key, "delivered"),
        (&held.key, "unreadable"),
    ] {
        let before = row(inbox, key).await;
        let erase = discard_at(0, true);
        assert_eq!(inbox.discard(key, &erase).await.unwrap(), Discarded::Done);
        has_no_copy(inbox, key).await;
        let after = row(inbox, key).await;
        assert_eq!(
            (after.state, after.reason.as_deref(), after.body),
            (State::Discarded, Some(reason), None)
        );
        assert_eq!(
            (after.digest, after.content_digest, after.signature),
            (before.digest, before.content_digest, before.signature)
        );
        assert!(matches!(
            inbox.replay(key, NOW).await.unwrap(),
            Replayed::Refused(_)
        ));
    }
    for copy in [paid("done"), long, long_hmrc("long", "FAILED"), held] {
        assert_eq!(inbox.record(&copy).await.unwrap(), Recorded::Duplicate);
        assert_eq!(row(inbox, &copy.key).await.body, None);
        has_no_copy(inbox, &copy.key).await;
    }
    assert_eq!(
        inbox.claim_event(&event, &repeat, later(97)).await.unwrap(),
        EventClaim::HeldBy(done),
        "the ledger stays"
    );
}

pub async fn erases_a_conflict_and_the_first_row_apart(inbox: &impl Inbox) {
    for length in [10, 40_000] {
        let message = hex::encode(noise(length));
        let id = format!("n{length}");
        let first = hmrc(&id, &format!("first {message}"));
        let other = hmrc(&id, &format!("other {message}"));
        inbox.record(&first).await.unwrap();
        let Recorded::Conflict(beside) = inbox.record(&other).await.unwrap() else {
            panic!("other content is a conflict");
        };
        let erase = discard_at(0, true);
        inbox.discard(&beside, &erase).await.unwrap();
        has_no_copy(inbox, &beside).await;
        assert_eq!(
            inbox.body_copies(&first.key).await.unwrap().len(),
            1,
            "a refused copy leaves nothing under the first row's key"
        );
        assert_eq!(inbox.record(&other).await.unwrap(), Recorded::Duplicate);
        has_no_copy(inbox, &beside).await;
        inbox.discard(&first.key, &erase).await.unwrap();
        assert_eq!(inbox.record(&first).await.unwrap(), Recorded::Duplicate);
        has_no_copy(inbox, &first.key).await;
    }
}

pub async fn lists_newest_first_page_by_page(inbox: &impl Inbox) {
    let entries = (0..7)
        .map(|number| paid(&format!("m{number}")))
        .chain([hmrc("n1", "1")]);
    for (mut entry, second) in entries.zip(1..) {
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    dead(inbox, &paid("m2").key).await;

    let pages = |filter: RowFilter, limit: usize| async move {
        let (mut keys, mut page) = (Vec::new(), PageRequest::first(limit));
        loop {
            let listed = inbox.list(&filter, page).await.unwrap();
            keys.extend(listed.rows.iter().map(|row| row.key.as_str().to_owned()));
            assert!(
                listed.rows.iter().all(|row| row.body.is_none()),
                "a list carries no bytes"
            );
            let Some(next) = listed.next else {
                return keys.join(" ");
            };
            page = PageRequest {
                limit,
                after: Some(next),
            };
        }
    };
    let source = |name: &str| RowFilter {
        source: Some(name.into()),
        ..RowFilter::default()
    };
    let state = |state| RowFilter {
        state: Some(state),
        ..RowFilter::default()
    };
    assert_eq!(
        pages(RowFilter::default(), 3).await,
        "hmrc:n1 pay:m6 pay:m5 pay:m4 pay:m3 pay:m2 pay:m1 pay:m0"
    );
    assert_eq!(
        pages(source("pay"), 7).await,
        "pay:m6 pay:m5 pay:m4 pay:m3 pay:m2 pay:m1 pay:m0"
    );
    assert_eq!(pages(source("hmrc"), 7).await, "hmrc:n1");
    assert_eq!(pages(source("pa"), 7).await, "");
    assert_eq!(pages(state(State::Dead), 7).await, "pay:m2");
    assert_eq!(pages(state(State::Held), 7).await, "");
    assert_eq!(
        pages(
            RowFilter {
                event_type: Some("notification".into()),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
    assert_eq!(
        pages(
            RowFilter {
                subject: Some("50dca3fc".into()),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(7)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1 pay:m6"
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(9)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        ""
    );
    assert_eq!(
        pages(
            RowFilter {
                since: Some(later(6)),
                until: Some(later(7)),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "pay:m5"
    );
    assert_eq!(
        pages(
            RowFilter {
                kind: Some(SenderKind::HMRC),
                ..RowFilter::default()
            },
            7
        )
        .await,
        "hmrc:n1"
    );
}

pub async fn keeps_the_latest_time_at_which_a_source_was_received(inbox: &impl Inbox) {
    let pay = SourceName::new("pay").unwrap();
    for at in [later(10), later(30), later(20)] {
        inbox.record_last_received(&pay, at).await.unwrap();
    }
    assert_eq!(inbox.last_received(&pay).await.unwrap(), Some(later(30)));
    assert_eq!(
        inbox
            .last_received(&SourceName::new("hmrc").unwrap())
            .await
            .unwrap(),
        None
    );
}

pub async fn remembers_since_when_a_source_that_was_never_received_is_silent(inbox: &impl Inbox) {
    let (pay, hmrc) = (pay_source(), SourceName::new("hmrc").unwrap());
    let silent_since = async |source, at| inbox.silent_since(source, at).await.unwrap();
    assert_eq!(silent_since(&pay, later(10)).await, later(10));
    assert_eq!(
        silent_since(&pay, later(20)).await,
        later(10),
        "the first question counts"
    );
    assert_eq!(inbox.last_received(&pay).await.unwrap(), None);
    inbox.record_last_received(&pay, later(30)).await.unwrap();
    assert_eq!(silent_since(&pay, later(40)).await, later(30));
    assert_eq!(silent_since(&hmrc, later(40)).await, later(40));
}

pub async fn measures_the_pending_rows_and_tells_conflicts_from_other_held_rows(
    inbox: &impl Inbox,
) {
    let gauges = async |limit| inbox.pending_gauges(later(15), limit).await.unwrap();
    assert_eq!(gauges(10).await, PendingGauges::default());
    for second in [20, 10, 5] {
        let mut entry = paid(&format!("open{second}"));
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    let delivered = recorded(inbox, "delivered").await;
    let fence = claimed(inbox, &delivered, NOW, 1).await;
    let mark = Mark::Delivered {
        expires_at: expiry(90),
    };
    inbox.mark(&fence, &mark).await.unwrap();
    for id in ["dead1", "dead2", "dead3"] {
        dead(inbox, &recorded(inbox, id).await).await;
    }
    let held = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
    inbox.record(&held).await.unwrap();
    let mut first = hmrc("n1", "first");
    first.received_at = later(20);
    inbox.record(&first).await.unwrap();
    inbox.record(&hmrc("n1", "other")).await.unwrap();

    let expected = PendingGauges {
        open_rows: 2,
        oldest_open: Some(later(5)),
        dead_rows: 3,
        held_rows: 1,
        conflict_rows: 1,
    };
    assert_eq!(
        gauges(10).await,
        expected,
        "what is younger than 15 s does not count as open"
    );
    let fewer = gauges(1).await;
    assert!(
        fewer.dead_rows >= 1 && fewer.dead_rows <= 3,
        "a limit makes it less: {fewer:?}"
    );
}

fn pay_source() -> SourceName {
    SourceName::new("pay").unwrap()
}

pub async fn sums_up_what_waits_and_says_when_there_is_more(inbox: &impl Inbox) {
    let summary = async |limit| {
        let request = SummaryRequest {
            overdue_before: later(15),
            expired_before: NOW,
            limit,
        };
        inbox.summary(&request).await.unwrap()
    };
    let empty = summary(100).await;
    assert!(empty.open.is_empty() && empty.dead.is_empty() && empty.held.is_empty());
    for second in [20, 10, 5] {
        let mut entry = paid(&format!("open{second}"));
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    let failed = recorded(inbox, "failed").await;
    let fence = claimed(inbox, &failed, NOW, 1).await;
    let mark = Mark::Retry {
        due_at: later(1_000),
        error: "503".into(),
    };
    inbox.mark(&fence, &mark).await.unwrap();
    dead(inbox, &recorded(inbox, "dead").await).await;
    let held = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
    inbox.record(&held).await.unwrap();
    inbox.record(&hmrc("n1", "first")).await.unwrap();
    inbox.record(&hmrc("n1", "other")).await.unwrap();

    let all = summary(1_000).await;
    assert_eq!((all.open.rows, all.dead.rows, all.held.rows), (5, 1, 2));
    assert!(!all.open.has_more && !all.dead.has_more && !all.held.has_more);
    assert_eq!((all.open.oldest, all.overdue), (Some(NOW), 4));
    let retrying: Vec<_> = all.retrying.iter().map(|row| &row.key).collect();
    assert_eq!(
        retrying,
        [&failed],
        "rows without an attempt are not retried"
    );
    assert!(all.retrying[0].body.is_none());
    let reasons = all
        .held_reasons
        .iter()
        .map(|(reason, rows)| (reason.as_str(), *rows));
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        [("conflict", 1), ("unreadable", 1)]
    );
    assert_eq!(all.expired, None);

    // A limit is shared by the shards, each of which counts at least one row.
    let fewer = summary(1).await;
    assert!(fewer.open.rows < 5 && fewer.open.has_more, "{fewer:?}");
}

pub async fn keeps_the_status_of_the_last_sweep(inbox: &impl Inbox) {
    assert_eq!(last_sweep(inbox).await.unwrap(), None);
    for (second, open) in [(1, &["pay", "hmrc"][..]), (2, &[])] {
        let open = open.iter().map(|source| (*source).to_owned());
        let status = SweepStatus::new(later(second), open.collect());
        inbox.record_sweep(&status, second).await.unwrap();
        assert_eq!(last_sweep(inbox).await.unwrap(), Some(status));
    }
}

pub async fn lists_the_claimed_events_of_a_subject(inbox: &impl Inbox) {
    let entries = [
        pay("a", "p1", "card_payment_succeeded", NOW),
        pay("b", "p1", "card_payment_refunded", later(1)),
        pay("c", "p1", "card_payment_refunded", later(2)),
        pay("d", "p2", "card_payment_refunded", later(2)),
    ];
    for entry in &entries {
        inbox.record(entry).await.unwrap();
        let event = row(inbox, &entry.key).await.event().unwrap();
        inbox
            .claim_event(&event, &entry.key, later(97))
            .await
            .unwrap();
    }
    let mut entries = inbox.ledger_entries(&pay_source(), "p1").await.unwrap();
    entries.sort();
    let entries: Vec<_> = entries
        .iter()
        .map(|event| (event.event_type(), event.owner.as_str()))
        .collect();
    let refunded = "card_payment_refunded";
    assert_eq!(
        entries,
        [
            (refunded, "pay:b"),
            (refunded, "pay:c"),
            ("card_payment_succeeded", "pay:a")
        ]
    );
    assert_eq!(inbox.ledger_entries(&pay_source(), "p3").await.unwrap(), []);
    assert_eq!(
        inbox
            .ledger_entries(&SourceName::new("other").unwrap(), "p1")
            .await
            .unwrap(),
        []
    );
}

pub async fn lists_the_open_dead_and_held_events_of_subjects(inbox: &impl Inbox) {
    let entries = [
        pay("open", "p1", "card_payment_succeeded", NOW),
        pay("dead", "p1", "card_payment_captured", NOW),
        pay(
            "held",
            "p2",
            "card_payment_failed",
            Timestamp::from_millis(0),
        ),
        pay("done", "p2", "card_payment_expired", NOW),
        pay("other", "p3", "card_payment_expired", NOW),
        entry(SenderKind::GOVUK_PAY, "pays", Bytes::from_static(b"{}")),
    ];
    for entry in &entries {
        inbox.record(entry).await.unwrap();
    }
    dead(inbox, &entries[1].key).await;
    let fence = claimed(inbox, &entries[3].key, NOW, 1).await;
    inbox
        .mark(
            &fence,
            &Mark::Delivered {
                expires_at: expiry(90),
            },
        )
        .await
        .unwrap();

    let subjects = ["p1", "p2"].map(str::to_owned).into();
    let mut pending = inbox
        .pending_events(&pay_source(), &subjects)
        .await
        .unwrap();
    pending.sort();
    let pending: Vec<_> = pending
        .iter()
        .map(|row| format!("{} {} {}", row.key, row.event_type, row.subject))
        .collect();
    assert_eq!(
        pending,
        [
            "pay:dead card_payment_captured p1",
            "pay:held card_payment_failed p2",
            "pay:open card_payment_succeeded p1"
        ]
    );
    assert_eq!(
        inbox
            .pending_events(&SourceName::new("pa").unwrap(), &subjects)
            .await
            .unwrap(),
        []
    );
}

fn entry_of(version: u64, text: &str) -> KvEntry {
    KvEntry {
        version,
        text: text.to_owned(),
    }
}

pub async fn swaps_an_entry_only_for_the_expected_version(inbox: &impl Inbox) {
    let (key, other) = (KvKey::new("lock", "hmrc"), KvKey::new("lock", "pay"));
    assert_eq!(inbox.kv_get(&key).await.unwrap(), None);
    let (first, second) = (entry_of(u64::MAX, ""), entry_of(2, "until 7 – ✓"));
    assert_eq!(
        inbox.compare_and_swap(&key, Some(1), &first).await.unwrap(),
        CasOutcome::Conflict(None),
        "no entry is stored"
    );
    for _ in 0..2 {
        let swapped = inbox.compare_and_swap(&key, None, &first).await.unwrap();
        assert_eq!(
            swapped,
            CasOutcome::Stored,
            "the same exchange again is stored, too"
        );
    }
    assert_eq!(
        inbox.compare_and_swap(&key, None, &second).await.unwrap(),
        CasOutcome::Conflict(Some(first.clone()))
    );
    for _ in 0..2 {
        assert_eq!(
            inbox
                .compare_and_swap(&key, Some(u64::MAX), &second)
                .await
                .unwrap(),
            CasOutcome::Stored
        );
    }
    let late = inbox
        .compare_and_swap(&key, Some(u64::MAX), &entry_of(3, "late"))
        .await
        .unwrap();
    assert_eq!(late, CasOutcome::Conflict(Some(second.clone())));
    assert_eq!(inbox.kv_get(&key).await.unwrap(), Some(second));
    assert_eq!(inbox.kv_get(&other).await.unwrap(), None);
    let listed = inbox
        .list(&RowFilter::default(), PageRequest::first(10))
        .await
        .unwrap();
    assert!(
        listed.rows.is_empty() && listed.newer.is_empty(),
        "an entry is not a notification"
    );
}

pub async fn lets_one_of_many_concurrent_swaps_succeed(inbox: &impl Inbox) {
    let key = KvKey::new("turn", "box");
    let mut expected = None;
    for round in 1..4 {
        // All write the same text: only the version shows which was first.
        let entries: Vec<_> = (0..32)
            .map(|writer| entry_of(round * 100 + writer, "now"))
            .collect();
        let swaps = entries
            .iter()
            .map(|next| inbox.compare_and_swap(&key, expected, next));
        let swapped = futures_util::future::join_all(swaps).await;
        let winners: Vec<_> = entries
            .iter()
            .zip(swapped)
            .filter(|(_, how)| *how.as_ref().unwrap() == CasOutcome::Stored)
            .collect();
        assert_eq!(winners.len(), 1);
        expected = Some(winners[0].0.version);
    }
}

pub async fn lists_the_audit_trail_newest_first_with_the_last_outcome_of_each_act(
    inbox: &impl Inbox,
) {
    let act = |seconds: u64, id: u64, action: AuditAction, outcome: AuditOutcome| AuditEntry {
        at: later(seconds),
        id,
        actor: "alice@laptop".into(),
        action,
        target: "pay:m1".into(),
        planned: (outcome != AuditOutcome::Failed).then_some(3),
        done: u64::from(outcome == AuditOutcome::Done),
        outcome,
    };
    let started = act(1, u64::MAX, AuditAction::Replay, AuditOutcome::Started);
    let acts = [
        act(1, u64::MAX, AuditAction::Replay, AuditOutcome::Done),
        act(2, 7, AuditAction::Discard, AuditOutcome::Stopped),
        act(3, 8, AuditAction::Erase, AuditOutcome::Failed),
        act(4, 9, AuditAction::Unmask, AuditOutcome::Done),
        act(5, 10, AuditAction::Import, AuditOutcome::Started),
        act(6, 11, AuditAction::SendSample, AuditOutcome::Done),
    ];
    assert_eq!(inbox.audit_entries(None, 10).await.unwrap(), []);
    let expires_at = later(24 * 60 * 60);
    inbox.write_audit_entry(&started, expires_at).await.unwrap();
    for act in &acts {
        inbox.write_audit_entry(act, expires_at).await.unwrap();
        inbox.write_audit_entry(act, expires_at).await.unwrap(); // as after a lost reply
    }
    let newest_first: Vec<AuditEntry> = acts.iter().rev().cloned().collect();
    for (since, limit, expected) in [
        (None, 10, &newest_first[..]),
        (None, 2, &newest_first[..2]),
        (Some(later(3)), 10, &newest_first[..4]),
        (Some(later(7)), 10, &[]),
    ] {
        let listed = inbox.audit_entries(since, limit).await.unwrap();
        assert_eq!(listed, expected, "{since:?} {limit}");
    }
    let rows = inbox
        .list(&RowFilter::default(), PageRequest::first(10))
        .await;
    assert!(
        rows.unwrap().rows.is_empty(),
        "an entry is not a notification"
    );
    let gauges = inbox.pending_gauges(later(100), 10).await.unwrap();
    assert_eq!(gauges, PendingGauges::default(), "and waits for no one");
}

pub async fn imports_a_row_as_it_is_and_never_over_another(inbox: &impl Inbox) {
    let recorded = recorded(inbox, "m1").await;
    let original = row(inbox, &recorded).await;
    let key = |id: &str| Key::parse(&format!("pay:{id}")).unwrap();
    let mut number = 1_u64;
    let long: Bytes = std::iter::repeat_with(|| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        number.to_be_bytes()
    })
    .take(100_000)
    .flatten()
    .collect();
    let mut history = original.history.clone();
    history.add_replay(later(40), 3);
    let moved = |id: &str, state: State| Row {
        key: key(id),
        state,
        due_at: state.index_partition().map(|_| later(60)),
        expires_at: state.index_partition().is_none().then(|| expiry(600)),
        attempts: 3,
        last_error: Some("https: status 503".into()),
        budget_from: later(30),
        ..original.clone()
    };
    let rows = [
        moved("open", State::Recorded),
        Row {
            reason: Some("refused".into()),
            history,
            ..moved("dead", State::Dead)
        },
        Row {
            body: Some(long.clone()),
            ..moved("delivered", State::Delivered)
        },
        Row {
            body: None,
            ..moved("erased", State::Discarded)
        },
        Row {
            body: Some(long.clone()),
            signature: None,
            key_label: None,
            secret_fingerprint: None,
            origin: Origin::Pull,
            reason: Some("imported".into()),
            ..moved("held", State::Held)
        },
    ];
    for row in &rows {
        assert_eq!(inbox.import(row).await.unwrap(), Imported::Stored);
        assert_eq!(inbox.import(row).await.unwrap(), Imported::Duplicate);
        let other = Row {
            content_digest: [7; 32],
            ..row.clone()
        };
        assert_eq!(inbox.import(&other).await.unwrap(), Imported::KeyTaken);
    }
    let without_partition = |row: Row| {
        let index_partition = None;
        format!(
            "{:?}",
            Row {
                index_partition,
                ..row
            }
        )
    };
    for expected in rows {
        let stored = row(inbox, &expected.key).await;
        assert_eq!(without_partition(stored), without_partition(expected));
    }
    let due = inbox.find_due(&SourceFilter::ALL, later(61), 10).await;
    assert!(due.unwrap().contains(&key("open")), "it goes on as it was");
    let replayed = inbox.replay(&key("delivered"), later(70)).await.unwrap();
    assert_eq!(replayed, Replayed::Done);
    let again = inbox
        .claim(&key("delivered"), &claim_at(later(71), 5))
        .await;
    let (again, _) = again.unwrap().unwrap();
    assert_eq!(again.body, Some(long), "its bytes are whole");
    let other = Row {
        content_digest: [7; 32],
        ..original
    };
    assert_eq!(inbox.import(&other).await.unwrap(), Imported::KeyTaken);
}
