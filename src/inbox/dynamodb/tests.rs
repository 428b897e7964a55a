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
        example::{NOW, entry, pay},
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
    let secret_sources = SecretSources {
        env: &env,
        file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        vault: FetchedSecrets::NOTHING,
    };
    AwsConfig::from_variables(&secret_sources)
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

async fn body_of(inbox: &DynamoInbox, key: &Key) -> Option<Bytes> {
    inbox.get(key).await.unwrap().unwrap().body
}

fn delivered(expires_at: Timestamp) -> Mark {
    Mark::Delivered { expires_at }
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
