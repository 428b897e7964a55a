//! Where a body is stored, when its parts expire, and how the sweep settles parts whose process has
//! ended.

use super::*;
use crate::inbox::body::StoredBody;

const HOUR: Duration = Duration::from_secs(60 * 60);

async fn part_expiries(inbox: &DynamoInbox) -> Vec<Option<i64>> {
    let parts = items(inbox)
        .await
        .into_iter()
        .filter(|item| item::text_of(item, PK).unwrap().starts_with("~body:"));
    parts
        .map(|item| item::number_of(&item, "expires_at"))
        .collect()
}

/// Settles the bodies that are due within this number of days, as the sweep would. Returns how many
/// were erased.
async fn settle(inbox: &DynamoInbox, days: u64) -> usize {
    let mut erased = 0;
    for hours in 0..days * 24 {
        let now = NOW.plus(Duration::from_secs(hours * 60 * 60 + 1));
        erased += inbox.settle_bodies(now, 10).await.unwrap();
    }
    erased
}

/// Writes the parts of an entry without a row, as a process does that ends in between.
async fn write_parts_only(inbox: &DynamoInbox, entry: &Entry) {
    let body = StoredBody::pack(&entry.body);
    let parts = parts::split(&body, entry.received_at);
    let opened = intents::open(inbox, &entry.key, &parts, entry.received_at).await;
    opened.unwrap();
    let written = parts::write(inbox, &entry.key, &parts, &body).await;
    written.unwrap();
}

/// The keys of the items that contain bytes of a body.
async fn copies(inbox: &DynamoInbox) -> Vec<String> {
    // Digests, signatures and leases are shorter than any body of these tests.
    let is_long =
        |value: &AttributeValue| value.as_b().is_ok_and(|bytes| bytes.as_ref().len() > 64);
    let mut items = items(inbox).await;
    items.retain(|item| item.values().any(is_long));
    let keys = items.iter().map(|item| item::text_of(item, PK).unwrap());
    keys.map(str::to_owned).collect()
}

