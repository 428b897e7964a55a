//! The contract: what every inbox must do. Written once, run against each implementation; a file
//! for each kind of promise.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "these are tests: a name says what is promised, and unwrap checks it"
)]

pub mod record;
pub mod claim;
pub mod due;
pub mod expiry;
pub mod ledger;
pub mod replay;
pub mod history;
pub mod discard;
pub mod list;
pub mod silence;
pub mod pending;
pub mod kv;
pub mod import;
pub mod audit;

use std::time::Duration;

use bytes::Bytes;

use super::{
    Claim, DiscardRequest, Fence, Inbox, Lease, LeaseId, Mark, MarkOutcome, RecordOutcome, Row,
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{
        Entry,
        example::{NOW, pay},
    },
};

/// Makes a test of every promise in these files for one implementation; `$fresh` opens an empty
/// inbox and derefs to it.
#[macro_export]
macro_rules! inbox_contract {
    ($fresh:expr) => {
        $crate::inbox_contract!(@each $fresh,
            record {
                records_each_key_once
                knows_whose_a_row_is_that_could_not_be_read
                holds_other_content_under_a_taken_key_beside_the_first
                keeps_one_row_of_a_notification_that_was_pushed_and_pulled
                keeps_one_row_of_a_signed_request_in_any_spelling
                returns_every_byte_of_a_body_of_any_length
                records_one_of_many_concurrent_copies_as_the_first
                changes_nothing_when_a_duplicate_is_recorded
            }
            claim {
                counts_an_attempt_before_the_work
                lets_one_of_many_concurrent_claims_succeed
                keeps_due_at_at_the_first_claim_and_moves_it_at_every_later_one
                allows_a_claim_once_the_lease_has_lapsed_and_refuses_the_late_mark
                refuses_a_claim_of_a_row_that_is_not_due_again
            }
            due {
                finds_due_rows_longest_due_first
                finds_due_rows_of_some_sources_and_not_of_others
                believes_no_date_that_only_a_wrong_clock_can_have_written
            }
            expiry {
                removes_a_finished_row_from_the_pending_index_and_lets_it_expire
                never_lets_dead_or_held_rows_expire
                holds_a_row_that_delivery_cannot_deliver_until_it_is_replayed
            }
            ledger {
                tells_two_refunds_of_one_instant_apart_by_their_amounts
                gives_an_event_to_the_first_key_that_claims_it
                lists_the_claimed_events_of_a_subject
            }
            replay {
                has_an_open_row_attempted_at_once_on_request_but_not_during_an_attempt
                replays_dead_delivered_and_held_rows_but_nothing_unreadable
            }
            history {
                keeps_every_attempt_and_replay_of_a_row_in_its_history
                keeps_a_short_history_however_often_a_row_fails
                forgets_the_last_error_once_a_row_is_delivered_or_replayed
                erases_what_destinations_answered_with_the_bytes
            }
            discard {
                discards_rows_and_erases_only_on_request
                discards_no_row_while_an_attempt_is_under_way
                erases_rows_of_every_state_and_keeps_what_they_were
                erases_a_conflict_and_the_first_row_apart
            }
            list {
                lists_newest_first_page_by_page
            }
            silence {
                keeps_the_latest_time_at_which_a_source_was_received
                remembers_since_when_a_source_that_was_never_received_is_silent
            }
            pending {
                measures_the_pending_rows_and_tells_conflicts_from_other_held_rows
                sums_up_what_waits_and_says_when_there_is_more
                keeps_the_status_of_the_last_sweep
                lists_the_open_dead_and_held_events_of_subjects
            }
            kv {
                swaps_an_entry_only_for_the_expected_version
                lets_one_of_many_concurrent_swaps_succeed
            }
            import {
                imports_a_row_as_it_is_and_never_over_another
            }
            audit {
                lists_the_audit_trail_newest_first_with_the_last_outcome_of_each_act
            }
        );
    };
    (@each $fresh:expr, $($topic:ident { $($name:ident)* })*) => {
        $($(#[tokio::test]
        async fn $name() {
            let fresh = $fresh;
            $crate::inbox::contract::$topic::$name(&*fresh).await;
        })*)*
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
    assert_eq!(inbox.record(&entry).await.unwrap(), RecordOutcome::First);
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
    assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), MarkOutcome::Done);
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

/// A request at that time.
fn discard_at(seconds: u64, erase: bool) -> DiscardRequest {
    DiscardRequest {
        erase,
        now: later(seconds),
        expires_at: expiry(90),
    }
}

fn pay_source() -> SourceName {
    SourceName::new("pay").unwrap()
}
