//! Erased bytes and expired rows.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, files, incompressible, paid, summary, with_body};
use crate::sqlite::*;
use pillarbox::{inbox::DiscardRequest, senders::example::NOW};

/// A text that compression does not change, so that it is found in a file.
fn private_text(seed: u32) -> String {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap())
    };
    (0..60).map(|_| next()).collect()
}

/// The files in `folder` that contain `text`.
fn files_with(folder: &TempDir, text: &str) -> Vec<String> {
    let has_text = |name: &String| {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        bytes
            .windows(20)
            .any(|window| window == &text.as_bytes()[20..40])
    };
    files(folder).into_iter().filter(has_text).collect()
}

#[tokio::test]
async fn erased_bytes_are_in_no_file_and_a_reader_that_prevents_that_is_an_error() {
    let fresh = TempInbox::new();
    let private = |seed| {
        let text = private_text(seed);
        (with_body(text.clone().into()), text)
    };
    let entries: Vec<_> = (0..200).map(private).collect();
    for (entry, _) in &entries {
        fresh.record(entry).await.unwrap();
    }
    // Rows that grow and shrink move between pages, and must leave no bytes behind.
    for sql in [
        "UPDATE notification SET last_error = hex(zeroblob(id * 13 % 700))",
        "UPDATE notification SET last_error = NULL WHERE id % 3 = 0",
        "UPDATE notification SET last_error = hex(zeroblob(900)) WHERE id % 5 = 0",
        "UPDATE notification SET last_error = NULL",
    ] {
        let grow = fresh.change(Background, move |db| Ok(db.execute(sql, [])?));
        grow.await.unwrap();
    }
    let reading = Connection::open(fresh.file()).unwrap();
    reading
        .execute_batch("BEGIN; SELECT count(*) FROM notification")
        .unwrap();
    let erase = DiscardRequest {
        erase: true,
        now: NOW,
        expires_at: NOW,
    };
    let (first, text) = &entries[0];
    let refused = fresh.discard(&first.key, &erase).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("another process reads it"), "{error}");
    assert!(
        !files_with(&fresh.folder, text).is_empty(),
        "the error is true"
    );
    assert_eq!(fresh.record_paid("meanwhile").await, RecordOutcome::First);

    reading.execute_batch("COMMIT").unwrap();
    for (entry, _) in &entries {
        let erased = fresh.discard(&entry.key, &erase).await;
        assert_eq!(erased.unwrap(), DiscardOutcome::Done);
    }
    for (_, text) in &entries {
        assert_eq!(files_with(&fresh.folder, text), [""; 0], "{text}");
    }
}

#[tokio::test]
async fn expired_rows_are_removed_in_small_batches_between_which_rows_are_recorded() {
    let fresh = Arc::new(TempInbox::new());
    fresh.record_paid("m0").await;
    let fill = fresh.change(Background, |db| {
        db.execute_batch(
            "CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 \
             FROM n WHERE n < 3000) SELECT n FROM n;
             INSERT INTO notification (pk, v, state, attempts, budget_from, origin, event_type, \
             received_at, digest, content_digest, deflated, kind, expires_at)
                 SELECT 'pay:old' || n, 1, 'delivered', 1, 0, 'push', 'e', 0, digest, \
             content_digest, 0, kind, n FROM many, notification;
             INSERT INTO body SELECT id, zeroblob(600000) FROM notification WHERE expires_at % \
             1000 < 4 AND expires_at IS NOT NULL;
             INSERT INTO subject SELECT 'pay', 's' || n, 'e', 'pay:m', n FROM many;",
        )?;
        Ok(())
    });
    fill.await.unwrap();
    let now = Timestamp::from_millis(3000);
    let expired = summary(&fresh, now).await.expired.unwrap();
    let since = expired.oldest.unwrap().as_millis();
    assert_eq!((expired.rows, since), (3000, 1));
    let first = fresh.purge(now, 250).await.unwrap();
    assert_eq!(
        (first.rows, first.is_last),
        (2, false),
        "long bodies end a batch early"
    );

    let purging = {
        let fresh = Arc::clone(&fresh);
        tokio::spawn(async move { fresh.purge_all(now).await.unwrap() })
    };
    let mut recorded = 0;
    while !purging.is_finished() {
        fresh.record_paid(&format!("new{recorded}")).await;
        recorded += 1;
    }
    assert_eq!(purging.await.unwrap(), 2998, "everything that had expired");
    assert!(recorded > 2, "{recorded} recorded between the batches");
    assert_eq!(summary(&fresh, now).await.expired, None);
    assert_eq!(fresh.count("subject"), 0);
    let all = RowFilter::default();
    let listed = fresh.list(&all, PageRequest::first(9999)).await.unwrap();
    assert_eq!(listed.rows.len(), recorded + 1);
}

#[tokio::test]
async fn expired_rows_are_removed_with_their_bodies_and_the_others_stay() {
    let fresh = TempInbox::new();
    let long = with_body(incompressible(10_000));
    fresh.record(&long).await.unwrap();
    fresh.record_paid("m1").await;
    let expiry = NOW.plus(Duration::from_secs(90));
    let discard = DiscardRequest {
        erase: false,
        now: NOW,
        expires_at: expiry,
    };
    fresh.discard(&long.key, &discard).await.unwrap();
    let key = paid("m1").key;
    let event = fresh.get(&key).await.unwrap().unwrap().event().unwrap();
    fresh.claim_event(&event, &key, expiry).await.unwrap();

    let before_expiry = expiry.minus(Duration::from_millis(1));
    assert_eq!(fresh.purge_all(before_expiry).await.unwrap(), 0);
    assert_eq!(fresh.purge_all(expiry).await.unwrap(), 1);
    let counts = ["notification", "body", "subject"].map(|table| fresh.count(table));
    assert_eq!(counts, [1, 0, 0]);
}
