//! Where a body is stored, and when the intent of its parts is checked.

use super::*;
use crate::inbox::body::StoredBody;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The due dates of the open intents.
async fn due_dates(inbox: &DynamoInbox) -> Vec<Timestamp> {
    let items = items(inbox).await;
    let intents = items
        .iter()
        .filter(|item| names::parse_intent(item::text_of(item, PK).unwrap()).is_some());
    intents
        .filter_map(|item| item::instant_of(item, "due_at"))
        .collect()
}

#[tokio::test]
async fn an_intent_is_due_after_an_hour_a_suspected_orphan_after_six_and_an_open_row_in_days() {
    for (has_row, next) in [(false, 6 * HOUR), (true, 5 * 24 * HOUR)] {
        let inbox = fresh().await;
        let entry = long_paid("m1");
        if has_row {
            inbox.record(&entry).await.unwrap();
        } else {
            write_parts_only(&inbox, &entry).await;
        }
        let first = entry.received_at.plus(HOUR);
        assert_eq!(due_dates(&inbox).await, [first]);
        assert_eq!(inbox.settle_bodies(first, 10).await.unwrap(), 0);
        assert_eq!(due_dates(&inbox).await, [first.plus(next)], "{has_row}");
    }
}

#[tokio::test]
async fn the_copies_of_a_body_are_only_those_of_its_key() {
    let inbox = fresh().await;
    // More keys than shards, so that two share one.
    let entries: Vec<_> = (0..5).map(|n| long_paid(&format!("m{n}"))).collect();
    for entry in &entries {
        write_parts_only(&inbox, entry).await;
    }
    for entry in &entries {
        let intents = intents::of_key(&inbox, &entry.key).await.unwrap();
        let keys: Vec<_> = intents.into_iter().map(|intent| intent.key).collect();
        assert_eq!(keys, std::slice::from_ref(&entry.key));
    }
}

#[tokio::test]
async fn a_body_of_eight_kilobytes_is_in_its_row_and_a_longer_one_is_not() {
    let inbox = fresh().await;
    for (bytes, is_inline) in [(8 * 1024, true), (8 * 1024 + 1, false)] {
        let entry = entry(SenderKind::GOVUK_PAY, "pay", long(3).slice(..bytes));
        assert_eq!(StoredBody::pack(&entry.body).bytes.len(), bytes);
        inbox.record(&entry).await.unwrap();
        let item = inbox.read(entry.key.as_str()).await.unwrap().unwrap();
        assert_eq!(item.contains_key("body"), is_inline, "{bytes}");
    }
}
