//! Tables of the emulator, opened with the product's own code, and rows in them.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use bytes::Bytes;
use pillarbox::{
    aws::{AwsConfig, AwsService},
    domain::{Key, SourceName, Timestamp},
    inbox::{
        PageRequest, ReadInbox, ReceiveInbox, Row, RowFilter,
        dynamodb::{DynamoInbox, TableSettings},
    },
    secrets::{FetchedSecrets, Secret, SecretSources},
    senders::{Acceptance, Entry, SenderKind, SigningKey, read, verify},
};
use sender_simulator::{Sender, signature};

use super::dynamodb::EMULATOR;

/// The variables by which a program reaches the emulator.
pub fn variables() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_REGION", "eu-west-2".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", EMULATOR.endpoint.clone()),
    ]
}

/// The AWS configuration from these variables.
pub fn aws(variables: &[(&str, String)]) -> AwsConfig {
    let env = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    };
    AwsConfig::from_variables(&SecretSources {
        env: &env,
        file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        vault: FetchedSecrets::NOTHING,
    })
    .unwrap()
}

/// A unique table name.
pub fn unique(name: &str) -> String {
    static TABLES: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", TABLES.fetch_add(1, Ordering::Relaxed))
}

/// All rows of an inbox, without their bodies.
pub async fn rows(inbox: &DynamoInbox) -> Vec<Row> {
    let all = PageRequest::first(usize::MAX);
    inbox.list(&RowFilter::default(), all).await.unwrap().rows
}

/// The inbox in this table of the emulator, which need not exist.
pub fn inbox_in(table: &str) -> DynamoInbox {
    inbox_at(&variables(), table)
}

/// The inbox in `table`, reached through these variables.
pub fn inbox_at(variables: &[(&str, String)], table: &str) -> DynamoInbox {
    let settings = TableSettings {
        table: table.to_owned(),
        shards: 16,
        first_due: Duration::from_secs(120),
        retention: Duration::from_secs(90 * 24 * 60 * 60),
    };
    DynamoInbox::new(&aws(variables).config(AwsService::DynamoDb), settings)
}

/// A new table for one test.
pub async fn fresh(name: &str) -> DynamoInbox {
    let inbox = inbox_in(&unique(name));
    inbox.init().await.unwrap();
    inbox
}

/// A verified entry, from the product's own verification of a signature.
pub fn entry(sender: Sender, body: impl Into<Bytes>, now: Timestamp) -> Entry {
    let (kind, name, body) = match sender {
        Sender::Hmrc => (SenderKind::HMRC, "hmrc", body.into()),
        Sender::GovukPay => (SenderKind::GOVUK_PAY, "pay", body.into()),
    };
    let secret = "a secret that only the tests use";
    let signature = signature::sign(sender, secret, &body);
    let key = SigningKey::new(kind, "1:env:TEST", &Secret::new(secret.to_owned()));
    let verified = verify(kind, &[key], &[signature.as_bytes()], body, now).unwrap();
    let window = Acceptance(Duration::from_secs(60 * 24 * 60 * 60));
    read(&SourceName::new(name).unwrap(), verified, now, window)
}

/// Stores a Pay event of this payment, and returns its key.
pub async fn store(
    inbox: &DynamoInbox,
    id: &str,
    payment: &str,
    event: &str,
    now: Timestamp,
) -> Key {
    let body = format!(
        r#"{{"webhook_message_id":"{id}","created_date":"{now}","resource_id":"{payment}",
            "event_type":"{event}","resource":{{"amount":5000}}}}"#
    );
    let entry = entry(Sender::GovukPay, body, now);
    inbox.record(&entry).await.unwrap();
    entry.key
}

/// Makes open rows due and removes their leases, as time would. A row with more attempts than when
/// it was listed is in use, and is left unchanged.
pub async fn lapse_leases(table: &str, open: &[(String, u32)]) {
    let client = Client::new(&aws(&variables()).config(AwsService::DynamoDb));
    for (key, attempts) in open {
        let due = client
            .update_item()
            .table_name(table)
            .key("pk", AttributeValue::S(key.clone()))
            .update_expression("SET due_at = :past REMOVE #lease")
            .condition_expression("attribute_exists(shelf) AND attempts = :attempts")
            .expression_attribute_names("#lease", "lease")
            .expression_attribute_values(":attempts", AttributeValue::N(attempts.to_string()))
            .expression_attribute_values(":past", AttributeValue::N("1".to_owned()));
        let _ = due.send().await; // the condition fails if the row is finished or in use
    }
}
