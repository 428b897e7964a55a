//! The file on its disk: commits survive a power cut, and a failing disk or folder is an error.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, incompressible, paid, with_body};
use crate::sqlite::*;

#[tokio::test]
async fn the_settings_of_the_file_make_commits_survive_a_power_cut() {
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
async fn a_locked_file_refuses_rows_until_it_is_unlocked() {
    let fresh = TempInbox::new();
    let other = Connection::open(fresh.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fresh.record_error("m1").await;
    assert!(error.contains("another process"), "{error}");

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(fresh.record_paid("m1").await, RecordOutcome::First);
}

#[tokio::test]
async fn a_full_disk_refuses_rows_until_there_is_space() {
    let fresh = TempInbox::new();
    let limit = |pages: u32| {
        fresh.change(Interactive, move |db| {
            db.pragma_update(None, "max_page_count", pages)?;
            Ok(())
        })
    };
    limit(1).await.unwrap(); // SQLite raises the limit to the size of the file
    let bulky = with_body(incompressible(400_000));
    let error = fresh.record(&bulky).await.unwrap_err().to_string();
    assert!(error.contains("disk is full"), "{error}");
    assert!(
        fresh.get(&bulky.key).await.unwrap().is_none(),
        "a refused row leaves nothing behind"
    );

    limit(1_000_000).await.unwrap();
    assert_eq!(fresh.record(&bulky).await.unwrap(), RecordOutcome::First);
}

/// A power cut between the first page of a new file and its commit leaves that page, and a rollback
/// journal of an empty file.
#[tokio::test]
async fn a_file_whose_creation_was_interrupted_is_created_again() {
    const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("inbox.db");
    connection::create_private(&file).unwrap();
    connection::write_first_page(&file).unwrap();
    let mut journal = vec![0; 512];
    journal[..8].copy_from_slice(&JOURNAL_MAGIC);
    journal[20..24].copy_from_slice(&512u32.to_be_bytes());
    journal[24..28].copy_from_slice(&2048u32.to_be_bytes());
    std::fs::write(connection::path_beside(&file, "-journal"), journal).unwrap();

    let inbox = SqliteInbox::create(&file).unwrap();
    inbox.record(&paid("m1")).await.unwrap();
    inbox.record(&paid("m2")).await.unwrap();
    drop(inbox);
    assert!(!connection::path_beside(&file, "-journal").exists());
    let inbox = SqliteInbox::open(&file).unwrap();
    assert!(inbox.get(&paid("m1").key).await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn only_their_owner_may_read_the_file_and_its_log() {
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
fn a_missing_folder_is_named() {
    let created = SqliteInbox::create(Path::new("/nowhere/inbox.db"));
    let error = created.err().unwrap().to_string();
    assert!(
        error.contains("cannot create /nowhere/inbox.db") && error.contains("folder exists"),
        "{error}"
    );
}
