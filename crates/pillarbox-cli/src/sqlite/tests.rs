//! Tests of what only this inbox has: its file, and a disk that fails.

use std::{ops::Deref, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use pillarbox::{
    domain::State,
    inbox::{DeliveryHistory, DiscardRequest, SourceFilter},
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

/// An inbox in a temporary folder.
struct TempInbox {
    inbox: SqliteInbox,
    folder: TempDir,
}

impl TempInbox {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            inbox: SqliteInbox::create(&folder.path().join("inbox.db")).unwrap(),
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("inbox.db")
    }
}

impl Deref for TempInbox {
    type Target = SqliteInbox;
    fn deref(&self) -> &SqliteInbox {
        &self.inbox
    }
}

mod keeps_the_contract {
    use super::*;
    pillarbox::inbox_contract!(TempInbox::new());
}

fn paid(id: &str) -> Entry {
    pay(id, "payment", "card_payment_succeeded", NOW)
}

/// The summary at `now`, with counts up to 10,000.
async fn summary(inbox: &SqliteInbox, now: Timestamp) -> InboxSummary {
    let request = SummaryRequest {
        overdue_before: now,
        expired_before: now,
        limit: 10_000,
    };
    inbox.summary(&request).await.unwrap()
}

/// A notification of a payment with a reference.
fn of_reference(id: &str, payment: &str, reference: &str) -> Entry {
    let body = format!(
        "{{\"webhook_message_id\":\"{id}\",\"created_date\":\"{NOW}\",\
         \"resource_id\":\"{payment}\",\"event_type\":\"card_payment_captured\",\
         \"resource\":{{\"amount\":5000,\"reference\":\"{reference}\"}}}}"
    );
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

/// The ids of the rows, and the payments.
async fn found(inbox: &SqliteInbox, text: &str) -> (Vec<String>, Vec<String>) {
    let sources = ["pay", "hmrc"].map(|name| SourceName::new(name).unwrap());
    let found = inbox.find(text, &sources).await.unwrap();
    let payments = found.payments.into_iter().map(|(_, payment)| payment);
    let ids = found.keys.iter().map(|key| key.encoded_id().to_owned());
    (ids.collect(), payments.collect())
}

#[tokio::test]
async fn a_row_is_found_by_its_payment_its_reference_its_id_or_its_box() {
    let fresh = TempInbox::new();
    for entry in [
        of_reference("m1", "payment-1", "ORDER 7"),
        of_reference("m2", "payment-2", "order 8"),
        hmrc("n1", "{}"),
    ] {
        fresh.record(&entry).await.unwrap();
    }
    for (text, ids, payments) in [
        ("payment-1", &[][..], &["payment-1"][..]),
        ("payment", &[], &["payment-1", "payment-2"]),
        ("order 7", &["m1"], &[]),
        (" Order 8 ", &["m2"], &[]),
        ("order", &[], &[]),
        ("m1", &["m1"], &[]),
        ("n1", &["n1"], &[]),
        ("50dca", &["n1"], &[]),
        ("%", &[], &[]),
        ("payment-1'", &[], &[]),
    ] {
        let (found_ids, found_payments) = found(&fresh, text).await;
        assert_eq!(
            (&found_ids[..], &found_payments[..]),
            (ids_of(ids).as_slice(), ids_of(payments).as_slice()),
            "{text}"
        );
    }
    let pay = SourceName::new("pay").unwrap();
    let keys = fresh.payment_keys(&pay, "payment-1").await.unwrap();
    assert_eq!(keys, [of_reference("m1", "payment-1", "").key]);
}

fn ids_of(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// The reference is nowhere in the file in clear, since a body is compressed; and erasing a
/// notification erases its digest.
#[tokio::test]
async fn a_reference_is_kept_as_a_digest_that_goes_with_the_bytes() {
    let fresh = TempInbox::new();
    let reference = "a reference that names a person";
    let entry = of_reference("m1", "payment-1", reference);
    fresh.record(&entry).await.unwrap();
    assert_eq!(found(&fresh, reference).await.0, ["m1"]);
    let discard = DiscardRequest {
        erase: true,
        now: NOW,
        expires_at: NOW.plus(Duration::from_secs(1)),
    };
    fresh.discard(&entry.key, &discard).await.unwrap();
    assert_eq!(found(&fresh, reference).await.0, [""; 0]);
    let digests = fresh.read(|db| {
        let sql = "SELECT count(reference) FROM notification";
        Ok(db.query_row(sql, [], |row| row.get::<_, u32>(0))?)
    });
    assert_eq!(digests.await.unwrap(), 0);
}

#[tokio::test]
async fn an_imported_row_is_found_by_its_reference() {
    let (from, to) = (TempInbox::new(), TempInbox::new());
    let entry = of_reference("m1", "payment-1", "order 7");
    from.record(&entry).await.unwrap();
    let row = from.get(&entry.key).await.unwrap().unwrap();
    to.import(&row).await.unwrap();
    assert_eq!(found(&to, "order 7").await.0, ["m1"]);
}

#[tokio::test]
async fn rows_from_before_there_were_digests_get_theirs_newest_first() {
    let fresh = TempInbox::new();
    for nth in 0..600 {
        let id = format!("m{nth}");
        let entry = of_reference(&id, &format!("p{nth}"), &format!("order {nth}"));
        fresh.record(&entry).await.unwrap();
    }
    let forget = fresh.change(WritePriority::Background, |db| {
        db.execute_batch(
            "UPDATE notification SET reference = NULL;
             UPDATE reference_key SET below = (SELECT max(id) + 1 FROM notification);",
        )?;
        Ok(())
    });
    forget.await.unwrap();
    let sources = [SourceName::new("pay").unwrap()];
    let before = fresh.find("order 7", &sources).await.unwrap();
    assert!(before.keys.is_empty() && before.is_incomplete, "{before:?}");
    fresh.index_references().await.unwrap();
    let after = fresh.find("order 7", &sources).await.unwrap();
    assert_eq!(after.keys, [of_reference("m7", "", "").key]);
    assert!(!after.is_incomplete);
}

/// Fills a file with as many rows as `PILLARBOX_TEST_ROWS` says, and prints how long a summary and
/// each search take. `PILLARBOX_TEST_FILE` keeps the file, for the commands.
#[expect(
    clippy::disallowed_methods,
    reason = "the length of a measurement is given from outside, and it is timed by the wall clock"
)]
#[tokio::test]
async fn a_summary_and_a_search_read_a_bounded_part_of_a_file_of_any_length() {
    let rows = std::env::var("PILLARBOX_TEST_ROWS").ok();
    let rows: u32 = rows.map_or(20_000, |rows| rows.parse().unwrap());
    let fresh = TempInbox::new();
    let kept = std::env::var_os("PILLARBOX_TEST_FILE").map(PathBuf::from);
    let inbox = match &kept {
        Some(file) => SqliteInbox::create(file).unwrap(),
        None => SqliteInbox::create(&fresh.file()).unwrap(),
    };
    let fill = inbox.change(WritePriority::Background, move |db| {
        // Of a hundred rows one is dead, five are open, and two are of a box.
        db.execute_batch(&format!(
            "CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS
                 (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
                 SELECT n, lower(hex(randomblob(13))) AS id, lower(hex(randomblob(13))) AS payment \
             FROM n;
             INSERT INTO notification (pk, v, state, attempts, budget_from, shelf, due_at, \
             expires_at, origin, event_type, subject, event_at, received_at, digest, \
             content_digest, deflated, kind, reference, body)
                 SELECT iif(n % 100 > 97, 'hmrc:', 'pay:') || id, 1,
                     CASE WHEN n % 100 = 0 THEN 'dead' WHEN n % 100 < 6 THEN 'recorded' ELSE \
             'delivered' END,
                     1, n, CASE WHEN n % 100 = 0 THEN 'dead:0' WHEN n % 100 < 6 THEN 'open:0' END,
                     iif(n % 100 < 6, n, NULL), iif(n % 100 < 6, NULL, 4000000000000 + n), 'push',
                     'card_payment_captured', iif(n % 100 > 97, '50dca3fc', payment), n, n,
                     zeroblob(32), zeroblob(32), 0, iif(n % 100 > 97, 'hmrc', 'govuk-pay'),
                     iif(n % 100 > 97, NULL, randomblob(12)), randomblob(700) FROM many;
             INSERT INTO subject SELECT 'pay', payment, 'card_payment_captured|' || n, 'pay:' || \
             id, 4000000000000 + n FROM many WHERE n % 100 BETWEEN 6 AND 97;"
        ))?;
        let sql = "SELECT id, payment FROM many WHERE n % 100 = 50 ORDER BY n DESC LIMIT 1";
        Ok(db.query_row(sql, [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?)
    });
    let (id, payment) = fill.await.unwrap();
    inbox
        .record(&of_reference("m1", "payment-1", "order 7"))
        .await
        .unwrap();

    let begun = std::time::Instant::now();
    let read = summary(&inbox, NOW).await;
    println!("{rows} rows: a summary took {:?}", begun.elapsed());
    assert_eq!(read.open.has_more, rows / 100 * 5 > 10_000);
    for (text, ids, payments) in [
        (payment.as_str(), vec![], vec![payment.as_str()]),
        (&payment[..12], vec![], vec![&payment]),
        (&id, vec![id.as_str()], vec![]),
        ("order 7", vec!["m1"], vec![]),
    ] {
        let begun = std::time::Instant::now();
        let (found_ids, found_payments) = found(&inbox, text).await;
        println!("a search took {:?}", begun.elapsed());
        assert_eq!(found_ids, ids_of(&ids));
        assert_eq!(found_payments, ids_of(&payments));
    }
    let begun = std::time::Instant::now();
    assert_eq!(
        found(&inbox, "50dca").await.0.len(),
        20,
        "the newest of the box"
    );
    println!("a search of a box took {:?}", begun.elapsed());
}

/// An index that covers the query is read alone, however long the rows are.
#[tokio::test]
async fn a_summary_counts_rows_without_reading_them() {
    let fresh = TempInbox::new();
    let plans = fresh.read(|db| {
        let plan = |sql: &str| {
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut steps = explain.raw_query(); // no parameter is bound
            let step = steps.next()?.expect("a step of the plan");
            step.get::<_, String>(3)
        };
        let states = summary::COUNTING.map(plan);
        Ok(states.into_iter().collect::<Result<Vec<_>, _>>()?)
    });
    for plan in plans.await.unwrap() {
        assert!(plan.contains("USING COVERING INDEX"), "{plan}");
    }
}

#[tokio::test]
async fn a_reopened_file_has_every_row_and_is_migrated_once() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    for _ in 0..2 {
        let again = SqliteInbox::open(&fresh.file()).unwrap();
        assert_eq!(
            again.record(&paid("m1")).await.unwrap(),
            Recorded::Duplicate
        );
    }
}

/// A file of an older schema with the row of `entry`, which was attempted six times.
fn file_of_schema(version: u32, entry: &Entry) -> (PathBuf, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let db = Connection::open(&file).unwrap();
    schema::create_at(&db, version).unwrap();
    db.execute(
        "INSERT INTO notification (pk, v, state, attempts, budget_from, shelf, due_at, origin, \
         event_type, received_at, digest, content_digest, last_error, deflated, body)
         VALUES (?1, 1, 'recorded', 6, 0, 'open:0', 0, 'push', ?2, 0, ?3, ?4, \
         'https: status 503', 0, ?5)",
        rusqlite::params![
            entry.key.as_str(),
            entry.event_type,
            entry.digest,
            entry.content_digest,
            &entry.body[..]
        ],
    )
    .unwrap();
    (file, folder)
}

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_its_rows_and_learns_to_keep_memos() {
    let (file, _folder) = file_of_schema(1, &paid("m1"));
    let inbox = SqliteInbox::open(&file).unwrap();
    assert_eq!(
        inbox.record(&paid("m1")).await.unwrap(),
        Recorded::Duplicate
    );
    let entry = KvEntry {
        version: 1,
        text: "kept".into(),
    };
    assert_eq!(
        inbox
            .compare_and_swap(&KvKey::new("lock", "pay"), None, &entry)
            .await
            .unwrap(),
        CasOutcome::Stored
    );
}

#[tokio::test]
async fn rows_of_the_schema_before_histories_are_read_and_replayed() {
    let entry = paid("m1");
    let (file, _folder) = file_of_schema(4, &entry);
    let inbox = SqliteInbox::open(&file).unwrap();
    let key = entry.key;
    let row = inbox.get(&key).await.unwrap().unwrap();
    assert_eq!(row.history, DeliveryHistory::default());
    assert_eq!((row.attempts, row.full_history(NOW)), (6, Vec::new()));
    assert_eq!(row.last_error.as_deref(), Some("https: status 503"));

    inbox.replay(&key, NOW).await.unwrap();
    let row = inbox.get(&key).await.unwrap().unwrap();
    assert_eq!((row.history.replays, row.attempts), (1, 0));
}

#[tokio::test]
async fn keys_are_found_by_how_they_begin() {
    let fresh = TempInbox::new();
    for id in ["5s1k7c", "5s1k8d", "5s", "6~x"] {
        fresh.record(&paid(id)).await.unwrap();
    }
    for (prefix, limit, expected) in [
        ("pay:5s1k", 9, "pay:5s1k7c pay:5s1k8d"),
        ("pay:5s1k7c", 9, "pay:5s1k7c"),
        ("pay:5s", 2, "pay:5s pay:5s1k7c"),
        ("pay:6%7E", 9, "pay:6%7Ex"),
        ("pa", 9, "pay:5s pay:5s1k7c pay:5s1k8d pay:6%7Ex"),
        ("pay:%", 9, ""),
        ("hmrc:5s1k", 9, ""),
    ] {
        let found = fresh.keys_with_prefix(prefix, limit).await.unwrap();
        let found: Vec<_> = found.iter().map(Key::as_str).collect();
        assert_eq!(found.join(" "), expected, "{prefix}");
    }
}

/// A copy of the file of an inbox with one row, in another folder.
async fn copied_inbox() -> (PathBuf, TempDir) {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let (file, folder) = (fresh.file(), TempDir::new().unwrap());
    drop(fresh.inbox);
    let copy = folder.path().join("a copy? 50%.db");
    std::fs::copy(file, &copy).unwrap();
    (copy, folder)
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn reading_a_copy_writes_neither_to_it_nor_beside_it() {
    let (copy, folder) = copied_inbox().await;
    let before = std::fs::read(&copy).unwrap();
    let inbox = SqliteInbox::open_read_only(&copy).unwrap();
    assert!(inbox.get(&paid("m1").key).await.unwrap().is_some());
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(9)).await.unwrap();
    assert_eq!(listed.rows.len(), 1);
    assert_eq!(summary(&inbox, NOW).await.open.rows, 1);
    let found = inbox.inspect().await.unwrap();
    assert_eq!(
        (found.faults.len(), found.journal_mode.as_str()),
        (0, "wal")
    );
    assert_eq!(files(&folder), ["a copy? 50%.db"], "while it is open");
    assert!(inbox.record(&paid("m2")).await.is_err());
    drop(inbox);
    assert_eq!(files(&folder), ["a copy? 50%.db"]);
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[tokio::test]
async fn a_reader_sees_what_is_only_in_the_log_and_leaves_it_there() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let log = fresh.folder.path().join("inbox.db-wal");
    let before = std::fs::read(&log).unwrap();
    let reader = SqliteInbox::open_read_only(&fresh.file()).unwrap();
    assert!(reader.get(&paid("m1").key).await.unwrap().is_some());
    drop(reader);
    assert_eq!(std::fs::read(&log).unwrap(), before);
}

#[tokio::test]
async fn a_reader_follows_a_process_that_opens_the_file_later() {
    let (copy, _folder) = copied_inbox().await;
    let reader = SqliteInbox::open_read_only(&copy).unwrap();
    assert!(reader.get(&paid("m2").key).await.unwrap().is_none());
    let writer = SqliteInbox::open(&copy).unwrap();
    writer.record(&paid("m2")).await.unwrap();
    assert!(reader.get(&paid("m2").key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_query_during_which_another_process_opens_the_file_has_no_result() {
    let (copy, _folder) = copied_inbox().await;
    let reader = SqliteInbox::open_read_only(&copy).unwrap();
    let opens = move |_: &Connection| {
        std::mem::forget(SqliteInbox::open(&copy)?);
        Ok(())
    };
    let error = reader.read(opens).await.unwrap_err().to_string();
    assert!(error.contains("run the command again"), "{error}");
}

#[tokio::test]
async fn a_reader_migrates_nothing() {
    let (copy, _folder) = copied_inbox().await;
    let older = schema::LATEST - 1;
    let set = |version: u32| {
        let db = Connection::open(&copy).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
    };
    set(older);
    let error = SqliteInbox::open_read_only(&copy).err().unwrap();
    assert!(
        error.to_string().contains("`pillarbox inbox init`"),
        "{error}"
    );
    let version = schema::version(&Connection::open(&copy).unwrap()).unwrap();
    assert_eq!(version, older);
    set(schema::LATEST + 1);
    let error = SqliteInbox::open_read_only(&copy).err().unwrap();
    assert!(error.to_string().contains("newer Pillarbox"), "{error}");
}

#[tokio::test]
async fn a_backup_has_everything_acknowledged_before_it_while_the_inbox_changes() {
    let fresh = Arc::new(TempInbox::new());
    for n in 0..50 {
        fresh.record(&paid(&format!("before{n}"))).await.unwrap();
    }
    let long = pillarbox::senders::example::hmrc(
        "long",
        &(0..40_000u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_string())
            .collect::<String>(),
    );
    fresh.record(&long).await.unwrap();
    let (stop, busy) = (
        tokio_util::sync::CancellationToken::new(),
        Arc::clone(&fresh),
    );
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.is_cancelled() {
            busy.record(&paid(&format!("during{count}"))).await.unwrap();
            count += 1;
        }
        count
    });
    let target = fresh.folder.path().join("copy.db");
    let reader = SqliteInbox::open_read_only(&fresh.file()).unwrap();
    let rows = reader.backup(&target).await.unwrap();
    stop.cancel();
    assert!(writing.await.unwrap() > 0);

    assert!(rows >= 51, "{rows}");
    let copy = SqliteInbox::open_read_only(&target).unwrap();
    for n in 0..50 {
        let row = copy.get(&paid(&format!("before{n}")).key).await.unwrap();
        assert!(row.unwrap().proven_body().is_ok());
    }
    let row = copy.get(&long.key).await.unwrap().unwrap();
    assert_eq!(row.proven_body().unwrap(), &long.body);
    let found = copy.inspect().await.unwrap();
    assert_eq!(
        (found.faults.len(), found.journal_mode.as_str()),
        (0, "wal")
    );
    drop(copy);

    let restored = SqliteInbox::open(&target).unwrap();
    let again = restored.record(&paid("before7")).await.unwrap();
    assert_eq!(again, Recorded::Duplicate);
    assert_eq!(
        restored.record(&paid("new")).await.unwrap(),
        Recorded::First
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_for_its_owner_alone_overwrites_nothing_and_leaves_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let (copy, folder) = copied_inbox().await;
    let (inbox, target) = (
        SqliteInbox::open_read_only(&copy).unwrap(),
        folder.path().join("b.db"),
    );
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = folder.path().join(format!("b.db.partial{suffix}"));
        std::fs::write(left, "of a killed backup").unwrap();
    }
    assert_eq!(inbox.backup(&target).await.unwrap(), 1);
    let mode = std::fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&target).unwrap();
    let error = inbox.backup(&target).await.unwrap_err().to_string();
    assert!(error.contains("overwrites nothing"), "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), before);
    let nowhere = folder.path().join("nowhere").join("b.db");
    let error = inbox.backup(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
    assert_eq!(files(&folder).len(), 2, "{:?}", files(&folder));
}

#[tokio::test]
async fn a_failed_backup_leaves_no_file() {
    let (copy, folder) = copied_inbox().await;
    Connection::open(&copy)
        .unwrap()
        .execute_batch("DROP TABLE notification; CREATE TABLE other (a)")
        .unwrap();
    let inbox = SqliteInbox::open_read_only(&copy).unwrap();
    assert!(inbox.backup(&folder.path().join("b.db")).await.is_err());
    assert_eq!(files(&folder), ["a copy? 50%.db"]);
}

#[tokio::test]
async fn the_file_is_kept_so_that_a_commit_survives_a_power_cut() {
    const FULL: i64 = 2;
    let fresh = TempInbox::new();
    let writes = connection::open(&fresh.file()).unwrap();
    let flushes = writes.pragma_query_value(None, "synchronous", |row| row.get(0));
    assert_eq!(flushes, Ok(FULL));
    let found = fresh.inspect().await.unwrap();
    assert_eq!(found.journal_mode, "wal");
    assert_eq!((found.schema, found.faults.len()), (schema::LATEST, 0));
    let version: Vec<u32> = found
        .sqlite
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(
        version >= vec![3, 51, 3],
        "older ones can corrupt a WAL: {version:?}"
    );
}

#[tokio::test]
async fn a_file_of_a_later_schema_is_refused_and_left_alone() {
    let fresh = TempInbox::new();
    let file = fresh.file();
    drop(fresh.inbox);
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = SqliteInbox::open(&file).err().unwrap().to_string();
    assert!(
        error.contains("schema 99") && error.contains("newer Pillarbox"),
        "{error}"
    );
}

#[tokio::test]
async fn a_row_of_a_later_version_is_refused_and_left_alone() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    Connection::open(fresh.file())
        .unwrap()
        .execute("UPDATE notification SET v = 2", [])
        .unwrap();

    let error = fresh.get(&entry.key).await.unwrap_err();
    assert!(
        matches!(error, InboxError::NewerRow { found: 2, .. }),
        "{error}"
    );
    assert_eq!(
        fresh
            .find_due(&SourceFilter::ALL, NOW.plus(Duration::from_secs(60)), 10)
            .await
            .unwrap(),
        []
    );
    let error = fresh.replay(&entry.key, NOW).await.unwrap_err();
    assert!(
        matches!(error, InboxError::NewerRow { found: 2, .. }),
        "{error}"
    );
    assert_eq!(
        fresh.record(&entry).await.unwrap(),
        Recorded::Duplicate,
        "it is stored, whoever stored it"
    );
}

#[tokio::test]
async fn a_locked_file_refuses_until_it_is_free_again() {
    let fresh = TempInbox::new();
    let other = Connection::open(fresh.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fresh.record(&paid("m1")).await.unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(fresh.record(&paid("m1")).await.unwrap(), Recorded::First);
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_when_there_is_room() {
    let fresh = TempInbox::new();
    let limit = |pages: u32| {
        fresh.change(WritePriority::Interactive, move |db| {
            db.pragma_update(None, "max_page_count", pages)?;
            Ok(())
        })
    };
    limit(1).await.unwrap(); // SQLite takes the size it has as the limit
    let bulky = pillarbox::senders::example::entry(
        pillarbox::senders::SenderKind::GOVUK_PAY,
        "pay",
        (0..400_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
    );
    let error = fresh.record(&bulky).await.unwrap_err().to_string();
    assert!(error.contains("disk is full"), "{error}");
    assert!(
        fresh.get(&bulky.key).await.unwrap().is_none(),
        "a refused row leaves nothing behind"
    );

    limit(1_000_000).await.unwrap();
    assert_eq!(fresh.record(&bulky).await.unwrap(), Recorded::First);
}

/// What a power cut leaves that hits SQLite between the first page of a new file and its commit:
/// the page, and a rollback journal that says that the file was empty.
#[tokio::test]
async fn a_file_whose_beginning_was_interrupted_is_begun_again() {
    const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    connection::create_private(&file).unwrap();
    connection::begin_file(&file).unwrap();
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&JOURNAL_MAGIC);
    journal[20..24].copy_from_slice(&512u32.to_be_bytes());
    journal[24..28].copy_from_slice(&2048u32.to_be_bytes());
    std::fs::write(connection::beside(&file, "-journal"), journal).unwrap();

    let inbox = SqliteInbox::create(&file).unwrap();
    inbox.record(&paid("m1")).await.unwrap();
    inbox.record(&paid("m2")).await.unwrap();
    drop(inbox);
    assert!(!connection::beside(&file, "-journal").exists());
    let inbox = SqliteInbox::open(&file).unwrap();
    assert!(inbox.get(&paid("m1").key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_is_not_written_to() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let aside = fresh.folder.path().join("aside.db");
    std::fs::rename(fresh.file(), &aside).unwrap();
    let error = fresh.record(&paid("m2")).await.unwrap_err().to_string();
    assert!(error.contains("no longer there"), "{error}");

    std::fs::rename(&aside, fresh.file()).unwrap();
    assert_eq!(fresh.record(&paid("m2")).await.unwrap(), Recorded::First);
    assert_eq!(
        fresh.record(&paid("m1")).await.unwrap(),
        Recorded::Duplicate
    );
}

/// A file with one row, as `inbox backup` makes it.
async fn backup_in(folder: &TempDir, id: &str) -> PathBuf {
    let other = TempInbox::new();
    other.record(&paid(id)).await.unwrap();
    let backup = folder.path().join("backup.db");
    other.backup(&backup).await.unwrap();
    backup
}

fn wal(file: &Path) -> PathBuf {
    connection::beside(file, "-wal")
}

#[tokio::test]
async fn a_file_or_log_that_is_exchanged_under_a_running_process_ends_every_acknowledgement() {
    type Change = fn(&Path, &Path);
    let changes: [(&str, Change, &str); 7] = [
        (
            "moved over",
            |file, backup| std::fs::rename(backup, file).unwrap(),
            "was replaced",
        ),
        (
            "copied over",
            |file, backup| assert!(std::fs::copy(backup, file).unwrap() > 0),
            "was overwritten",
        ),
        (
            "overwritten in part",
            |file, backup| {
                use std::os::unix::fs::FileExt;
                let head = std::fs::read(backup).unwrap();
                let file = std::fs::File::options().write(true).open(file).unwrap();
                file.write_all_at(&head[..1024], 0).unwrap();
            },
            "was overwritten",
        ),
        (
            "removed",
            |file, _| std::fs::remove_file(file).unwrap(),
            "no longer there",
        ),
        (
            "log removed",
            |file, _| std::fs::remove_file(wal(file)).unwrap(),
            "removed or replaced",
        ),
        (
            "log replaced",
            |file, _| {
                let log = std::fs::read(wal(file)).unwrap();
                std::fs::remove_file(wal(file)).unwrap();
                std::fs::write(wal(file), log).unwrap();
            },
            "removed or replaced",
        ),
        (
            "log overwritten",
            |file, _| {
                let log = std::fs::File::options()
                    .write(true)
                    .open(wal(file))
                    .unwrap();
                std::io::Write::write_all(&mut &log, &[0; 32]).unwrap();
            },
            "removed or replaced",
        ),
    ];
    for (what, change, words) in changes {
        let fresh = TempInbox::new();
        fresh.record(&paid("m1")).await.unwrap();
        let backup = backup_in(&fresh.folder, "other").await;
        change(&fresh.file(), &backup);
        for id in ["m2", "m1"] {
            let error = fresh.record(&paid(id)).await.unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
            let error = fresh.get(&paid(id).key).await.unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
        }
        let put_in_place = std::fs::read(fresh.file()).ok();
        let file = fresh.file();
        drop(fresh.inbox);
        let left = std::fs::read(file).ok();
        if !what.starts_with("log") {
            assert_eq!(
                left, put_in_place,
                "{what}: stopping leaves what was put there"
            );
        }
    }
}

#[tokio::test]
async fn a_log_that_vanishes_while_a_change_is_made_takes_its_acknowledgement_with_it() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let log = wal(&fresh.file());
    let change = fresh.change(WritePriority::Interactive, move |db| {
        std::fs::remove_file(log).unwrap();
        db.execute("UPDATE notification SET attempts = attempts", [])?;
        Ok(())
    });
    let error = change.await.unwrap_err().to_string();
    assert!(error.contains("removed or replaced"), "{error}");
}

/// An inbox whose process was killed: its newest row is only in its log.
async fn killed_inbox(rows: u32) -> TempInbox {
    let fresh = TempInbox::new();
    for n in 0..rows {
        fresh.record(&paid(&format!("m{n}"))).await.unwrap();
    }
    let killed = TempInbox {
        inbox: SqliteInbox::create(&fresh.folder.path().join("unused.db")).unwrap(),
        folder: TempDir::new().unwrap(),
    };
    // As a kill leaves them; the connections that are still open belong to another folder.
    for name in ["inbox.db", "inbox.db-wal"] {
        std::fs::copy(
            fresh.folder.path().join(name),
            killed.folder.path().join(name),
        )
        .unwrap();
    }
    killed
}

#[tokio::test]
async fn a_log_is_replayed_into_its_own_file_alone() {
    let killed = killed_inbox(20).await;
    let file = killed.file();
    let (own, log) = (
        std::fs::read(&file).unwrap(),
        std::fs::read(wal(&file)).unwrap(),
    );
    let put = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(wal(&file), &log).unwrap();
        let _ = std::fs::remove_file(connection::beside(&file, "-shm"));
    };
    let opens = || {
        let error = SqliteInbox::create(&file)
            .err()
            .map(|error| error.to_string());
        let reads = SqliteInbox::open_read_only(&file)
            .err()
            .map(|error| error.to_string());
        assert_eq!(error, reads, "reading and writing agree");
        error
    };
    // The same inbox a while ago, a backup, another inbox, nothing.
    let before = {
        put(&own);
        drop(SqliteInbox::create(&file).unwrap());
        let inbox = SqliteInbox::create(&file).unwrap();
        for n in 0..9 {
            inbox.record(&paid(&format!("after{n}"))).await.unwrap();
        }
        drop(inbox);
        std::fs::read(&file).unwrap()
    };
    let other = TempInbox::new();
    other.record(&paid("other")).await.unwrap();
    let other_file = other.file();
    drop(other.inbox);
    let backup = std::fs::read(backup_in(&killed.folder, "b").await).unwrap();
    let not_its_own = [
        before,
        std::fs::read(other_file).unwrap(),
        backup,
        Vec::new(),
    ];
    for (nth, bytes) in not_its_own.iter().enumerate() {
        put(bytes);
        let error = opens().unwrap_or_else(|| panic!("file {nth} takes the log of another"));
        assert!(
            error.contains("belongs to another file") && error.contains("inbox restore"),
            "{error}"
        );
        assert_eq!(&std::fs::read(&file).unwrap(), bytes, "nothing was written");
        assert_eq!(std::fs::read(wal(&file)).unwrap(), log);
    }
    put(&own);
    assert_eq!(opens(), None);
    let inbox = SqliteInbox::open(&file).unwrap();
    for n in 0..20 {
        assert!(
            inbox
                .get(&paid(&format!("m{n}")).key)
                .await
                .unwrap()
                .is_some(),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_log_of_which_a_part_is_in_its_file_or_that_is_torn_is_its_own_too() {
    let killed = killed_inbox(20).await;
    let file = killed.file();
    let (before, log) = (
        std::fs::read(&file).unwrap(),
        std::fs::read(wal(&file)).unwrap(),
    );
    let half = log.len() / 2;
    std::fs::write(wal(&file), &log[..half]).unwrap();
    let db = Connection::open(&file).unwrap();
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .unwrap();
    let half_copied = std::fs::read(&file).unwrap();
    assert_ne!(half_copied, before);
    drop(db);
    let put = |bytes: &[u8], log: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(wal(&file), log).unwrap();
        let _ = std::fs::remove_file(connection::beside(&file, "-shm"));
    };
    for length in (0..log.len()).step_by(1000).chain([log.len()]) {
        put(&before, &log[..length]);
        assert!(FilePair::open(&file).is_ok(), "torn after {length} bytes");
        // A log is flushed before any of it is copied.
        if length >= half {
            put(&half_copied, &log[..length]);
            assert!(FilePair::open(&file).is_ok(), "half copied, {length}");
        }
    }
}

#[tokio::test]
async fn a_log_that_sqlite_removed_with_the_last_connection_is_not_missed() {
    let fresh = TempInbox::new();
    let pair = Arc::new(FilePair::open(&fresh.file()).unwrap());
    drop(fresh.inbox);
    let log = wal(pair.path());
    for _ in 0..3 {
        let connection = pair.connect().unwrap();
        let raise = connection.execute_batch("BEGIN IMMEDIATE");
        raise
            .and_then(|()| pair::raise_counter(&connection))
            .unwrap();
        connection.execute_batch("COMMIT").unwrap();
        pair.check(&connection).unwrap();
        assert!(log.exists());
        pair.disconnect(connection);
        assert!(!log.exists());
    }
}

#[tokio::test]
async fn duplicates_flush_nothing_and_every_change_raises_the_counter() {
    let fresh = TempInbox::new();
    let counter = || fresh.read(|db| Ok(pair::counter(db)?));
    let first = counter().await.unwrap();
    for n in 1..5 {
        fresh.record(&paid(&format!("m{n}"))).await.unwrap();
        fresh.record(&paid("m1")).await.unwrap();
        assert_eq!(counter().await.unwrap(), first.wrapping_add(n));
    }
}

#[tokio::test]
async fn a_row_that_only_a_newer_version_can_read_is_named_and_hides_no_other() {
    let fresh = TempInbox::new();
    for id in ["m1", "m2", "m3", "m4"] {
        fresh.record(&paid(id)).await.unwrap();
    }
    let newer = "UPDATE notification SET v = 2 WHERE pk IN ('pay:m2', 'pay:m3')";
    Connection::open(fresh.file())
        .unwrap()
        .execute(newer, [])
        .unwrap();
    for limit in [1, 2, 3, 10] {
        let (mut rows, mut unread, mut page) = (vec![], vec![], PageRequest::first(limit));
        loop {
            let listed = fresh.list(&RowFilter::default(), page).await.unwrap();
            rows.extend(listed.rows.iter().map(|row| row.key.as_str().to_owned()));
            unread.extend(listed.newer.iter().map(|key| key.as_str().to_owned()));
            let Some(next) = listed.next else { break };
            page = PageRequest {
                limit,
                after: Some(next),
            };
        }
        assert_eq!(
            (rows.join(" "), unread.join(" ")),
            ("pay:m4 pay:m1".into(), "pay:m3 pay:m2".into()),
            "{limit}"
        );
    }
}

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

/// Bytes that no compression shortens, by which they are found in a file.
fn private_text(seed: u32) -> String {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap())
    };
    (0..60).map(|_| next()).collect()
}

fn files_with(folder: &TempDir, text: &str) -> Vec<String> {
    let has_text = |name: &String| {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        bytes
            .windows(20)
            .any(|window| window == &text.as_bytes()[20..40])
    };
    files(folder).into_iter().filter(has_text).collect()
}

#[tokio::test]
async fn erased_bytes_are_in_no_file_and_while_a_reader_keeps_the_log_that_is_an_error() {
    let fresh = TempInbox::new();
    let private = |seed| {
        let text = private_text(seed);
        (
            pillarbox::senders::example::entry(
                pillarbox::senders::SenderKind::GOVUK_PAY,
                "pay",
                text.clone().into(),
            ),
            text,
        )
    };
    let entries: Vec<_> = (0..200).map(private).collect();
    for (entry, _) in &entries {
        fresh.record(entry).await.unwrap();
    }
    // Rows that grow and shrink move to other pages, and must leave nothing behind there.
    for sql in [
        "UPDATE notification SET last_error = hex(zeroblob(id * 13 % 700))",
        "UPDATE notification SET last_error = NULL WHERE id % 3 = 0",
        "UPDATE notification SET last_error = hex(zeroblob(900)) WHERE id % 5 = 0",
        "UPDATE notification SET last_error = NULL",
    ] {
        let grow = fresh.change(
            WritePriority::Background,
            move |db| Ok(db.execute(sql, [])?),
        );
        grow.await.unwrap();
    }
    let reading = Connection::open(fresh.file()).unwrap();
    reading
        .execute_batch("BEGIN; SELECT count(*) FROM notification")
        .unwrap();
    let erase = |entry: &Entry| {
        let key = entry.key.clone();
        let fresh = &fresh;
        async move {
            fresh
                .discard(
                    &key,
                    &DiscardRequest {
                        erase: true,
                        now: NOW,
                        expires_at: NOW,
                    },
                )
                .await
        }
    };
    let (first, text) = &entries[0];
    let error = erase(first).await.unwrap_err().to_string();
    assert!(error.contains("another process reads it"), "{error}");
    assert!(!files_with(&fresh.folder, text).is_empty(), "as it says");
    assert_eq!(
        fresh.record(&paid("meanwhile")).await.unwrap(),
        Recorded::First
    );

    reading.execute_batch("COMMIT").unwrap();
    for (entry, _) in &entries {
        assert_eq!(erase(entry).await.unwrap(), Discarded::Done);
    }
    for (_, text) in &entries {
        assert_eq!(files_with(&fresh.folder, text), [""; 0], "{text}");
    }
}

#[tokio::test]
async fn expired_rows_go_in_small_batches_and_senders_are_answered_meanwhile() {
    let fresh = Arc::new(TempInbox::new());
    fresh.record(&paid("m0")).await.unwrap();
    let fill = fresh.change(WritePriority::Background, |db| {
        db.execute_batch(
            "CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 \
             FROM n WHERE n < 3000) SELECT n FROM n;
             INSERT INTO notification (pk, v, state, attempts, budget_from, origin, event_type, \
             received_at, digest, content_digest, deflated, kind, expires_at)
                 SELECT 'pay:old' || n, 1, 'delivered', 1, 0, 'push', 'e', 0, digest, \
             content_digest, 0, kind, n FROM many, notification;
             INSERT INTO body SELECT id, zeroblob(600000) FROM notification WHERE expires_at % \
             1000 < 4 AND expires_at IS NOT NULL;
             INSERT INTO subject SELECT 'pay', 's' || n, 'e', 'pay:m', n FROM many;",
        )?;
        Ok(())
    });
    fill.await.unwrap();
    let now = Timestamp::from_millis(3000);
    let expired = summary(&fresh, now).await.expired.unwrap();
    let since = expired.oldest.unwrap().as_millis();
    assert_eq!((expired.rows, since), (3000, 1));
    let first = fresh.purge(now, 250).await.unwrap();
    assert_eq!(
        (first.rows, first.is_last),
        (2, false),
        "long bodies end a batch early"
    );

    let purging = {
        let fresh = Arc::clone(&fresh);
        tokio::spawn(async move { fresh.purge_all(now).await.unwrap() })
    };
    let mut recorded = 0;
    while !purging.is_finished() {
        fresh
            .record(&paid(&format!("new{recorded}")))
            .await
            .unwrap();
        recorded += 1;
    }
    assert_eq!(purging.await.unwrap(), 2998, "everything that had expired");
    assert!(recorded > 2, "{recorded} recorded between the batches");
    assert_eq!(summary(&fresh, now).await.expired, None);
    let count = fresh.read(|db| {
        Ok(db.query_row("SELECT count(*) FROM subject", [], |row| {
            row.get::<_, u32>(0)
        })?)
    });
    assert_eq!(count.await.unwrap(), 0);
    let listed = fresh
        .list(&RowFilter::default(), PageRequest::first(9999))
        .await
        .unwrap();
    assert_eq!(listed.rows.len(), recorded + 1);
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

#[tokio::test]
async fn one_failing_change_does_not_take_its_batch_with_it() {
    let fresh = TempInbox::new();
    let (one, two) = (paid("m1"), paid("m2"));
    let broken = fresh.change(WritePriority::Interactive, |db| {
        db.execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok(())
    });
    let (first, broken, second) = tokio::join!(fresh.record(&one), broken, fresh.record(&two));
    let error = broken.unwrap_err();
    assert!(matches!(error, InboxError::Unavailable(_)), "{error}");
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (Recorded::First, Recorded::First)
    );
}

#[tokio::test]
async fn expired_rows_go_with_their_bodies_and_the_others_stay() {
    let fresh = TempInbox::new();
    let long = pillarbox::senders::example::entry(
        pillarbox::senders::SenderKind::GOVUK_PAY,
        "pay",
        (0..10_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
    );
    fresh.record(&long).await.unwrap();
    fresh.record(&paid("m1")).await.unwrap();
    let expiry = NOW.plus(Duration::from_secs(90));
    let discard = DiscardRequest {
        erase: false,
        now: NOW,
        expires_at: expiry,
    };
    fresh.discard(&long.key, &discard).await.unwrap();
    fresh
        .claim_event(
            &fresh
                .get(&paid("m1").key)
                .await
                .unwrap()
                .unwrap()
                .event()
                .unwrap(),
            &paid("m1").key,
            expiry,
        )
        .await
        .unwrap();

    assert_eq!(
        fresh
            .purge_all(expiry.minus(Duration::from_millis(1)))
            .await
            .unwrap(),
        0
    );
    assert_eq!(fresh.purge_all(expiry).await.unwrap(), 1);
    let db = Connection::open(fresh.file()).unwrap();
    let count = |table: &str| {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get::<_, u32>(0)
        })
        .unwrap()
    };
    assert_eq!(
        (count("notification"), count("body"), count("subject")),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn released_leases_make_rows_due_at_once() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    let lease = pillarbox::inbox::Lease {
        id: pillarbox::inbox::LeaseId(1),
        until: NOW.plus(Duration::from_secs(150)),
    };
    fresh
        .claim(
            &entry.key,
            &Claim {
                now: NOW,
                lease,
                first_backoff: Duration::from_secs(5),
            },
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        fresh.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap(),
        []
    );

    assert_eq!(fresh.release_leases().await.unwrap(), 1);
    assert_eq!(
        fresh.find_due(&SourceFilter::ALL, NOW, 10).await.unwrap(),
        [entry.key]
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_those_beside_it_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    for name in ["inbox.db", "inbox.db-wal"] {
        let mode = std::fs::metadata(fresh.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = SqliteInbox::create(Path::new("/nowhere/inbox.db"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("cannot create /nowhere/inbox.db") && error.contains("folder exists"),
        "{error}"
    );
}

#[test]
fn one_serve_at_a_time_has_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let held = ServeLock::take(&file).unwrap();
    let error = ServeLock::take(&file).unwrap_err().to_string();
    assert!(error.contains("another `pillarbox serve`"), "{error}");
    drop(held);
    ServeLock::take(&file).unwrap();
}

#[test]
fn another_name_of_the_file_lets_no_second_serve_run() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (soft, hard) = (elsewhere.join("soft.db"), elsewhere.join("hard.db"));
    let folder_link = folder.path().join("link");
    std::os::unix::fs::symlink(&elsewhere, &folder_link).unwrap();
    // Of a file that is there before the lock, and of one that the first serve makes.
    for is_there in [false, true] {
        let lock = ServeLock::take(&file).unwrap();
        let inbox = SqliteInbox::create_locked(&file, lock).unwrap();
        if !is_there {
            std::os::unix::fs::symlink(&file, &soft).unwrap();
            std::fs::hard_link(&file, &hard).unwrap();
        }
        let mut names = vec![file.clone(), soft.clone(), folder_link.join("soft.db")];
        if cfg!(target_os = "linux") {
            names.extend([hard.clone(), folder_link.join("hard.db")]);
        }
        for name in &names {
            let error = ServeLock::take(name).unwrap_err().to_string();
            assert!(error.contains("another `pillarbox serve`"), "{error}");
            assert!(ServeLock::is_held(name), "{name:?}");
        }
        drop(inbox);
        for name in &names {
            assert!(!ServeLock::is_held(name));
            drop(ServeLock::take(name).unwrap());
        }
    }
}

#[test]
fn a_running_serve_is_seen_by_its_lock_and_looking_makes_and_takes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    assert!(!ServeLock::is_held(&file));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let held = ServeLock::take(&file).unwrap();
    assert!(ServeLock::is_held(&file));
    drop(held);
    assert!(!ServeLock::is_held(&file));
    ServeLock::take(&file).unwrap();
}

#[tokio::test]
async fn arrivals_are_counted_between_bounds_although_rows_were_removed() {
    let inbox = TempInbox::new();
    let at = |second| NOW.plus(Duration::from_secs(second));
    for second in 1..=20 {
        let mut entry = pay(&format!("m{second}"), "p", "card_payment_captured", NOW);
        entry.received_at = at(second);
        inbox.record(&entry).await.unwrap();
    }
    let bounds = vec![at(0), at(5), at(5), at(15), at(30)];
    let counted = |counts: Vec<ArrivalCount>| {
        let counts = counts.iter().map(|count| (count.all, count.open));
        counts.collect::<Vec<_>>()
    };
    let counts = inbox.arrivals(bounds.clone()).await.unwrap();
    assert_eq!(counted(counts), [(4, 4), (0, 0), (10, 10), (6, 6)]);
    inbox
        .change(WritePriority::Background, |db| {
            Ok(db.execute_batch("DELETE FROM notification WHERE id IN (3, 4, 5, 6, 20)")?)
        })
        .await
        .unwrap();
    let counts = inbox.arrivals(bounds.clone()).await.unwrap();
    let open = counts.iter().map(|count| count.open).collect::<Vec<_>>();
    assert_eq!(open, [2, 0, 8, 5]);
    assert!(counts.iter().map(|count| count.all).sum::<u64>() >= 15);
    let empty = TempInbox::new();
    let counts = empty.arrivals(bounds).await.unwrap();
    assert_eq!(counted(counts), [(0, 0); 4]);
}

#[tokio::test]
async fn a_page_that_ends_early_has_a_next_page_and_none_is_missed() {
    let inbox = TempInbox::new();
    for nth in 0..25 {
        let event_type = if nth % 12 == 0 { "rare" } else { "usual" };
        let entry = pay(&format!("m{nth}"), "p", event_type, NOW);
        inbox.record(&entry).await.unwrap();
    }
    let rare = RowFilter {
        event_type: Some("rare".to_owned()),
        ..RowFilter::default()
    };
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut page = PageRequest::first(2);
    loop {
        let listed = inbox.list_within(&rare, page, 5).await.unwrap();
        found.extend(
            listed
                .rows
                .iter()
                .map(|row| row.key.encoded_id().to_owned()),
        );
        pages += 1;
        let Some(next) = listed.next else { break };
        page = PageRequest {
            limit: 2,
            after: Some(next),
        };
    }
    assert_eq!((found.join(" ").as_str(), pages), ("m24 m12 m0", 5));
    let open = RowFilter {
        state: Some(State::Recorded),
        ..rare
    };
    let listed = inbox
        .list_within(&open, PageRequest::first(9), 5)
        .await
        .unwrap();
    assert_eq!((listed.rows.len(), listed.next), (3, None), "by the index");
}
