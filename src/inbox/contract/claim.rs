//! Claims: one worker at a time has a row, for the duration of its lease.

use std::time::Duration;

use super::{LEASE, claim, claim_at, find_due, is_claimable, later, paid, record_paid, retry, row};
use crate::{
    domain::State,
    inbox::{Inbox, Mark, MarkOutcome},
    senders::example::NOW,
};

pub async fn counts_an_attempt_before_the_work(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let (claimed, fence) = inbox.claim(&key, &claim_at(NOW, 7)).await.unwrap().unwrap();
    assert_eq!((claimed.attempts, fence.attempt), (1, 1));
    assert_eq!(
        claimed.body,
        Some(paid("m1").body),
        "a claim returns the bytes"
    );

    let row = row(inbox, &key).await;
    assert_eq!(row.attempts, 1, "the attempt is counted before the work");
    assert_eq!(row.lease, Some(claim_at(NOW, 7).lease));
}

pub async fn lets_one_of_many_concurrent_claims_succeed(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let claims: Vec<_> = (0..32).map(|id| claim_at(NOW, id)).collect();
    let claimed =
        futures_util::future::join_all(claims.iter().map(|claim| inbox.claim(&key, claim))).await;
    let succeeded = claimed.iter().filter(|row| row.as_ref().unwrap().is_some());
    assert_eq!(succeeded.count(), 1);
}

pub async fn keeps_due_at_in_the_first_claim_and_moves_it_in_every_later_one(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    claim(inbox, &key, NOW, 1).await;
    assert_eq!(row(inbox, &key).await.due_at, Some(NOW));

    let mut now = NOW;
    let mut backoffs = Vec::new();
    for id in 2..=13 {
        let due = row(inbox, &key).await.due_at.unwrap();
        now = now.plus(LEASE).max(due);
        claim(inbox, &key, now, id).await;
        backoffs.push(row(inbox, &key).await.due_at.unwrap().since(now).as_secs());
    }
    assert_eq!(
        backoffs,
        [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    );
}

pub async fn allows_a_claim_after_the_lease_has_expired_and_refuses_the_late_mark(
    inbox: &impl Inbox,
) {
    let key = record_paid(inbox, "m1").await;
    let late = claim(inbox, &key, NOW, 1).await;
    let lease_end = NOW.plus(LEASE);
    let just_before = lease_end.minus(Duration::from_millis(1));
    assert!(!is_claimable(inbox, &key, just_before).await);

    let in_time = claim(inbox, &key, lease_end, 2).await;
    let delivered = Mark::Delivered {
        expires_at: later(1000),
    };
    let mark = async |fence, mark| inbox.mark(fence, mark).await.unwrap();
    assert_eq!(mark(&late, &delivered).await, MarkOutcome::Lost);
    assert_eq!(row(inbox, &key).await.state, State::Recorded);
    assert_eq!(mark(&in_time, &delivered).await, MarkOutcome::Done);
    assert_eq!(mark(&late, &delivered).await, MarkOutcome::Lost);

    assert_eq!(
        mark(&in_time, &retry(later(2000))).await,
        MarkOutcome::Lost,
        "a fence is valid for one mark"
    );
    assert_eq!(row(inbox, &key).await.state, State::Delivered);
}

pub async fn refuses_a_claim_of_a_row_that_is_not_due_again(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let fence = claim(inbox, &key, NOW, 1).await;
    let marked = inbox.mark(&fence, &retry(later(30))).await;
    assert_eq!(marked.unwrap(), MarkOutcome::Done);

    assert!(!is_claimable(inbox, &key, later(29)).await);
    assert_eq!(find_due(inbox, later(29), 10).await, []);
    assert_eq!(
        find_due(inbox, later(30), 10).await,
        std::slice::from_ref(&key)
    );
    let (row, fence) = inbox
        .claim(&key, &claim_at(later(30), 2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.last_error.as_deref(), fence.attempt), (Some("503"), 2));
}