/// The same notification with different bytes.
fn variant(original: &Entry) -> Entry {
    let body = String::from_utf8(original.body.to_vec()).unwrap();
    let body = body.replacen('{', r#"{"attempt":2,"#, 1);
    let variant = entry(original.kind, "pay", body.into());
    assert_eq!(
        (&variant.key, variant.content_digest),
        (&original.key, original.content_digest)
    );
    variant
}

fn seconds(at: Timestamp) -> i64 {
    match names::expiry(at) {
        AttributeValue::N(seconds) => seconds.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

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

#[tokio::test]
async fn the_parts_of_a_row_never_expire_before_it() {
    let inbox = fresh().await;
    let entry = long_paid("m1");
    inbox.record(&entry).await.unwrap();
    assert_eq!(part_expiries(&inbox).await, [None, None], "open row");

    // Even if the first attempt is very late.
    let late = days_after(NOW, 200);
    let fence = claim(&inbox, &entry.key, late, 1).await;
    inbox.mark(&fence, &dead()).await.unwrap();
    assert_eq!(part_expiries(&inbox).await, [None, None], "dead row");
    inbox.record(&entry).await.unwrap();
    assert_eq!(part_expiries(&inbox).await, [None, None], "after a copy");

    inbox.replay(&entry.key, late).await.unwrap();
    let fence = claim(&inbox, &entry.key, late, 2).await;
    let mark = delivered(days_after(late, 90));
    inbox.mark(&fence, &mark).await.unwrap();
    let after = Some(seconds(days_after(late, 97)));
    assert_eq!(part_expiries(&inbox).await, [after, after], "finished row");
    inbox.record(&entry).await.unwrap();
    assert_eq!(part_expiries(&inbox).await, [after, after], "after a copy");

    inbox.replay(&entry.key, late).await.unwrap();
    assert_eq!(part_expiries(&inbox).await, [None, None], "replayed row");
}

#[tokio::test]
async fn the_parts_of_a_held_row_have_no_expiry() {
    let inbox = fresh().await;
    let held = entry(SenderKind::GOVUK_PAY, "pay", long(1));
    inbox.record(&held).await.unwrap();
    assert!(part_expiries(&inbox).await.iter().all(Option::is_none));
    settle(&inbox, 100).await;
    assert_eq!(body_of(&inbox, &held.key).await, Some(held.body));
}

#[tokio::test]
async fn a_refused_copy_leaves_no_bytes_and_opens_no_intent() {
    let inbox = fresh().await;
    let entry = long_paid("m1");
    inbox.record(&entry).await.unwrap();
    let before = items(&inbox).await.len();
    assert_eq!(
        inbox.record(&variant(&entry)).await.unwrap(),
        RecordOutcome::Duplicate
    );
    assert_eq!(items(&inbox).await.len(), before);
    assert_eq!(before, 4, "the row, two parts and their intent");
}

#[tokio::test]
async fn parts_without_a_row_are_erased_within_a_day_and_those_of_a_row_are_kept() {
    let inbox = fresh().await;
    let (orphan, owned, refused) = (long_paid("m1"), long_paid("m2"), long_paid("m3"));
    write_parts_only(&inbox, &orphan).await;
    inbox.record(&owned).await.unwrap();
    inbox.record(&refused).await.unwrap();
    write_parts_only(&inbox, &variant(&refused)).await;
    write_parts_only(&inbox, &owned).await; // again, of a row that exists
    assert_eq!(copies(&inbox).await.len(), 8);

    assert_eq!(settle(&inbox, 1).await, 2);
    assert_eq!(copies(&inbox).await.len(), 4);
    for entry in [&owned, &refused] {
        let body = body_of(&inbox, &entry.key).await;
        assert_eq!(body.as_ref(), Some(&entry.body));
    }

    // Erased parts are written again.
    assert_eq!(inbox.record(&orphan).await.unwrap(), RecordOutcome::First);
    assert_eq!(body_of(&inbox, &orphan.key).await, Some(orphan.body));
    assert_eq!(settle(&inbox, 30).await, 0);
    assert_eq!(copies(&inbox).await.len(), 6);
}

#[tokio::test]
async fn parts_that_a_slow_writer_writes_again_are_not_erased() {
    let inbox = fresh().await;
    let orphan = long_paid("m1");
    write_parts_only(&inbox, &orphan).await;
    let suspected = NOW.plus(Duration::from_secs(2 * 60 * 60));
    assert_eq!(inbox.settle_bodies(suspected, 10).await.unwrap(), 0);
    let due = intents::of_key(&inbox, &orphan.key).await.unwrap();

    let mut again = orphan.clone();
    again.received_at = days_after(NOW, 1);
    // The sweep tries to erase the orphan after its parts were written again but before the row.
    write_parts_only(&inbox, &again).await;
    for intent in &due {
        let erased = intents::erase_orphan(&inbox, intent, again.received_at).await;
        assert!(!erased.unwrap());
    }
    assert_eq!(copies(&inbox).await.len(), 2);
    assert_eq!(inbox.record(&again).await.unwrap(), RecordOutcome::First);
    assert_eq!(body_of(&inbox, &again.key).await, Some(again.body));
}

#[tokio::test]
async fn the_sweep_settles_parts_whose_process_ended_after_it_finished_the_row() {
    let inbox = fresh().await;
    let (finished, erased) = (long_paid("m1"), long_paid("m2"));
    for entry in [&finished, &erased] {
        inbox.record(entry).await.unwrap();
    }
    let end = days_after(NOW, 90);
    let row =
        |entry: &Entry| UpdateExpression::of(&inbox, entry.key.as_str()).require_known_version();
    let delivered = row(&finished)
        .set("state", names::text("delivered"))
        .set("expires_at", names::expiry(end))
        .remove("shelf");
    delivered.send(&inbox).await.unwrap();
    let discarded = row(&erased)
        .set("state", names::text("discarded"))
        .set("expires_at", names::expiry(end))
        .remove("shelf")
        .remove("parts")
        .remove("parts_digest");
    discarded.send(&inbox).await.unwrap();

    assert_eq!(settle(&inbox, 1).await, 1);
    let kept = copies(&inbox).await;
    assert!(kept.len() == 2 && kept.iter().all(|pk| pk.contains(":m1:")));
    let after = Some(seconds(days_after(end, 7)));
    for item in items(&inbox).await {
        if kept.contains(&item::text_of(&item, PK).unwrap().to_owned()) {
            assert_eq!(item::number_of(&item, "expires_at"), after);
        }
    }
    assert_eq!(settle(&inbox, 30).await, 0);
}

#[tokio::test]
async fn an_erase_includes_the_bytes_of_copies_whose_row_was_refused() {
    let inbox = fresh().await;
    let entry = long_paid("m1");
    inbox.record(&entry).await.unwrap();
    write_parts_only(&inbox, &variant(&entry)).await;
    let listed = inbox.body_copies(&entry.key).await.unwrap();
    assert_eq!(listed.len(), 4, "{listed:?}");

    let fence = claim(&inbox, &entry.key, NOW, 1).await;
    let end = days_after(NOW, 90);
    inbox.mark(&fence, &delivered(end)).await.unwrap();
    let discarded = inbox.discard(&entry.key, &erase_at(NOW)).await.unwrap();
    assert_eq!(discarded, DiscardOutcome::Done);
    assert_eq!(copies(&inbox).await, [""; 0]);
    for copy in [&entry, &variant(&entry)] {
        assert_eq!(inbox.record(copy).await.unwrap(), RecordOutcome::Duplicate);
    }
    assert_eq!(copies(&inbox).await, [""; 0]);
}
