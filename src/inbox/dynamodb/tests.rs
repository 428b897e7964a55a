//! The contract against an emulator, and tests that are specific to this inbox.

#[path = "../../../tests/support/dynamodb.rs"]
#[allow(unreachable_pub, reason = "the tests share it as a library")]
mod dynamodb;
mod bodies;
mod claims;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
        timeout::TimeoutConfig,
    },
    error::BoxError,
    types::AttributeValue,
};
use bytes::Bytes;

use super::{
    change::UpdateExpression,
    names::{PK, TableItem, number},
    *,
};
use crate::{
    aws::{AwsConfig, AwsService},
    domain::State,
    inbox::{Lease, LeaseId},
    secrets::{FetchedSecrets, SecretSources},
    senders::{
        SenderKind,
        example::{NOW, entry, entry as entry_of, pay},
    },
};
use dynamodb::{DynamoEmulator, EMULATOR};

fn sdk(emulator: &DynamoEmulator) -> SdkConfig {
    let env = |name: &str| {
        let value = match name {
            "AWS_REGION" => "eu-west-2",
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => "local",
            "AWS_ENDPOINT_URL_DYNAMODB" => &emulator.endpoint,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let outside = SecretSources {
        env: &env,
        file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        vault: FetchedSecrets::NOTHING,
    };
    AwsConfig::from_variables(&outside)
        .unwrap()
        .config(AwsService::DynamoDb)
}

/// An inbox in a new table.
async fn fresh() -> Box<DynamoInbox> {
    fresh_in(&EMULATOR).await
}

async fn fresh_in(emulator: &DynamoEmulator) -> Box<DynamoInbox> {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    let number = TABLES.fetch_add(1, Ordering::Relaxed);
    let settings = TableSettings {
        table: format!("inbox-{}-{number}", std::process::id()),
        shards: 4,
        first_due: Duration::ZERO,
        retention: Duration::from_hours(90 * 24),
    };
    let inbox = DynamoInbox::new(&sdk(emulator), settings);
    assert!(!inbox.init().await.unwrap());
    Box::new(inbox)
}

/// The same inbox with long timeouts, for tests on a machine that is slow because it is also
/// building.
fn patient(inbox: &DynamoInbox) -> Box<DynamoInbox> {
    let long = Duration::from_secs(60);
    let limits = TimeoutConfig::builder()
        .operation_attempt_timeout(long)
        .operation_timeout(long)
        .build();
    let config = inbox.client.config().to_builder().timeout_config(limits);
    Box::new(DynamoInbox {
        client: Client::from_conf(config.build()),
        ..inbox.clone()
    })
}

mod keeps_the_contract {
    crate::inbox_contract!(super::patient(&*super::fresh().await));
}

/// Bytes that cannot be compressed, too many for a row.
fn long(seed: u32) -> Bytes {
    (0..200_000u32)
        .flat_map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_le_bytes())
        .collect::<Vec<_>>()
        .into()
}

/// A notification whose body is stored in separate items.
fn long_paid(id: &str) -> Entry {
    long_event(id, "card_payment_succeeded")
}

fn long_event(id: &str, event_type: &str) -> Entry {
    let noise = hex::encode(&long(7)[..300_000]);
    let body = format!(
        r#"{{"webhook_message_id":"{id}","created_date":"{NOW}","resource_id":"p",
            "event_type":"{event_type}","resource":"{noise}"}}"#
    );
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

async fn items(inbox: &DynamoInbox) -> Vec<TableItem> {
    let scan = inbox.client.scan().table_name(inbox.table());
    let pages = scan.consistent_read(true).into_paginator().items().send();
    pages.try_collect().await.unwrap()
}

async fn part_expiries(inbox: &DynamoInbox) -> Vec<Option<i64>> {
    let parts = items(inbox)
        .await
        .into_iter()
        .filter(|item| item::text_of(item, PK).unwrap().starts_with("~body:"));
    parts
        .map(|item| item::number_of(&item, "expires_at"))
        .collect()
}

fn claim_of(id: u64, now: Timestamp) -> Claim {
    let lease = Lease {
        id: LeaseId(id),
        until: now.plus(Duration::from_secs(150)),
    };
    Claim {
        now,
        lease,
        first_backoff: Duration::from_secs(5),
    }
}

