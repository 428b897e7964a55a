//! Expiry: a finished row leaves the pending index and expires. A dead or held row does not.

use super::{
    claim, expiry, find_due, later, mark_dead, mark_delivered, record_paid, row, unreadable,
};
use crate::{
    domain::{HeldReason, SourceName, State},
    inbox::{Inbox, Mark, MarkOutcome, ReplayOutcome, SourceFilter},
    senders::example::NOW,
};

pub async fn removes_a_finished_row_from_the_pending_index_and_lets_it_expire(inbox: &impl Inbox) {
    let (done, again) = (record_paid(inbox, "a").await, record_paid(inbox, "b").await);
    mark_delivered(inbox, &done).await;
    let fence = claim(inbox, &again, NOW, 1).await;
    let mark = Mark::Repeat {
        of: done.clone(),
        expires_at: expiry(90),
    };
    inbox.mark(&fence, &mark).await.unwrap();

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
    assert_eq!(find_due(inbox, later(1000), 10).await, []);
}

pub async fn holds_a_row_that_delivery_cannot_deliver_until_it_is_replayed(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let fence = claim(inbox, &key, NOW, 1).await;
    let mark = Mark::Held {
        reason: HeldReason::Unsigned,
        at: later(2),
    };
    assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), MarkOutcome::Done);

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
    assert_eq!(pending.len(), 1, "it is in the pending index");

    let replayed = inbox.replay(&key, later(1001)).await.unwrap();
    assert_eq!(replayed, ReplayOutcome::Done);
    claim(inbox, &key, later(1001), 2).await;
}

pub async fn never_lets_dead_or_held_rows_expire(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    mark_dead(inbox, &key).await;
    let held = unreadable();
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
    assert_eq!(find_due(inbox, later(1000), 10).await, []);
}
