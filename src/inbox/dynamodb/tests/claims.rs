//! Competing and refused claims, and the last error after a mark.

use futures_util::future::join_all;

use super::*;
use crate::domain::HeldReason;

const MINUTE: Duration = Duration::from_secs(60);

/// Records a row whose first attempt fails, due again at `due_at`.
async fn record_failed(inbox: &DynamoInbox, id: &str, due_at: Timestamp) -> Key {
    let entry = pay(id, id, "card_payment_captured", NOW);
    inbox.record(&entry).await.unwrap();
    let fence = claim(inbox, &entry.key, NOW, 1).await;
    let error = "https: status 503".to_owned();
    let marked = inbox.mark(&fence, &Mark::Retry { due_at, error }).await;
    assert_eq!(marked.unwrap(), MarkOutcome::Done);
    entry.key
}

#[tokio::test]
async fn a_row_that_is_not_stored_is_not_claimed() {
    let inbox = fresh().await;
    let key = Key::parse("pay:m1").unwrap();
    let claimed = inbox.claim(&key, &claim_of(1, NOW)).await.unwrap();
    assert!(claimed.is_none());
}

#[tokio::test]
async fn one_of_many_concurrent_later_claims_succeeds() {
    let inbox = patient(&*fresh().await);
    let key = record_failed(&inbox, "m1", NOW).await;
    let claims: Vec<_> = (10..18).map(|id| claim_of(id, NOW)).collect();
    let claimed = join_all(claims.iter().map(|claim| inbox.claim(&key, claim))).await;
    let fences = claimed.into_iter().filter_map(|claimed| claimed.unwrap());
    assert_eq!(fences.map(|(row, _)| row.attempts).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_later_claim_that_is_repeated_before_its_reply_is_recognised() {
    let inbox = patient(&*fresh().await);
    let key = record_failed(&inbox, "m1", NOW).await;
    let claim = claim_of(20, NOW);
    let claimed = join_all((0..8).map(|_| inbox.claim(&key, &claim))).await;
    for claimed in claimed {
        assert_eq!(claimed.unwrap().expect("it is the same claim").1.attempt, 2);
    }
}

#[tokio::test]
async fn a_later_claim_that_is_refused_makes_one_write() {
    let (inbox, counter) = with_write_counter(&*fresh().await);
    let waiting = record_failed(&inbox, "m1", NOW.plus(MINUTE)).await;
    // Leased and due, because the first claim does not change the due date.
    let leased = pay("m2", "q", "card_payment_captured", NOW);
    inbox.record(&leased).await.unwrap();
    claim(&inbox, &leased.key, NOW, 2).await;
    let held = record_failed(&inbox, "m3", NOW).await;
    let fence = claim(&inbox, &held, NOW, 3).await;
    let reason = HeldReason::Unsigned;
    let mark = Mark::Held { reason, at: NOW };
    inbox.mark(&fence, &mark).await.unwrap();
    for key in [&waiting, &leased.key, &held] {
        counter.0.store(0, Ordering::Relaxed);
        let claimed = inbox.claim(key, &claim_of(4, NOW)).await.unwrap();
        assert!(claimed.is_none());
        assert_eq!(counter.0.load(Ordering::Relaxed), 1, "{key}");
    }
}

#[tokio::test]
async fn a_held_row_keeps_the_last_error_and_a_delivered_one_does_not() {
    let inbox = fresh().await;
    let held = Mark::Held {
        reason: HeldReason::Unsigned,
        at: NOW,
    };
    for (id, mark, last_error) in [
        ("m1", held, Some("https: status 503")),
        ("m2", delivered(days_after(NOW, 90)), None),
    ] {
        let key = record_failed(&inbox, id, NOW).await;
        let fence = claim(&inbox, &key, NOW, 5).await;
        inbox.mark(&fence, &mark).await.unwrap();
        let row = inbox.get(&key).await.unwrap().unwrap();
        assert_eq!(row.last_error.as_deref(), last_error, "{mark:?}");
    }
}
