//! Changes to one column or attribute, each of which is found.

use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use pillarbox_cli::sqlite::SqliteInbox;
use rusqlite::{Connection, params, types::Value};

use pillarbox::{
    aws::AwsService,
    domain::{Clock, Key, SystemClock},
    inbox::dynamodb::DynamoInbox,
};
use test_support::{
    process::{BOTH_SOURCES, CommandResult, PAY_SECRET, ProgramFolder},
    table,
};

use super::{
    maker::{EvidenceMaker, RowLife, StoredValue, key_after, rows},
    verify_stored,
};

const FAR: i64 = 99_000_000_000_000;

/// Changes to one attribute of one row, each of which is tampering.
pub(super) fn tamperings() -> Vec<(RowLife, &'static str, StoredValue)> {
    use RowLife::*;
    use StoredValue::*;
    let digest = || Bytes(vec![7; 32]);
    let fingerprint = || Bytes(vec![7; 8]);
    let hmac = "3f9a000000000000000000000000000000000000000000000000000000000000";
    vec![
        // The bytes, and the columns derived from them.
        (Delivered, "body", Bytes(b"{}".to_vec())),
        (Unreadable, "body", Bytes(b"{}".to_vec())),
        (Pulled, "body", Bytes(b"{}".to_vec())),
        (Delivered, "body", Nothing),
        (Dead, "body", Nothing),
        (Unreadable, "body", Nothing),
        (Recorded, "body", Nothing),
        (Long, "part", Bytes(b"{}".to_vec())),
        (Long, "part", Nothing),
        (Delivered, "digest", digest()),
        (Discarded, "digest", digest()),
        (Delivered, "content_digest", digest()),
        (Pulled, "content_digest", digest()),
        (Unreadable, "content_digest", digest()),
        (Rewritten, "content_digest", digest()),
        (Rewritten, "subject", Text("another")),
        (RewrittenUnreadable, "content_digest", digest()),
        (Delivered, "event_type", Text("card_payment_refunded")),
        (Dead, "event_type", Text("unknown")),
        (Pulled, "event_type", Text("observed")),
        (Delivered, "subject", Text("another")),
        (Delivered, "subject", Nothing),
        (Observed, "subject", Text("another")),
        (Unreadable, "subject", Text("another")),
        (Delivered, "event_at", Time(1_772_446_531_481)),
        (Delivered, "event_at", Nothing),
        (Unreadable, "event_at", Time(1_772_446_531_480)),
        (Observed, "event_at", Time(1_772_446_531_481)),
        (Observed, "received_at", Time(1_772_446_531_481)),
        (Delivered, "kind", Text("hmrc")),
        (Dead, "kind", Text("govuk-pay")),
        (Pulled, "kind", Text("govuk-pay")),
        (Delivered, "pk", Text("pay:another")),
        (Unreadable, "pk", Text("pay:sha256-0")),
        (Conflict, "pk", Text("pay:another~01234567")),
        (Observed, "pk", Text("pay:observed-another")),
        // The proof.
        (Delivered, "origin", Text("pull")),
        (Pulled, "origin", Text("push")),
        (Observed, "origin", Text("push")),
        (Erased, "origin", Text("pull")),
        (Delivered, "signature", Nothing),
        (Unreadable, "signature", Nothing),
        (Erased, "signature", Nothing),
        (Delivered, "signature", Text(hmac)),
        (Dead, "signature", Text("not hex")),
        (Pulled, "signature", Text(hmac)),
        (Delivered, "key_label", Nothing),
        (Pulled, "key_label", Text("1:env:TEST")),
        (Delivered, "secret_fingerprint", fingerprint()),
        (Pulled, "secret_fingerprint", fingerprint()),
        // The state, and what depends on it.
        (Recorded, "state", Text("delivered")),
        (Recorded, "state", Text("discarded")),
        (Delivered, "state", Text("recorded")),
        (Delivered, "state", Text("dead")),
        (Delivered, "state", Text("held")),
        (Delivered, "state", Text("repeat")),
        (Dead, "state", Text("recorded")),
        (Dead, "state", Text("held")),
        (Dead, "state", Text("discarded")),
        (Unreadable, "state", Text("recorded")),
        (Erased, "state", Text("delivered")),
        (Recorded, "shelf", Nothing),
        (Recorded, "shelf", Text("dead:0")),
        (Dead, "shelf", Nothing),
        (Dead, "shelf", Text("open:0")),
        (Delivered, "shelf", Text("open:0")),
        (Erased, "shelf", Text("held:0")),
        (Delivered, "due_at", Time(1_772_446_531_480)),
        (Retried, "due_at", Time(FAR)),
        (Delivered, "expires_at", Nothing),
        (Delivered, "expires_at", Time(1_000)),
        (Delivered, "expires_at", Time(FAR)),
        (Recorded, "expires_at", Time(1_872_446_531_000)),
        (Unreadable, "expires_at", Time(1_872_446_531_000)),
        (Delivered, "reason", Text("refused")),
        (Recorded, "reason", Text("stale")),
        (Dead, "reason", Nothing),
        (Repeat, "reason", Nothing),
        (Repeat, "reason", Text("hmrc:n1")),
        (Conflict, "reason", Text("stale")),
        (Stale, "reason", Text("unreadable")),
        (Unreadable, "reason", Text("conflict")),
        (Unreadable, "reason", Text("of its own")),
        (Delivered, "attempts", Number(0)),
        (Repeat, "attempts", Number(0)),
        (Dead, "attempts", Number(0)),
        (Stale, "attempts", Number(3)),
        (Retried, "attempts", Number(4_000_000_000)),
        (Recorded, "lease", Time(1_772_446_531_480)),
        (Delivered, "lease", Time(1_772_446_531_480)),
        (Leased, "lease", Time(FAR)),
        (Dead, "last_error", Nothing),
        (Stale, "last_error", Text("https: status 503")),
        // The times.
        (Delivered, "received_at", Time(FAR)),
        (Retried, "budget_from", Time(FAR)),
        (Retried, "budget_from", Time(1_000)),
    ]
}

