//! Claiming: one worker at a time has a row, for as long as its lease.

use std::time::Duration;

use super::{LEASE, claim_at, claimed, later, paid, recorded, row};
use crate::{
    domain::State,
    inbox::{Inbox, Lease, LeaseId, Mark, MarkOutcome, SourceFilter},
    senders::example::NOW,
};

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
    assert_eq!(
        inbox.mark(&late, &delivered).await.unwrap(),
        MarkOutcome::Lost
    );
    assert_eq!(row(inbox, &key).await.state, State::Recorded);
    assert_eq!(
        inbox.mark(&in_time, &delivered).await.unwrap(),
        MarkOutcome::Done
    );
    assert_eq!(
        inbox.mark(&late, &delivered).await.unwrap(),
        MarkOutcome::Lost
    );

    let retry = Mark::Retry {
        due_at: later(2000),
        error: "503".into(),
    };
    assert_eq!(
        inbox.mark(&in_time, &retry).await.unwrap(),
        MarkOutcome::Lost,
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
    assert_eq!(inbox.mark(&fence, &retry).await.unwrap(), MarkOutcome::Done);

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
