//! Changes, and the batches that the writer makes of them.

use super::{TempInbox, claim, paid};
use crate::sqlite::*;
use pillarbox::{inbox::SourceFilter, senders::example::NOW};

#[tokio::test]
async fn duplicates_flush_nothing_and_every_change_raises_the_counter() {
    let fresh = TempInbox::new();
    let counter = || fresh.read(|db| Ok(pair::counter(db)?));
    let first = counter().await.unwrap();
    for n in 1..5 {
        fresh.record_paid(&format!("m{n}")).await;
        fresh.record_paid("m1").await;
        assert_eq!(counter().await.unwrap(), first.wrapping_add(n));
    }
}

#[tokio::test]
async fn a_failing_change_does_not_fail_the_others_of_its_batch() {
    let fresh = TempInbox::new();
    let (one, two) = (paid("m1"), paid("m2"));
    let broken = fresh.change(Interactive, |db| {
        db.execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok(())
    });
    let (first, broken, second) = tokio::join!(fresh.record(&one), broken, fresh.record(&two));
    let error = broken.unwrap_err();
    assert!(matches!(error, InboxError::Unavailable(_)), "{error}");
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (RecordOutcome::First, RecordOutcome::First)
    );
}

#[tokio::test]
async fn rows_whose_leases_are_released_are_due_immediately() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    fresh.claim(&entry.key, &claim()).await.unwrap().unwrap();
    let all = SourceFilter::ALL;
    let find_due = || fresh.find_due(&all, NOW, 10);
    assert_eq!(find_due().await.unwrap(), []);

    assert_eq!(fresh.release_leases().await.unwrap(), 1);
    assert_eq!(find_due().await.unwrap(), [entry.key]);
}