/// The keys of the rows that are called broken.
pub(super) fn broken(ran: &CommandResult) -> Vec<String> {
    let lines = ran.stderr.lines();
    lines
        .filter_map(|line| {
            let (key, what) = line.split_once(" is ")?;
            let is_broken = what.starts_with("broken: ") || what.starts_with("damaged: ");
            is_broken.then(|| key.to_owned())
        })
        .collect()
}

#[track_caller]
fn assert_all_are_found(ran: &CommandResult, keys: &[Key]) {
    assert_eq!(ran.code, 1, "{ran:?}");
    let (found, mut expected) = (broken(ran), Vec::new());
    for (key, (life, column, value)) in keys.iter().zip(tamperings()) {
        let key = key_after(key, column, &value);
        assert!(
            found.contains(&key),
            "{key}: {life:?} {column} = {value:?} is not found: {}",
            ran.stdout
        );
        expected.push(key);
    }
    let false_alarms: Vec<_> = found.iter().filter(|key| !expected.contains(key)).collect();
    assert!(false_alarms.is_empty(), "{false_alarms:?}: {}", ran.stderr);
    assert!(keys.len() >= 40 && found.len() == keys.len());
}

fn in_file(value: &StoredValue) -> Value {
    match value {
        StoredValue::Text(text) => Value::Text((*text).to_owned()),
        StoredValue::Number(number) | StoredValue::Time(number) => Value::Integer(*number),
        StoredValue::Bytes(bytes) => Value::Blob(bytes.clone()),
        StoredValue::Nothing => Value::Null,
    }
}

