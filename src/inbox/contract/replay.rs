//! Replays: a row is attempted again on request, with a new budget.

use super::{claim, later, mark_dead, mark_delivered, paid, record_paid, retry, row, unreadable};
use crate::{
    domain::{HeldReason, State, Timestamp},
    inbox::{Inbox, MarkOutcome, ReplayOutcome, SourceFilter},
    senders::example::{NOW, pay},
};

pub async fn replays_an_open_row_but_not_during_an_attempt(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let fence = claim(inbox, &key, NOW, 1).await;
    assert!(matches!(
        inbox.replay(&key, later(1)).await.unwrap(),
        ReplayOutcome::Refused(_)
    ));
    let marked = inbox.mark(&fence, &retry(later(3000))).await;
    assert_eq!(marked.unwrap(), MarkOutcome::Done);

    assert_eq!(
        inbox.replay(&key, later(2)).await.unwrap(),
        ReplayOutcome::Done
    );
    let row = row(inbox, &key).await;
    assert_eq!(
        (row.state, row.attempts, row.due_at, row.budget_from),
        (State::Recorded, 0, Some(later(2)), later(2))
    );
    let due = inbox.find_due(&SourceFilter::ALL, later(2), 10).await;
    assert_eq!(due.unwrap(), std::slice::from_ref(&key));
    claim(inbox, &key, later(2), 2).await;
}

pub async fn replays_dead_delivered_and_held_rows_but_no_unreadable_row(inbox: &impl Inbox) {
    let (dead_key, done) = (record_paid(inbox, "a").await, record_paid(inbox, "b").await);
    mark_dead(inbox, &dead_key).await;
    mark_delivered(inbox, &done).await;
    let stale = pay(
        "c",
        "payment",
        "card_payment_captured",
        Timestamp::from_millis(0),
    );
    assert_eq!(stale.held, Some(HeldReason::Stale));
    inbox.record(&stale).await.unwrap();

    for key in [&dead_key, &done, &stale.key] {
        assert_eq!(
            inbox.replay(key, later(500)).await.unwrap(),
            ReplayOutcome::Done
        );
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
    let unreadable = unreadable();
    inbox.record(&unreadable).await.unwrap();
    assert!(matches!(
        inbox.replay(&unreadable.key, NOW).await.unwrap(),
        ReplayOutcome::Refused(_)
    ));
    assert_eq!(
        inbox.replay(&paid("unknown").key, NOW).await.unwrap(),
        ReplayOutcome::Absent
    );
}
