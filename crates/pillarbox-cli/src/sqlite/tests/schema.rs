//! Files and rows of an older schema, and of a newer one.

use std::{fs, process::Command, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, paid};
use crate::sqlite::*;
use pillarbox::{
    inbox::{DeliveryHistory, SourceFilter},
    senders::example::NOW,
};

#[tokio::test]
async fn a_reopened_file_has_every_row_and_is_migrated_once() {
    let fresh = TempInbox::new();
    fresh.record_paid("m1").await;
    for _ in 0..2 {
        let again = SqliteInbox::open(&fresh.file()).unwrap();
        let outcome = again.record(&paid("m1")).await.unwrap();
        assert_eq!(outcome, RecordOutcome::Duplicate);
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
async fn a_file_of_the_first_schema_keeps_its_rows_and_gets_a_key_value_store() {
    let (file, _folder) = file_of_schema(1, &paid("m1"));
    let inbox = SqliteInbox::open(&file).unwrap();
    let outcome = inbox.record(&paid("m1")).await.unwrap();
    assert_eq!(outcome, RecordOutcome::Duplicate);
    let entry = KvEntry {
        version: 1,
        text: "kept".into(),
    };
    let key = KvKey::new("lock", "pay");
    let outcome = inbox.compare_and_swap(&key, None, &entry).await.unwrap();
    assert_eq!(outcome, CasOutcome::Stored);
}

#[tokio::test]
async fn rows_of_a_schema_without_histories_are_read_and_replayed() {
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
async fn a_file_of_a_later_schema_is_refused_and_left_alone() {
    let fresh = TempInbox::new();
    fresh.tamper("PRAGMA user_version = 99");
    let file = fresh.file();
    drop(fresh.inbox);
    let error = SqliteInbox::open(&file).err().unwrap().to_string();
    assert!(
        error.contains("schema 99") && error.contains("newer Pillarbox"),
        "{error}"
    );
}

/// What the file at `path` holds.
fn objects(path: &Path) -> Vec<(String, String)> {
    let db = Connection::open(path).unwrap();
    let mut query = db.prepare("SELECT type, name FROM sqlite_schema").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    for (sql, version) in [
        ("CREATE TABLE ledger (id INTEGER)", 0),
        ("CREATE TABLE ledger (id INTEGER)", 3),
        ("CREATE TABLE ledger (id INTEGER)", 99),
        ("CREATE TABLE ledger (id INTEGER)", -3),
        ("CREATE TABLE notification (pk TEXT)", 0),
        ("CREATE TABLE notification (text TEXT)", 8),
        (
            "CREATE TABLE t (id INTEGER); CREATE VIEW v AS SELECT id FROM t; DROP TABLE t",
            0,
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("other.db");
        let db = Connection::open(&file).unwrap();
        db.execute_batch(sql).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        drop(db);
        let (before, bytes) = (objects(&file), fs::read(&file).unwrap());
        for opened in [
            SqliteInbox::create(&file),
            SqliteInbox::open(&file),
            SqliteInbox::open_read_only(&file),
        ] {
            let error = opened.err().unwrap().to_string();
            assert!(
                error.contains("other.db: the file is a database of another program"),
                "{sql}, {version}: {error}"
            );
        }
        assert_eq!(fs::read(&file).unwrap(), bytes, "{sql}, {version}");
        assert_eq!(objects(&file), before);
    }
}

#[test]
fn what_is_not_a_file_is_named_and_not_waited_for() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe.db");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [&pipe, folder.path(), Path::new("/dev/null")] {
        for opened in [SqliteInbox::create(path), SqliteInbox::open_read_only(path)] {
            let error = opened.err().unwrap().to_string();
            assert!(error.contains("is not a file"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_row_of_a_later_version_is_refused_and_left_alone() {
    let fresh = TempInbox::new();
    let entry = paid("m1");
    fresh.record(&entry).await.unwrap();
    fresh.tamper("UPDATE notification SET v = 2");

    let later = NOW.plus(Duration::from_secs(60));
    let due = fresh.find_due(&SourceFilter::ALL, later, 10).await.unwrap();
    assert_eq!(due, []);
    for error in [
        fresh.get(&entry.key).await.unwrap_err(),
        fresh.replay(&entry.key, NOW).await.unwrap_err(),
    ] {
        let is_newer = matches!(error, InboxError::NewerRow { found: 2, .. });
        assert!(is_newer, "{error}");
    }
    let outcome = fresh.record(&entry).await.unwrap();
    assert_eq!(outcome, RecordOutcome::Duplicate, "it is stored");
}

#[tokio::test]
async fn a_row_of_a_later_version_is_named_and_the_others_are_listed() {
    let fresh = TempInbox::new();
    for id in ["m1", "m2", "m3", "m4"] {
        fresh.record_paid(id).await;
    }
    fresh.tamper("UPDATE notification SET v = 2 WHERE pk IN ('pay:m2', 'pay:m3')");
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
