//! Recording: one row for each key, however often it is sent, with every byte.

use std::sync::Arc;

use bytes::Bytes;

use super::{claim, later, noise, paid, record_paid, retry, row};
use crate::{
    domain::{Origin, State},
    inbox::{Inbox, PageRequest, RecordOutcome, RowFilter},
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc, hmrc_pulled, spellings},
    },
};

pub async fn records_each_key_once(inbox: &impl Inbox) {
    let entry = paid("m1");
    assert_eq!(inbox.record(&entry).await.unwrap(), RecordOutcome::First);
    assert_eq!(
        inbox.record(&entry).await.unwrap(),
        RecordOutcome::Duplicate
    );

    let row = row(inbox, &entry.key).await;
    assert_eq!(row.proven_body().unwrap(), &entry.body);
    assert_eq!(
        (row.state, row.attempts, row.due_at),
        (State::Recorded, 0, Some(NOW))
    );
    assert_eq!(
        (row.signature, row.key_label),
        (entry.signature, entry.key_label)
    );
    assert_eq!(
        (row.event_type.as_str(), row.subject.as_deref()),
        ("card_payment_succeeded", Some("payment"))
    );
    assert_eq!(
        (row.event_at, row.received_at, row.budget_from),
        (Some(NOW), NOW, NOW)
    );
}

pub async fn keeps_the_sender_kind_of_an_unreadable_row(inbox: &impl Inbox) {
    for (kind, source) in [(SenderKind::HMRC, "hmrc"), (SenderKind::GOVUK_PAY, "pay")] {
        let unreadable = entry(kind, source, Bytes::from_static(b"{}"));
        assert_eq!(
            inbox.record(&unreadable).await.unwrap(),
            RecordOutcome::First
        );
        assert_eq!(row(inbox, &unreadable.key).await.kind, kind);
    }
}

pub async fn holds_other_content_of_a_taken_key_as_a_conflict(inbox: &impl Inbox) {
    let (first, other) = (hmrc("n1", "[1]"), hmrc("n1", "[2]"));
    assert_eq!(inbox.record(&first).await.unwrap(), RecordOutcome::First);

    let conflict = other.as_conflict().key;
    assert_eq!(
        inbox.record(&other).await.unwrap(),
        RecordOutcome::Conflict(conflict.clone())
    );
    assert_eq!(
        inbox.record(&other).await.unwrap(),
        RecordOutcome::Duplicate,
        "a conflict is also stored once"
    );

    let first_row = row(inbox, &first.key).await;
    let conflict = row(inbox, &conflict).await;
    assert_eq!(
        (first_row.state, first_row.body),
        (State::Recorded, Some(first.body))
    );
    assert_eq!(
        (conflict.state, conflict.reason.as_deref()),
        (State::Held, Some("conflict"))
    );
    assert_eq!(conflict.body, Some(other.body));
}

pub async fn keeps_one_row_of_a_notification_that_was_pushed_and_pulled(inbox: &impl Inbox) {
    let (pushed, pulled) = (hmrc("n1", "[1]"), hmrc_pulled("n1", "[1]"));
    assert_eq!(inbox.record(&pulled).await.unwrap(), RecordOutcome::First);
    assert_eq!(
        inbox.record(&pushed).await.unwrap(),
        RecordOutcome::Duplicate
    );
    let row = row(inbox, &pulled.key).await;
    assert_eq!(row.proven_body().unwrap(), &pulled.body);
    assert_eq!(
        (row.origin, row.signature, row.key_label),
        (Origin::Pull, None, None)
    );
}

pub async fn keeps_one_row_of_a_signed_request_however_it_is_escaped(inbox: &impl Inbox) {
    let noise = hex::encode(noise(40_000));
    let envelope = |id: &str, message: &str| {
        format!(
            r#"{{"notificationId":"{id}","boxId":"50dca3fc","messageContentType":"application/json",
                "message":{message},
                "createdDateTime":"2026-03-02T10:15:31.480+0000"}}"#
        )
    };
    for text in [
        envelope("short", r#""paid 😀""#),
        envelope("long", &format!(r#""paid 😀 {noise}""#)),
        envelope("object", &format!(r#"{{"paid":"😀","for":"{noise}"}}"#)),
        "unreadable 😀".to_owned(),
        format!("unreadable and long 😀 {noise}"),
    ] {
        let copies = spellings(&text);
        let first = &copies[0];
        assert_eq!(inbox.record(first).await.unwrap(), RecordOutcome::First);
        for copy in &copies[1..] {
            assert_eq!(inbox.record(copy).await.unwrap(), RecordOutcome::Duplicate);
            assert_eq!(copy.key, first.key);
            assert_ne!(copy.digest, first.digest);
        }
        let row = row(inbox, &first.key).await;
        assert_eq!(row.proven_body().unwrap(), &first.body);
    }
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(100)).await.unwrap();
    assert_eq!(listed.rows.len(), 5);
}

pub async fn returns_every_byte_of_a_body_of_any_length(inbox: &impl Inbox) {
    for length in [
        1,
        100,
        8 * 1024 - 1,
        8 * 1024,
        8 * 1024 + 1,
        350 * 1024,
        350 * 1024 + 1,
        2_100_000,
        8 << 20,
    ] {
        let entry = entry(SenderKind::GOVUK_PAY, "pay", noise(length));
        for outcome in [RecordOutcome::First, RecordOutcome::Duplicate] {
            let recorded = inbox.record(&entry).await.unwrap();
            assert_eq!(recorded, outcome, "{length}");
        }
        let row = row(inbox, &entry.key).await;
        assert!(row.proven_body().unwrap() == &entry.body, "{length}");
        assert_eq!((row.state, row.is_unreadable()), (State::Held, true));
    }
}

pub async fn records_one_of_many_concurrent_copies_as_the_first(inbox: &impl Inbox) {
    let entry = Arc::new(paid("m1"));
    let copies = (0..64).map(|_| inbox.record(&entry));
    let outcomes = futures_util::future::join_all(copies).await;
    for (outcome, count) in [(RecordOutcome::First, 1), (RecordOutcome::Duplicate, 63)] {
        let such = outcomes
            .iter()
            .filter(|one| *one.as_ref().unwrap() == outcome);
        assert_eq!(such.count(), count, "{outcome:?}");
    }
}

pub async fn changes_nothing_when_a_duplicate_is_recorded(inbox: &impl Inbox) {
    let key = record_paid(inbox, "m1").await;
    let fence = claim(inbox, &key, NOW, 1).await;
    inbox.mark(&fence, &retry(later(60))).await.unwrap();
    let before = format!("{:?}", row(inbox, &key).await);

    assert_eq!(
        inbox.record(&paid("m1")).await.unwrap(),
        RecordOutcome::Duplicate
    );
    assert_eq!(format!("{:?}", row(inbox, &key).await), before);
}
