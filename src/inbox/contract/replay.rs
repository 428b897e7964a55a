//! Replaying: a row is attempted again on request, with a new budget.

use bytes::Bytes;

use super::{claimed, dead, expiry, later, paid, recorded, row};
use crate::{
    domain::{HeldReason, State, Timestamp},
    inbox::{Inbox, Mark, MarkOutcome, ReplayOutcome, SourceFilter},
    senders::{
        SenderKind,
        example::{NOW, entry, pay},
    },
};

pub async fn has_an_open_row_attempted_at_once_on_request_but_not_during_an_attempt(
    inbox: &impl Inbox,
) {
    let key = recorded(inbox, "m1").await;
    let fence = claimed(inbox, &key, NOW, 1).await;
    assert!(matches!(
        inbox.replay(&key, later(1)).await.unwrap(),
        ReplayOutcome::Refused(_)
    ));
    let retry = Mark::Retry {
        due_at: later(3000),
        error: "503".into(),
    };
    assert_eq!(inbox.mark(&fence, &retry).await.unwrap(), MarkOutcome::Done);

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
    claimed(inbox, &key, later(2), 2).await;
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
    let unreadable = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
    inbox.record(&unreadable).await.unwrap();
    assert!(matches!(
        inbox.replay(&unreadable.key, NOW).await.unwrap(),
        ReplayOutcome::Refused(_)
    ));
    assert_eq!(
        inbox.replay(&paid("nobody").key, NOW).await.unwrap(),
        ReplayOutcome::Absent
    );
}
