//! Damaged rows and bodies.

use super::{TempInbox, claim, paid};
use crate::sqlite::*;

#[tokio::test]
async fn a_damaged_row_is_named_and_the_others_are_listed() {
    for (damage, is_named) in [
        ("state = 'lost'", true),
        ("kind = ''", true),
        ("origin = 'x'", true),
        ("digest = x'00'", true),
        ("attempts = -1", true),
        ("v = -1", true),
        ("pk = 'none'", false),
    ] {
        let fresh = TempInbox::new();
        for id in ["m1", "m2", "m3"] {
            fresh.record_paid(id).await;
        }
        let update = format!("UPDATE notification SET {damage} WHERE pk = 'pay:m2'");
        assert_eq!(fresh.tamper(&update), 1);
        let all = RowFilter::default();
        let listed = fresh.list(&all, PageRequest::first(9)).await.unwrap();
        let keys: Vec<_> = listed.rows.iter().map(|row| row.key.as_str()).collect();
        assert_eq!(keys, ["pay:m3", "pay:m1"], "{damage}");
        let why = listed.damaged[0].to_string();
        assert_eq!(why.contains("pay:m2"), is_named, "{damage}: {why}");
        assert_eq!(why.contains("row 2"), !is_named, "{damage}: {why}");
    }
}

#[tokio::test]
async fn a_damaged_body_is_an_error_of_its_row_alone() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    fresh.record_paid("m2").await;
    fresh.tamper("UPDATE notification SET body = x'00', deflated = 0 WHERE pk = 'pay:m1'");

    let row = fresh.get(&entry.key).await.unwrap().unwrap();
    assert!(matches!(row.proven_body(), Err(InboxError::Damaged { .. })));
    let other = fresh.get(&paid("m2").key).await.unwrap().unwrap();
    assert!(other.proven_body().is_ok());
}

#[tokio::test]
async fn a_claim_returns_a_row_whose_body_cannot_be_unpacked_without_it() {
    let fresh = TempInbox::new();
    let entry = pillarbox::senders::example::hmrc(
        "n1",
        r#"{"long enough to be compressed": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
    );
    fresh.record(&entry).await.unwrap();
    fresh.tamper("UPDATE notification SET body = x'00'");
    let (row, _) = fresh.claim(&entry.key, &claim()).await.unwrap().unwrap();
    assert_eq!(row.body, None);
    let error = fresh.get(&entry.key).await.unwrap_err();
    assert!(matches!(error, InboxError::Damaged { .. }), "{error}");
}
