//! The history of a row: its attempts and replays, up to a limit.

use std::time::Duration;

use super::{claim, discard_at, expiry, later, record_paid, row};
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

/// Makes one attempt at `now` that ends with `outcome` and `mark`.
async fn make_attempt(
    inbox: &impl Inbox,
    key: &Key,
    now: Timestamp,
    outcome: PastOutcome,
    mark: &Mark,
) -> PastAttempt {
    let mut fence = claim(inbox, key, now, 1).await;
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
    let key = record_paid(inbox, "m1").await;
    assert_eq!(row(inbox, &key).await.history, DeliveryHistory::default());

    let retry = retry_at(later(60));
    let failed = make_attempt(inbox, &key, NOW, PastOutcome::Failed, &retry).await;
    claim(inbox, &key, later(60), 2).await; // its process then stops
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
        "the current attempt may still end with an outcome"
    );
    let refused = Mark::Dead {
        reason: "refused".into(),
        error: "https: status 422".into(),
        at: later(300),
    };
    let refused = make_attempt(inbox, &key, later(300), PastOutcome::Refused, &refused).await;
    inbox.replay(&key, later(400)).await.unwrap();
    let until = delivered_until(1000);
    let delivered = make_attempt(inbox, &key, later(401), PastOutcome::Delivered, &until).await;

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
    let key = record_paid(inbox, "m1").await;
    let until = delivered_until(1000);
    let delivered = make_attempt(inbox, &key, NOW, PastOutcome::Delivered, &until).await;
    inbox.replay(&key, later(10)).await.unwrap();
    let mut last = None;
    for second in 100..150 {
        let retry = retry_at(later(second + 1));
        last = Some(make_attempt(inbox, &key, later(second), PastOutcome::Failed, &retry).await);
    }
    let row = row(inbox, &key).await;
    assert_eq!(row.attempts, 50);
    assert!(row.history.entries().len() <= MAX_HISTORY_ENTRIES);
    assert!(row.history.encode().len() <= MAX_HISTORY_BYTES);
    assert_eq!(row.history.attempts().next_back(), last.as_ref());
    assert_eq!(
        (row.history.replays, row.history.delivered_at()),
        (1, Some(delivered.ended_at())),
        "the last delivery and the last replay are kept"
    );
}

pub async fn clears_the_last_error_when_a_row_is_delivered_or_replayed(inbox: &impl Inbox) {
    let done = record_paid(inbox, "done").await;
    let repeat = record_paid(inbox, "repeat").await;
    let replayed = record_paid(inbox, "replayed").await;
    for key in [&done, &repeat, &replayed] {
        make_attempt(inbox, key, NOW, PastOutcome::Failed, &retry_at(later(5))).await;
        let error = row(inbox, key).await.last_error;
        assert_eq!(error.as_deref(), Some("https: status 503"));
    }
    let until = delivered_until(1000);
    make_attempt(inbox, &done, later(5), PastOutcome::Delivered, &until).await;
    let of_done = Mark::Repeat {
        of: done.clone(),
        expires_at: expiry(1000),
    };
    make_attempt(inbox, &repeat, later(5), PastOutcome::Repeat, &of_done).await;
    inbox.replay(&replayed, later(5)).await.unwrap();
    for key in [&done, &repeat, &replayed] {
        let row = row(inbox, key).await;
        assert_eq!(row.last_error, None, "{key}");
        assert_eq!(
            row.history.attempts().next().map(|attempt| attempt.outcome),
            Some(PastOutcome::Failed),
            "the history keeps the failed attempt"
        );
    }
}

pub async fn erases_the_answers_of_destinations_with_the_bytes(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    make_attempt(inbox, &key, NOW, PastOutcome::Failed, &retry_at(later(5))).await;
    let answers = async || {
        let history = row(inbox, &key).await.history;
        let answers = history.attempts().filter_map(|one| one.answer.as_ref());
        answers.count()
    };
    inbox.discard(&key, &discard_at(10, false)).await.unwrap();
    assert_eq!(answers().await, 1);
    inbox.discard(&key, &discard_at(20, true)).await.unwrap();
    assert_eq!(answers().await, 0, "an answer may repeat erased bytes");
}
