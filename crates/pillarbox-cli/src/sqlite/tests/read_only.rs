//! Reading a file without changing anything.

use rusqlite::Connection;

use super::{TempInbox, copied_inbox, files, paid, summary};
use crate::sqlite::*;
use pillarbox::senders::example::NOW;

#[tokio::test]
async fn reading_a_copy_writes_to_no_file() {
    let (copy, folder) = copied_inbox().await;
    let before = std::fs::read(&copy).unwrap();
    let inbox = SqliteInbox::open_read_only(&copy).unwrap();
    assert!(inbox.get(&paid("m1").key).await.unwrap().is_some());
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(9)).await.unwrap();
    assert_eq!(listed.rows.len(), 1);
    assert_eq!(summary(&inbox, NOW).await.open.rows, 1);
    let found = inbox.inspect().await.unwrap();
    assert_eq!((found.faults.len(), &*found.journal_mode), (0, "wal"));
    assert_eq!(files(&folder), ["a copy? 50%.db"], "while it is open");
    assert!(inbox.record(&paid("m2")).await.is_err());
    drop(inbox);
    assert_eq!(files(&folder), ["a copy? 50%.db"]);
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[tokio::test]
async fn a_reader_finds_rows_that_are_only_in_the_log_and_leaves_them_there() {
    let fresh = TempInbox::new();
    fresh.record_paid("m1").await;
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
async fn a_query_during_which_another_process_opens_the_file_fails() {
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
