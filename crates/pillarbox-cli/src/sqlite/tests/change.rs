//! Changes, and the batches that the writer makes of them.

use std::time::Duration;

use super::{TempInbox, paid};
use crate::sqlite::*;
use pillarbox::{inbox::SourceFilter, senders::example::NOW};

#[tokio::test]
async fn duplicates_flush_nothing_and_every_change_raises_the_counter() {
    let fresh = TempInbox::new();
    let counter = || fresh.read(|db| Ok(pair::counter(db)?));
    let first = counter().await.unwrap();
    for n in 1..5 {
        fresh.record(&paid(&format!("m{n}"))).await.unwrap();
        fresh.record(&paid("m1")).await.unwrap();
        assert_eq!(counter().await.unwrap(), first.wrapping_add(n));
    }
}

#[tokio::test]
async fn one_failing_change_does_not_take_its_batch_with_it() {
    let fresh = TempInbox::new();
    let (one, two) = (paid("m1"), paid("m2"));
    let broken = fresh.change(WritePriority::Interactive, |db| {
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
async fn released_leases_make_rows_due_at_once() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    let lease = pillarbox::inbox::Lease {
        id: pillarbox::inbox::LeaseId(1),
        until: NOW.plus(Duration::from_secs(150)),
    };
    fresh
        .claim(
            &entry.key,
            &Claim {
                now: NOW,
                lease,
                first_backoff: Duration::from_secs(5),
            },
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        fresh.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap(),
        []
    );

    assert_eq!(fresh.release_leases().await.unwrap(), 1);
    assert_eq!(
        fresh.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap(),
        [entry.key]
    );
}