async fn claim(inbox: &DynamoInbox, key: &Key, now: Timestamp, id: u64) -> Fence {
    let claimed = inbox.claim(key, &claim_of(id, now)).await.unwrap();
    claimed.expect("the row can be claimed").1
}

fn erase_at(now: Timestamp) -> DiscardRequest {
    DiscardRequest {
        erase: true,
        now,
        expires_at: days_after(NOW, 90),
    }
}

fn days_after(start: Timestamp, days: u64) -> Timestamp {
    start.plus(Duration::from_secs(days * 24 * 60 * 60))
}

fn seconds(at: Timestamp) -> i64 {
    match names::expiry(at) {
        AttributeValue::N(seconds) => seconds.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn dead() -> Mark {
    Mark::Dead {
        reason: "refused".into(),
        error: "422".into(),
        at: NOW,
    }
}

#[tokio::test]
async fn a_row_takes_little_more_space_than_its_body() {
    let inbox = fresh().await;
    let body = std::fs::read("tests/fixtures/pay/card_payment_succeeded.json").unwrap();
    let entry = entry(SenderKind::GOVUK_PAY, "pay", body.into());
    inbox.record(&entry).await.unwrap();
    let item = inbox.read(entry.key.as_str()).await.unwrap().unwrap();
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(digits) => digits.len() / 2 + 1,
        _ => 1,
    };
    let row: usize = item
        .iter()
        .map(|(name, value)| name.len() + size(value))
        .sum();
    let body = item["body"].as_b().unwrap().as_ref().len();
    assert!(
        row - body < 420 && row < 1250,
        "{row} bytes with {body} of the body"
    );
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

async fn body_of(inbox: &DynamoInbox, key: &Key) -> Option<Bytes> {
    inbox.get(key).await.unwrap().unwrap().body
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
    let body = crate::inbox::body::StoredBody::pack(&entry.body);
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

fn delivered(expires_at: Timestamp) -> Mark {
    Mark::Delivered { expires_at }
}

/// The same notification with different bytes.
fn variant(entry: &Entry) -> Entry {
    let body = String::from_utf8(entry.body.to_vec()).unwrap();
    let body = body.replacen('{', r#"{"attempt":2,"#, 1);
    let variant = entry_of(entry.kind, "pay", body.into());
    assert_eq!(
        (&variant.key, variant.content_digest),
        (&entry.key, entry.content_digest)
    );
    variant
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
    let row = |entry: &Entry| UpdateExpression::of(&inbox, entry.key.as_str()).only_known();
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

/// Counts write requests.
#[derive(Clone, Debug, Default)]
struct WriteCounter(Arc<AtomicU32>);

/// The same inbox with long timeouts, and a counter of its writes.
fn with_write_counter(inbox: &DynamoInbox) -> (DynamoInbox, WriteCounter) {
    let counter = WriteCounter::default();
    let inbox = patient(inbox);
    let config = inbox.client.config().to_builder();
    let client = Client::from_conf(config.interceptor(counter.clone()).build());
    (DynamoInbox { client, ..*inbox }, counter)
}

impl Intercept for WriteCounter {
    fn name(&self) -> &'static str {
        "WriteCounter"
    }

    fn read_after_serialization(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = context.request().headers().get("x-amz-target");
        let is_write =
            |operation: &str| operation.ends_with("Item") && !operation.ends_with("GetItem");
        if operation.is_some_and(is_write) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[tokio::test]
async fn each_step_makes_only_the_necessary_writes() {
    let (inbox, counter) = with_write_counter(&*fresh().await);
    let writes = || counter.0.swap(0, Ordering::Relaxed);
    let (later, end) = (days_after(NOW, 1), days_after(NOW, 90));
    // The long body has two parts. Recording it checks the row and writes the intent, the parts and
    // the row. Finishing it writes the row, the parts and the intent.
    for (name, entry, other, expected) in [
        (
            "short",
            pay("m1", "p", "card_payment_succeeded", NOW),
            pay("m1", "p", "card_payment_refunded", NOW),
            [1, 1, 2, 1, 1, 1, 1, 1, 1, 1],
        ),
        (
            "long",
            long_paid("m2"),
            long_event("m2", "card_payment_refunded"),
            [5, 1, 6, 1, 1, 1, 1, 4, 4, 5],
        ),
    ] {
        let mut steps = Vec::new();
        inbox.record(&entry).await.unwrap();
        steps.push(writes());
        inbox.record(&entry).await.unwrap();
        steps.push(writes());
        inbox.record(&other).await.unwrap();
        steps.push(writes());
        let fence = claim(&inbox, &entry.key, NOW, 1).await;
        steps.push(writes());
        inbox.mark(&fence, &dead()).await.unwrap();
        steps.push(writes());
        inbox.replay(&entry.key, later).await.unwrap();
        steps.push(writes());
        let fence = claim(&inbox, &entry.key, later, 2).await;
        steps.push(writes());
        inbox.mark(&fence, &delivered(end)).await.unwrap();
        steps.push(writes());
        inbox.replay(&entry.key, later).await.unwrap();
        steps.push(writes());
        let erased = inbox.discard(&entry.key, &erase_at(later)).await;
        assert_eq!(erased.unwrap(), DiscardOutcome::Done);
        steps.push(writes());
        assert_eq!(
            steps, expected,
            "{name}: record, copy, conflict, claim, dead, replay, claim, delivered, replay, erase"
        );
    }
}

#[tokio::test]
async fn the_bytes_of_a_dead_row_are_kept_when_expired_items_are_removed() {
    // A separate emulator, because this one removes the expired items of every table, and by the
    // machine's clock the rows of the other tests have expired.
    let emulator = DynamoEmulator::start();
    let inbox = fresh_in(&emulator).await;
    let (lost, kept, done) = (
        long_paid("m1"),
        long_paid("m2"),
        pay("m3", "q", "card_payment_captured", NOW),
    );
    for entry in [&lost, &kept, &done] {
        inbox.record(entry).await.unwrap();
    }
    let fence = claim(&inbox, &kept.key, NOW, 1).await;
    inbox.mark(&fence, &dead()).await.unwrap();
    for (entry, id) in [(&lost, 2), (&done, 3)] {
        let fence = claim(&inbox, &entry.key, NOW, id).await;
        // The emulator removes by the machine's clock.
        let expired = delivered(Timestamp::from_millis(1_000));
        inbox.mark(&fence, &expired).await.unwrap();
    }
    emulator.expire();
    for key in [&lost.key, &done.key] {
        assert!(inbox.get(key).await.unwrap().is_none());
    }
    assert_eq!(body_of(&inbox, &kept.key).await, Some(kept.body));
}

#[tokio::test]
async fn a_claim_and_a_mark_whose_replies_were_lost_are_recognised() {
    let inbox = fresh().await;
    let entry = pay("m1", "p", "card_payment_captured", NOW);
    inbox.record(&entry).await.unwrap();
    for (id, now) in [(1, NOW), (2, NOW.plus(Duration::from_secs(200)))] {
        let first = claim(&inbox, &entry.key, now, id).await;
        let again = claim(&inbox, &entry.key, now, id).await;
        assert_eq!(first, again, "the same claim sent twice is one attempt");
    }
    let fence = claim(&inbox, &entry.key, NOW.plus(Duration::from_secs(400)), 3).await;
    let mark = delivered(days_after(NOW, 90));
    for _ in 0..2 {
        assert_eq!(inbox.mark(&fence, &mark).await.unwrap(), MarkOutcome::Done);
    }
}

#[tokio::test]
async fn a_row_of_a_later_version_is_refused_and_not_changed() {
    let inbox = fresh().await;
    let (newer, known) = (
        pay("m1", "p", "card_payment_captured", NOW),
        pay("m2", "p", "card_payment_refunded", NOW),
    );
    for entry in [&newer, &known] {
        inbox.record(entry).await.unwrap();
    }
    let newer_version = UpdateExpression::of(&inbox, newer.key.as_str())
        .set("v", number(2))
        .only_if("attribute_exists(pk)");
    newer_version.send(&inbox).await.unwrap();
    let before = inbox.read(newer.key.as_str()).await.unwrap();

    let (claim, erase) = (claim_of(1, NOW), erase_at(NOW));
    let refused = |error: InboxError| matches!(error, InboxError::NewerRow { found: 2, .. });
    assert!(inbox.record(&newer).await.is_err_and(refused));
    assert!(inbox.claim(&newer.key, &claim).await.is_err_and(refused));
    assert!(inbox.get(&newer.key).await.is_err_and(refused));
    assert!(inbox.replay(&newer.key, NOW).await.is_err_and(refused));
    assert!(inbox.discard(&newer.key, &erase).await.is_err_and(refused));
    assert_eq!(inbox.read(newer.key.as_str()).await.unwrap(), before);

    for filter in [
        RowFilter::default(),
        RowFilter {
            state: Some(State::Recorded),
            ..RowFilter::default()
        },
    ] {
        let listed = inbox.list(&filter, PageRequest::first(10)).await.unwrap();
        let keys: Vec<&Key> = listed.rows.iter().map(|row| &row.key).collect();
        assert_eq!(
            (keys, &listed.newer),
            (vec![&known.key], &vec![newer.key.clone()])
        );
    }
}

#[tokio::test]
async fn a_payment_is_listed_from_its_ledger_and_the_index() {
    let inbox = fresh().await;
    let events = [
        "card_payment_started",
        "card_payment_succeeded",
        "card_payment_captured",
    ];
    for (event, id) in events.iter().zip(["a", "b", "c"]) {
        inbox.record(&pay(id, "payment", event, NOW)).await.unwrap();
    }
    let other = pay("d", "another", "card_payment_captured", NOW);
    inbox.record(&other).await.unwrap();
    let filter = RowFilter {
        source: Some("pay".into()),
        subject: Some("payment".into()),
        ..RowFilter::default()
    };
    assert_eq!(
        inbox.list_strategy(&filter).await.unwrap(),
        ListStrategy::Scan,
        "the payment has no ledger yet"
    );

    let key = Key::parse("pay:a").unwrap();
    let event = inbox.get(&key).await.unwrap().unwrap().event().unwrap();
    let fence = claim(&inbox, &key, NOW, 1).await;
    let claimed = inbox.claim_event(&event, &key, days_after(NOW, 97)).await;
    assert_eq!(claimed.unwrap(), EventClaim::Acquired);
    let mark = delivered(days_after(NOW, 90));
    inbox.mark(&fence, &mark).await.unwrap();
    assert_eq!(
        inbox.list_strategy(&filter).await.unwrap(),
        ListStrategy::Ledger
    );
    let listed = inbox.list(&filter, PageRequest::first(10)).await.unwrap();
    let keys: Vec<&str> = listed.rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["pay:c", "pay:b", "pay:a"]);
}

#[tokio::test]
async fn a_table_has_an_error_for_everything_that_it_lacks() {
    let complete = fresh().await;
    assert_eq!(complete.errors().await.unwrap(), []);
    assert!(complete.init().await.unwrap(), "the table exists");

    let settings = TableSettings {
        table: "bare-table".into(),
        ..(*complete.settings).clone()
    };
    let bare = DynamoInbox::new(&sdk(&EMULATOR), settings);
    let entry = pay("m1", "p", "e", NOW);
    let missing = bare.record(&entry).await.unwrap_err().to_string();
    let expected = "table bare-table: PutItem: ResourceNotFoundException: there is no such table";
    assert!(missing.contains(expected), "{missing}");
    bare.create_bare().await;
    let errors = bare.errors().await.unwrap();
    assert_eq!(errors.len(), 3, "{errors:?}");
    for (error, word) in errors.iter().zip(["no index `shelf`", "no stream", "TTL"]) {
        assert!(error.0.contains(word), "{error:?}");
    }
    bare.record(&entry).await.unwrap();
    let due = bare.find_due(&SourceFilter::ALL, NOW, 10).await;
    let no_index = due.unwrap_err().to_string();
    assert!(no_index.contains("it has no index `shelf`"), "{no_index}");
}

impl DynamoInbox {
    /// Creates a table with only its key.
    async fn create_bare(&self) {
        use aws_sdk_dynamodb::types::{
            AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        };
        let key = KeySchemaElement::builder()
            .attribute_name(PK)
            .key_type(KeyType::Hash)
            .build()
            .unwrap();
        let of_type = AttributeDefinition::builder()
            .attribute_name(PK)
            .attribute_type(ScalarAttributeType::S);
        let create = self
            .client
            .create_table()
            .table_name(self.table())
            .billing_mode(BillingMode::PayPerRequest);
        create
            .key_schema(key)
            .attribute_definitions(of_type.build().unwrap())
            .send()
            .await
            .unwrap();
    }
}
