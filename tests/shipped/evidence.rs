//! `verify --stored` against an inbox that was changed behind the product's back, and against
//! honest ones: every change to one attribute is found, and no honest row is called broken.
//!
//! `PILLARBOX_HONEST_ROWS` raises the number of honest rows.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use bytes::Bytes;
use futures_util::future::join_all;
use pillarbox::{
    aws::AwsService,
    domain::{Clock, Key, SourceName, SystemClock, Timestamp},
    inbox::{
        Claim, DiscardRequest, Discarded, Fence, Inbox, Lease, LeaseId, Mark, Recorded,
        dynamodb::DynamoInbox,
    },
    secrets::Secret,
    senders::{Acceptance, Entry, SenderKind, SigningKey, example, read, verify},
};
use pillarbox_cli::sqlite::SqliteInbox;
use rusqlite::{Connection, params, types::Value};
use sender_simulator::{Sender, signature};

use test_support::{
    process::{BOTH_SOURCES, Folder, HMRC_SECRET, PAY_SECRET, Ran},
    table,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const OTHER_SECRET: &str = "webhook_test_another0another0another0";

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Pay: nothing yet.
    Recorded,
    /// HMRC: an attempt is under way.
    Leased,
    /// HMRC: an attempt failed.
    Retried,
    /// Pay.
    Delivered,
    /// Pay: under a second id.
    Repeat,
    /// HMRC.
    Dead,
    /// Pay: no JSON.
    Unreadable,
    /// Pay: other content under a known id.
    Conflict,
    /// Pay: dated too long ago.
    Stale,
    /// Pay: a stale one that a person replayed.
    Replayed,
    /// HMRC, from dead.
    Discarded,
    /// Pay, from recorded.
    Erased,
    /// HMRC: listed and delivered.
    Pulled,
    /// Pay: requested.
    Observed,
    /// HMRC: a body that is not in its row.
    Long,
    /// HMRC: sent in another form than it was signed in.
    Rewritten,
    /// The same, and no JSON.
    RewrittenUnreadable,
}

impl Life {
    const ALL: [Self; 17] = [
        Self::Recorded,
        Self::Leased,
        Self::Retried,
        Self::Delivered,
        Self::Repeat,
        Self::Dead,
        Self::Unreadable,
        Self::Conflict,
        Self::Stale,
        Self::Replayed,
        Self::Discarded,
        Self::Erased,
        Self::Pulled,
        Self::Observed,
        Self::Long,
        Self::Rewritten,
        Self::RewrittenUnreadable,
    ];
}

