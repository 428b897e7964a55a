//! Damaged rows and bodies.

use std::time::Duration;

use rusqlite::Connection;

use super::{TempInbox, paid};
use crate::sqlite::*;
use pillarbox::senders::example::NOW;

#[tokio::test]
async fn a_damaged_row_is_named_and_hides_no_other() {
    for (damage, is_named) in [
        (
            "UPDATE notification SET state = 'lost' WHERE pk = 'pay:m2'",
            true,
        ),
        (
            "UPDATE notification SET kind = '' WHERE pk = 'pay:m2'",
            true,
        ),
        (
            "UPDATE notification SET origin = 'x' WHERE pk = 'pay:m2'",
            true,
        ),
        (
            "UPDATE notification SET digest = x'00' WHERE pk = 'pay:m2'",
            true,
        ),
        (
            "UPDATE notification SET attempts = -1 WHERE pk = 'pay:m2'",
            true,
        ),
        ("UPDATE notification SET v = -1 WHERE pk = 'pay:m2'", true),
        (
            "UPDATE notification SET pk = 'none' WHERE pk = 'pay:m2'",
            false,
        ),
    ] {
        let fresh = TempInbox::new();
        for id in ["m1", "m2", "m3"] {
            fresh.record(&paid(id)).await.unwrap();
        }
        let db = Connection::open(fresh.file()).unwrap();
        assert_eq!(db.execute(damage, []).unwrap(), 1);
        let listed = fresh
            .list(&RowFilter::default(), PageRequest::first(9))
            .await
            .unwrap();
        let keys: Vec<_> = listed.rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["pay:m3", "pay:m1"], "{damage}");
        let why = listed.damaged[0].to_string();
        assert_eq!(why.contains("pay:m2"), is_named, "{damage}: {why}");
        assert_eq!(why.contains("row 2"), !is_named, "{damage}: {why}");
    }
}

#[tokio::test]
async fn a_damaged_body_is_named_and_the_rest_still_works() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    fresh.record(&paid("m2")).await.unwrap();
    let spoil = "UPDATE notification SET body = x'00', deflated = 0 WHERE pk = 'pay:m1'";
    Connection::open(fresh.file())
        .unwrap()
        .execute(spoil, [])
        .unwrap();

    let row = fresh.get(&entry.key).await.unwrap().unwrap();
    assert!(matches!(row.proven_body(), Err(InboxError::Damaged { .. })));
    assert!(
        fresh
            .get(&paid("m2").key)
            .await
            .unwrap()
            .unwrap()
            .proven_body()
            .is_ok()
    );
}

#[tokio::test]
async fn a_claim_of_bytes_that_cannot_be_unpacked_comes_without_them() {
    let fresh = TempInbox::new();
    let entry = pillarbox::senders::example::hmrc(
        "n1",
        r#"{"long enough to be compressed": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
    );
    fresh.record(&entry).await.unwrap();
    Connection::open(fresh.file())
        .unwrap()
        .execute("UPDATE notification SET body = x'00'", [])
        .unwrap();
    let claim = Claim {
        now: NOW,
        lease: pillarbox::inbox::Lease {
            id: pillarbox::inbox::LeaseId(1),
            until: NOW.plus(Duration::from_secs(150)),
        },
        first_backoff: Duration::from_secs(5),
    };
    let (row, _) = fresh.claim(&entry.key, &claim).await.unwrap().unwrap();
    assert_eq!(row.body, None);
    let error = fresh.get(&entry.key).await.unwrap_err();
    assert!(matches!(error, InboxError::Damaged { .. }), "{error}");
}
