//! What is erased, and what has expired.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, files, paid, summary};
use crate::sqlite::*;
use pillarbox::{inbox::DiscardRequest, senders::example::NOW};

/// Bytes that no compression shortens, by which they are found in a file.
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
async fn erased_bytes_are_in_no_file_and_while_a_reader_keeps_the_log_that_is_an_error() {
    let fresh = TempInbox::new();
    let private = |seed| {
        let text = private_text(seed);
        (
            pillarbox::senders::example::entry(
                pillarbox::senders::SenderKind::GOVUK_PAY,
                "pay",
                text.clone().into(),
            ),
            text,
        )
    };
    let entries: Vec<_> = (0..200).map(private).collect();
    for (entry, _) in &entries {
        fresh.record(entry).await.unwrap();
    }
    // Rows that grow and shrink move to other pages, and must leave nothing behind there.
    for sql in [
        "UPDATE notification SET last_error = hex(zeroblob(id * 13 % 700))",
        "UPDATE notification SET last_error = NULL WHERE id % 3 = 0",
        "UPDATE notification SET last_error = hex(zeroblob(900)) WHERE id % 5 = 0",
        "UPDATE notification SET last_error = NULL",
    ] {
        let grow = fresh.change(
            WritePriority::Background,
            move |db| Ok(db.execute(sql, [])?),
        );
        grow.await.unwrap();
    }
    let reading = Connection::open(fresh.file()).unwrap();
    reading
        .execute_batch("BEGIN; SELECT count(*) FROM notification")
        .unwrap();
    let erase = |entry: &Entry| {
        let key = entry.key.clone();
        let fresh = &fresh;
        async move {
            fresh
                .discard(
                    &key,
                    &DiscardRequest {
                        erase: true,
                        now: NOW,
                        expires_at: NOW,
                    },
                )
                .await
        }
    };
    let (first, text) = &entries[0];
    let error = erase(first).await.unwrap_err().to_string();
    assert!(error.contains("another process reads it"), "{error}");
    assert!(!files_with(&fresh.folder, text).is_empty(), "as it says");
    assert_eq!(
        fresh.record(&paid("meanwhile")).await.unwrap(),
        RecordOutcome::First
    );

    reading.execute_batch("COMMIT").unwrap();
    for (entry, _) in &entries {
        assert_eq!(erase(entry).await.unwrap(), DiscardOutcome::Done);
    }
    for (_, text) in &entries {
        assert_eq!(files_with(&fresh.folder, text), [""; 0], "{text}");
    }
}

#[tokio::test]
async fn expired_rows_go_in_small_batches_and_senders_are_answered_meanwhile() {
    let fresh = Arc::new(TempInbox::new());
    fresh.record(&paid("m0")).await.unwrap();
    let fill = fresh.change(WritePriority::Background, |db| {
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
        fresh
            .record(&paid(&format!("new{recorded}")))
            .await
            .unwrap();
        recorded += 1;
    }
    assert_eq!(purging.await.unwrap(), 2998, "everything that had expired");
    assert!(recorded > 2, "{recorded} recorded between the batches");
    assert_eq!(summary(&fresh, now).await.expired, None);
    let count = fresh.read(|db| {
        Ok(db.query_row("SELECT count(*) FROM subject", [], |row| {
            row.get::<_, u32>(0)
        })?)
    });
    assert_eq!(count.await.unwrap(), 0);
    let listed = fresh
        .list(&RowFilter::default(), PageRequest::first(9999))
        .await
        .unwrap();
    assert_eq!(listed.rows.len(), recorded + 1);
}

#[tokio::test]
async fn expired_rows_go_with_their_bodies_and_the_others_stay() {
    let fresh = TempInbox::new();
    let long = pillarbox::senders::example::entry(
        pillarbox::senders::SenderKind::GOVUK_PAY,
        "pay",
        (0..10_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
    );
    fresh.record(&long).await.unwrap();
    fresh.record(&paid("m1")).await.unwrap();
    let expiry = NOW.plus(Duration::from_secs(90));
    let discard = DiscardRequest {
        erase: false,
        now: NOW,
        expires_at: expiry,
    };
    fresh.discard(&long.key, &discard).await.unwrap();
    fresh
        .claim_event(
            &fresh
                .get(&paid("m1").key)
                .await
                .unwrap()
                .unwrap()
                .event()
                .unwrap(),
            &paid("m1").key,
            expiry,
        )
        .await
        .unwrap();

    assert_eq!(
        fresh
            .purge_all(expiry.minus(Duration::from_millis(1)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(fresh.purge_all(expiry).await.unwrap(), 1);
    let db = Connection::open(fresh.file()).unwrap();
    let count = |table: &str| {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get::<_, u32>(0)
        })
        .unwrap()
    };
    assert_eq!(
        (count("notification"), count("body"), count("subject")),
        (1, 0, 0)
    );
}