fn change_file(db: &Connection, key: &Key, column: &str, value: &StoredValue) {
    let (key, new) = (key.as_str(), in_file(value));
    let of_row = "(SELECT id FROM notification WHERE pk = ?1)";
    let changed = match (column, value) {
        ("part", StoredValue::Nothing) => db.execute(
            &format!("DELETE FROM body WHERE notification = {of_row}"),
            [key],
        ),
        ("part", _) => db.execute(
            &format!("UPDATE body SET bytes = ?2 WHERE notification = {of_row}"),
            params![key, new],
        ),
        ("lease", _) => db.execute(
            "UPDATE notification SET lease_until = ?2 WHERE pk = ?1",
            params![key, new],
        ),
        _ => db.execute(
            &format!("UPDATE notification SET {column} = ?2 WHERE pk = ?1"),
            params![key, new],
        ),
    };
    assert_eq!(changed.unwrap(), 1, "{key} {column}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_to_one_column_of_the_file_is_found() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let file = folder.path().join("pillarbox.db");
    let inbox = SqliteInbox::create(&file).unwrap();
    let keys = rows(&inbox).await;
    drop(inbox);
    let honest = verify_stored(&folder, None);
    assert_eq!((honest.code, broken(&honest)), (0, vec![]), "{honest:?}");

    let db = Connection::open(&file).unwrap();
    for (key, (_, column, value)) in keys.iter().zip(tamperings()) {
        change_file(&db, key, column, &value);
    }
    drop(db);
    assert_all_are_found(&verify_stored(&folder, None), &keys);
}

fn in_table(column: &str, value: &StoredValue) -> AttributeValue {
    match value {
        StoredValue::Text(text) => AttributeValue::S((*text).to_owned()),
        StoredValue::Time(at) if column == "expires_at" => {
            AttributeValue::N((at / 1_000).to_string())
        }
        StoredValue::Number(number) | StoredValue::Time(number) => {
            AttributeValue::N(number.to_string())
        }
        StoredValue::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        StoredValue::Nothing => AttributeValue::Null(true),
    }
}

async fn change_table(
    client: &Client,
    table: &DynamoInbox,
    key: &Key,
    column: &str,
    value: &StoredValue,
) {
    let mut pk = key.to_string();
    let mut name = column;
    let mut new = in_table(column, value);
    if column == "pk" {
        return rename(client, table, &pk, new).await;
    }
    if column == "part" {
        let items = client
            .scan()
            .table_name(table.table())
            .send()
            .await
            .unwrap();
        let mut names = items.items().iter().map(|item| item["pk"].as_s().unwrap());
        let prefix = format!("~body:{key}:");
        pk = names
            .find(|name| name.starts_with(&prefix))
            .unwrap()
            .clone();
        name = "bytes";
    }
    if column == "lease" {
        let id = AttributeValue::B(Blob::new(7u64.to_be_bytes()));
        let lease = [("id".to_owned(), id), ("until".to_owned(), new)];
        new = AttributeValue::M(lease.into());
    }
    let update = client
        .update_item()
        .table_name(table.table())
        .key("pk", AttributeValue::S(pk))
        .expression_attribute_names("#name", name);
    let update = match value {
        StoredValue::Nothing => update.update_expression("REMOVE #name"),
        _ => update
            .update_expression("SET #name = :new")
            .expression_attribute_values(":new", new),
    };
    update.send().await.unwrap();
}

async fn rename(client: &Client, table: &DynamoInbox, pk: &str, new: AttributeValue) {
    let old = AttributeValue::S(pk.to_owned());
    let get = client.get_item().table_name(table.table());
    let found = get.key("pk", old.clone()).send().await.unwrap();
    let mut item = found.item.unwrap();
    item.insert("pk".to_owned(), new);
    let put = client.put_item().table_name(table.table());
    put.set_item(Some(item)).send().await.unwrap();
    let delete = client.delete_item().table_name(table.table());
    delete.key("pk", old).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_to_one_attribute_of_the_table_is_found() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let inbox = table::fresh("evidence").await;
    let keys = rows(&inbox).await;
    let honest = verify_stored(&folder, Some(&inbox));
    assert_eq!((honest.code, broken(&honest)), (0, vec![]), "{honest:?}");

    let client = Client::new(&table::aws(&table::variables()).config(AwsService::DynamoDb));
    for (key, (_, column, value)) in keys.iter().zip(tamperings()) {
        change_table(&client, &inbox, key, column, &value).await;
    }
    assert_all_are_found(&verify_stored(&folder, Some(&inbox)), &keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_no_version_writes_is_never_passed_over() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let file = folder.path().join("pillarbox.db");
    let inbox = SqliteInbox::create(&file).unwrap();
    let maker = EvidenceMaker {
        inbox: &inbox,
        pay_secret: PAY_SECRET,
        now: SystemClock.now(),
    };
    let key = maker.row(RowLife::Delivered, 1).await;
    drop(inbox);
    for (column, value, honest) in [
        (
            "state",
            StoredValue::Text("lost"),
            StoredValue::Text("delivered"),
        ),
        (
            "origin",
            StoredValue::Text("mail"),
            StoredValue::Text("push"),
        ),
        (
            "kind",
            StoredValue::Text("dwp"),
            StoredValue::Text("govuk-pay"),
        ),
        ("attempts", StoredValue::Number(-1), StoredValue::Number(1)),
        (
            "pk",
            StoredValue::Text("no key"),
            StoredValue::Text("pay:m1"),
        ),
    ] {
        let db = Connection::open(&file).unwrap();
        let changed = |now: &str, value: &StoredValue| {
            let sql = format!("UPDATE notification SET {column} = ?2 WHERE pk = ?1");
            assert_eq!(db.execute(&sql, params![now, in_file(value)]).unwrap(), 1);
        };
        changed(key.as_str(), &value);
        let ran = verify_stored(&folder, None);
        assert_eq!(ran.code, 1, "{column}: {ran:?}");
        let now = if column == "pk" {
            "no key"
        } else {
            key.as_str()
        };
        changed(now, &honest);
    }
    assert_eq!(verify_stored(&folder, None).code, 0);
}