/// A value as it is stored.
#[derive(Clone, Debug)]
enum Stored {
    Text(&'static str),
    Number(i64),
    /// A time in milliseconds; DynamoDB stores expiries in seconds.
    Time(i64),
    Bytes(Vec<u8>),
    Nothing,
}

const FAR: i64 = 99_000_000_000_000;

/// Changes to one attribute of one row, each of which is tampering.
fn tamperings() -> Vec<(Life, &'static str, Stored)> {
    use Life::*;
    use Stored::*;
    let digest = || Bytes(vec![7; 32]);
    let fingerprint = || Bytes(vec![7; 8]);
    let hmac = "3f9a000000000000000000000000000000000000000000000000000000000000";
    vec![
        // The bytes, and what is derived from them.
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

fn pay_body(id: &str, payment: &str, at: Timestamp) -> String {
    let ids = format!(r#""webhook_message_id":"{id}","resource_id":"{payment}""#);
    let event = format!(r#""created_date":"{at}","event_type":"card_payment_succeeded""#);
    format!(r#"{{{ids},{event},"resource":{{"amount":5000}}}}"#)
}

fn hmrc_body(id: &str, message: &str, at: Timestamp) -> String {
    let ids = format!(r#""notificationId":"{id}","boxId":"50dca3fc","createdDateTime":"{at}""#);
    let content = format!(r#""messageContentType":"application/json","message":"{message}""#);
    format!(r#"{{{ids},{content},"status":"PENDING"}}"#)
}

/// An entry as receiving makes it.
fn entry(sender: Sender, secret: &str, body: String, now: Timestamp) -> Entry {
    rewritten(sender, secret, body.clone(), body, now)
}

/// An entry of a body that was sent in another form than it was signed in.
fn rewritten(sender: Sender, secret: &str, signed: String, body: String, now: Timestamp) -> Entry {
    let (kind, name, variable) = match sender {
        Sender::Hmrc => (SenderKind::HMRC, "hmrc", "HMRC_PUSH_SECRET"),
        Sender::GovukPay => (SenderKind::GOVUK_PAY, "pay", "PAY_SIGNING_SECRET"),
    };
    let body = Bytes::from(body);
    let signature = signature::sign(sender, secret, signed.as_bytes());
    let label = format!("1:env:{variable}");
    let key = SigningKey::new(kind, label, &Secret::new(secret.to_owned()));
    let verified = verify(kind, &[key], &[signature.as_bytes()], body, now).unwrap();
    let window = Acceptance(60 * DAY);
    read(&SourceName::new(name).unwrap(), verified, now, window)
}

/// A number that no text compresses.
fn noise(seed: usize, digits: usize) -> String {
    let mut state = seed as u64 + 1;
    let mut digit = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{:016x}", state ^ (state >> 29))
    };
    let mut text = String::new();
    while text.len() < digits {
        text += &digit();
    }
    text
}

struct Maker<'a, I> {
    inbox: &'a I,
    pay_secret: &'a str,
    now: Timestamp,
}

impl<I: Inbox> Maker<'_, I> {
    async fn claimed(&self, key: &Key) -> Fence {
        let lease = Lease {
            id: LeaseId(1),
            until: self.now.plus(Duration::from_secs(150)),
        };
        let claim = Claim {
            now: self.now,
            lease,
            first_backoff: Duration::from_secs(5),
        };
        self.inbox.claim(key, &claim).await.unwrap().unwrap().1
    }

    async fn mark(&self, key: &Key, mark: Mark) {
        let fence = self.claimed(key).await;
        self.inbox.mark(&fence, &mark).await.unwrap();
    }

    async fn deliver(&self, key: &Key) {
        let expires_at = self.now.plus(90 * DAY);
        self.mark(key, Mark::Delivered { expires_at }).await;
    }

    async fn kill(&self, key: &Key) {
        let mark = Mark::Dead {
            reason: "refused".to_owned(),
            error: "refused: https: status 422".to_owned(),
            at: self.now,
        };
        self.mark(key, mark).await;
    }

    async fn discard(&self, key: &Key, erase: bool) {
        let request = DiscardRequest {
            erase,
            now: self.now,
            expires_at: self.now.plus(90 * DAY),
        };
        let discarded = self.inbox.discard(key, &request).await.unwrap();
        assert_eq!(discarded, Discarded::Done);
    }

    /// Stores a row and lets it live.
    async fn row(&self, life: Life, number: usize) -> Key {
        let now = self.now;
        let (id, payment) = (format!("m{number}"), format!("p{number}"));
        let pay = |body| entry(Sender::GovukPay, self.pay_secret, body, now);
        let hmrc = |message: &str| {
            let body = hmrc_body(&format!("n{number}"), message, now);
            entry(Sender::Hmrc, HMRC_SECRET, body, now)
        };
        let escaped = |signed: String| {
            let sent = signed.replace('\u{1F600}', "\\uD83D\\uDE00");
            rewritten(Sender::Hmrc, HMRC_SECRET, signed, sent, now)
        };
        let entry = match life {
            Life::Rewritten => escaped(hmrc_body(&format!("n{number}"), "\u{1F600}", now)),
            Life::RewrittenUnreadable => escaped(format!("\u{1F600} {number}")),
            Life::Leased | Life::Retried | Life::Dead | Life::Discarded => hmrc("[1]"),
            Life::Long => hmrc(&noise(number, 40_000)),
            Life::Unreadable => pay(format!("no JSON {number}")),
            Life::Stale | Life::Replayed => pay(pay_body(&id, &payment, now.minus(70 * DAY))),
            Life::Pulled => example::hmrc_pulled(&format!("n{number}"), "[1]"),
            Life::Observed => example::observed(&payment),
            _ => pay(pay_body(&id, &payment, now)),
        };
        let key = entry.key.clone();
        assert_eq!(self.inbox.record(&entry).await.unwrap(), Recorded::First);
        match life {
            Life::Recorded
            | Life::Unreadable
            | Life::Stale
            | Life::Observed
            | Life::Rewritten
            | Life::RewrittenUnreadable => {}
            Life::Leased => drop(self.claimed(&key).await),
            Life::Retried => {
                let mark = Mark::Retry {
                    due_at: now.plus(Duration::from_secs(3_600)),
                    error: "https: status 503".to_owned(),
                };
                self.mark(&key, mark).await;
            }
            Life::Delivered | Life::Pulled | Life::Long => self.deliver(&key).await,
            Life::Dead => self.kill(&key).await,
            Life::Replayed => {
                self.inbox.replay(&key, now.plus(DAY)).await.unwrap();
            }
            Life::Discarded => {
                self.kill(&key).await;
                self.discard(&key, false).await;
            }
            Life::Erased => {
                self.discard(&key, true).await;
            }
            Life::Conflict => {
                let other = pay(pay_body(&id, "another", now));
                let recorded = self.inbox.record(&other).await.unwrap();
                let Recorded::Conflict(conflict) = recorded else {
                    panic!("{recorded:?}");
                };
                return conflict;
            }
            Life::Repeat => {
                let second = pay(pay_body(&format!("{id}-again"), &payment, now));
                self.inbox.record(&second).await.unwrap();
                let of = key.clone();
                let expires_at = now.plus(90 * DAY);
                self.mark(&second.key, Mark::Repeat { of, expires_at })
                    .await;
                return second.key;
            }
        }
        key
    }
}

/// The keys of a row for each tampering, each before and after.
async fn rows(inbox: &impl Inbox) -> Vec<Key> {
    let maker = Maker {
        inbox,
        pay_secret: PAY_SECRET,
        now: SystemClock.now(),
    };
    let mut keys = Vec::new();
    for (number, (life, ..)) in tamperings().into_iter().enumerate() {
        keys.push(maker.row(life, number).await);
    }
    keys
}

/// The key of a row after a change to it.
fn key_after(key: &Key, column: &str, value: &Stored) -> String {
    match value {
        Stored::Text(text) if column == "pk" => (*text).to_owned(),
        _ => key.to_string(),
    }
}

fn verify_stored(folder: &Folder, table: Option<&DynamoInbox>) -> Ran {
    let inbox = table.map(|table| format!("dynamodb:{}", table.table()));
    let mut arguments = vec!["verify", "--stored"];
    arguments.extend(inbox.iter().flat_map(|inbox| ["--inbox", inbox.as_str()]));
    Ran::of(folder.command(&arguments).envs(table::variables()))
}

/// The keys of the rows that are called broken.
fn broken(ran: &Ran) -> Vec<String> {
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
fn assert_all_are_found(ran: &Ran, keys: &[Key]) {
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

fn in_file(value: &Stored) -> Value {
    match value {
        Stored::Text(text) => Value::Text((*text).to_owned()),
        Stored::Number(number) | Stored::Time(number) => Value::Integer(*number),
        Stored::Bytes(bytes) => Value::Blob(bytes.clone()),
        Stored::Nothing => Value::Null,
    }
}

fn change_file(db: &Connection, key: &Key, column: &str, value: &Stored) {
    let (key, new) = (key.as_str(), in_file(value));
    let of_row = "(SELECT id FROM notification WHERE pk = ?1)";
    let changed = match (column, value) {
        ("part", Stored::Nothing) => db.execute(
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
    let folder = Folder::with(BOTH_SOURCES);
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

fn in_table(column: &str, value: &Stored) -> AttributeValue {
    match value {
        Stored::Text(text) => AttributeValue::S((*text).to_owned()),
        Stored::Time(at) if column == "expires_at" => AttributeValue::N((at / 1_000).to_string()),
        Stored::Number(number) | Stored::Time(number) => AttributeValue::N(number.to_string()),
        Stored::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
        Stored::Nothing => AttributeValue::Null(true),
    }
}

async fn change_table(
    client: &Client,
    table: &DynamoInbox,
    key: &Key,
    column: &str,
    value: &Stored,
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
        Stored::Nothing => update.update_expression("REMOVE #name"),
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
    let folder = Folder::with(BOTH_SOURCES);
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
    let folder = Folder::with(BOTH_SOURCES);
    let file = folder.path().join("pillarbox.db");
    let inbox = SqliteInbox::create(&file).unwrap();
    let maker = Maker {
        inbox: &inbox,
        pay_secret: PAY_SECRET,
        now: SystemClock.now(),
    };
    let key = maker.row(Life::Delivered, 1).await;
    drop(inbox);
    for (column, value, honest) in [
        ("state", Stored::Text("lost"), Stored::Text("delivered")),
        ("origin", Stored::Text("mail"), Stored::Text("push")),
        ("kind", Stored::Text("dwp"), Stored::Text("govuk-pay")),
        ("attempts", Stored::Number(-1), Stored::Number(1)),
        ("pk", Stored::Text("no key"), Stored::Text("pay:m1")),
    ] {
        let db = Connection::open(&file).unwrap();
        let changed = |now: &str, value: &Stored| {
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

#[expect(
    clippy::disallowed_methods,
    reason = "a person who runs the tests says how many"
)]
fn honest_rows() -> usize {
    let rows = std::env::var("PILLARBOX_HONEST_ROWS").ok();
    rows.and_then(|rows| rows.parse().ok()).unwrap_or(600)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_honest_row_is_called_broken_and_a_rotated_secret_is_no_tampering() {
    let folder = Folder::with(BOTH_SOURCES);
    let inbox = SqliteInbox::create(&folder.path().join("pillarbox.db")).unwrap();
    let now = SystemClock.now();
    let makers = [PAY_SECRET, OTHER_SECRET].map(|pay_secret| Maker {
        inbox: &inbox,
        pay_secret,
        now,
    });
    let numbers: Vec<usize> = (0..honest_rows()).collect();
    for chunk in numbers.chunks(500) {
        let lives = chunk.iter().map(|number| {
            let life = Life::ALL[number % Life::ALL.len()];
            makers[number / Life::ALL.len() % 2].row(life, *number)
        });
        join_all(lives).await;
    }
    drop(inbox);
    let ran = verify_stored(&folder, None);
    assert_eq!((ran.code, broken(&ran)), (0, vec![]), "{}", ran.stdout);
    assert!(ran.stdout.contains(", 0 broken"), "{}", ran.stdout);
    let rotated = "signed with a secret that is not here";
    let lines = ran.stderr.lines().filter(|line| line.contains(rotated));
    let count = lines.count();
    assert!(count > honest_rows() / 5, "{count}");
    assert!(
        ran.stdout.contains(&format!("{count} {rotated}")),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_fingerprint_is_proved_by_its_signature_and_its_secret_s_name() {
    let folder = Folder::with(BOTH_SOURCES);
    let file = folder.path().join("pillarbox.db");
    let inbox = SqliteInbox::create(&file).unwrap();
    let now = SystemClock.now();
    for (number, pay_secret) in [PAY_SECRET, OTHER_SECRET].into_iter().enumerate() {
        let maker = Maker {
            inbox: &inbox,
            pay_secret,
            now,
        };
        maker.row(Life::Delivered, number).await;
    }
    drop(inbox);
    let db = Connection::open(&file).unwrap();
    db.execute("UPDATE notification SET secret_fingerprint = NULL", [])
        .unwrap();
    drop(db);
    let ran = verify_stored(&folder, None);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(broken(&ran), ["pay:m1"], "{ran:?}");
    assert!(
        ran.stderr.contains("holds another secret now"),
        "{}",
        ran.stderr
    );
}
