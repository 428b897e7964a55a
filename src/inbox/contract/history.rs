//! The history of a row: its attempts and replays, within a bound.

use std::time::Duration;

use super::{claimed, discard_at, expiry, later, recorded, row};
use crate::{
    domain::{Key, Timestamp},
    inbox::{
        DeliveryHistory, HistoryEntry, Inbox, MAX_HISTORY_BYTES, MAX_HISTORY_ENTRIES, Mark,
        MarkOutcome, PageRequest, PastAttempt, PastOutcome, RowFilter,
    },
    senders::example::NOW,
};

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
    assert_eq!(inbox.mark(&fence, mark).await.unwrap(), MarkOutcome::Done);
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
