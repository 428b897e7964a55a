//! The contract of an inbox: tests that run against every implementation, one file for each topic.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "these are tests: their names describe them"
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
    SourceFilter,
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    senders::{
        Entry, SenderKind,
        example::{NOW, entry, pay},
    },
};

/// Defines every test of the contract for one implementation. `$fresh` opens an empty inbox and
/// dereferences to it.
#[macro_export]
macro_rules! inbox_contract {
    ($fresh:expr) => {
        $crate::inbox_contract!(@each $fresh,
            record {
                records_each_key_once
                keeps_the_sender_kind_of_an_unreadable_row
                holds_other_content_of_a_taken_key_as_a_conflict
                keeps_one_row_of_a_notification_that_was_pushed_and_pulled
                keeps_one_row_of_a_signed_request_however_it_is_escaped
                returns_every_byte_of_a_body_of_any_length
                records_one_of_many_concurrent_copies_as_the_first
                changes_nothing_when_a_duplicate_is_recorded
            }
            claim {
                counts_an_attempt_before_the_work
                lets_one_of_many_concurrent_claims_succeed
                keeps_due_at_in_the_first_claim_and_moves_it_in_every_later_one
                allows_a_claim_after_the_lease_has_expired_and_refuses_the_late_mark
                refuses_a_claim_of_a_row_that_is_not_due_again
            }
            due {
                finds_due_rows_longest_due_first
                finds_due_rows_of_the_given_sources
                ignores_dates_that_only_a_wrong_clock_can_have_written
            }
            expiry {
                removes_a_finished_row_from_the_pending_index_and_lets_it_expire
                never_lets_dead_or_held_rows_expire
                holds_a_row_that_delivery_cannot_deliver_until_it_is_replayed
            }
            ledger {
                distinguishes_two_refunds_of_one_instant_by_their_amounts
                gives_an_event_to_the_first_key_that_claims_it
                lists_the_claimed_events_of_a_subject
            }
            replay {
                replays_an_open_row_but_not_during_an_attempt
                replays_dead_delivered_and_held_rows_but_no_unreadable_row
            }
            history {
                keeps_every_attempt_and_replay_of_a_row_in_its_history
                keeps_a_short_history_however_often_a_row_fails
                clears_the_last_error_when_a_row_is_delivered_or_replayed
                erases_the_answers_of_destinations_with_the_bytes
            }
            discard {
                discards_rows_and_erases_only_on_request
                refuses_to_discard_a_row_during_an_attempt
                erases_rows_of_every_state_and_keeps_their_reasons
                erases_a_conflict_and_the_first_row_separately
            }
            list {
                lists_newest_first_page_by_page
            }
            silence {
                keeps_the_time_of_the_latest_notification_of_a_source
                counts_the_silence_of_a_source_without_notifications_from_the_first_query
            }
            pending {
                counts_pending_rows_with_conflicts_apart_from_other_held_rows
                summarises_the_waiting_rows_up_to_a_limit
                keeps_the_status_of_the_last_sweep
                lists_the_open_dead_and_held_events_of_subjects
            }
            kv {
                swaps_an_entry_only_for_the_expected_version
                lets_one_of_many_concurrent_swaps_succeed
            }
            import {
                imports_a_row_unchanged_and_never_replaces_another
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

/// A time in whole seconds, as an inbox may store expiries.
fn expiry(seconds: u64) -> Timestamp {
    Timestamp::from_millis(later(seconds).as_millis() / 1000 * 1000)
}

async fn row(inbox: &impl Inbox, key: &Key) -> Row {
    inbox.get(key).await.unwrap().expect("the row exists")
}

async fn record_paid(inbox: &impl Inbox, id: &str) -> Key {
    let entry = paid(id);
    assert_eq!(inbox.record(&entry).await.unwrap(), RecordOutcome::First);
    entry.key
}

async fn claim(inbox: &impl Inbox, key: &Key, now: Timestamp, id: u64) -> Fence {
    let claimed = inbox.claim(key, &claim_at(now, id)).await.unwrap();
    claimed.expect("the row can be claimed").1
}

async fn is_claimable(inbox: &impl Inbox, key: &Key, now: Timestamp) -> bool {
    let claimed = inbox.claim(key, &claim_at(now, 99)).await.unwrap();
    claimed.is_some()
}

async fn find_due(inbox: &impl Inbox, now: Timestamp, limit: usize) -> Vec<Key> {
    let due = inbox.find_due(&SourceFilter::ALL, now, limit).await;
    due.unwrap()
}

async fn mark_delivered(inbox: &impl Inbox, key: &Key) {
    let fence = claim(inbox, key, NOW, 1).await;
    let expires_at = expiry(90);
    let marked = inbox.mark(&fence, &Mark::Delivered { expires_at }).await;
    assert_eq!(marked.unwrap(), MarkOutcome::Done);
}

async fn mark_dead(inbox: &impl Inbox, key: &Key) {
    let fence = claim(inbox, key, NOW, 1).await;
    let mark = Mark::Dead {
        reason: "refused".into(),
        error: "422".into(),
        at: NOW,
    };
    assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), MarkOutcome::Done);
}

/// Pseudo-random bytes, which cannot be compressed.
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

/// A held entry whose body has no id.
fn unreadable() -> Entry {
    entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"))
}

fn retry(due_at: Timestamp) -> Mark {
    let error = "503".into();
    Mark::Retry { due_at, error }
}

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
