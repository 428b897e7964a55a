//! The file on its disk: what a commit survives, and a disk or folder that fails.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, paid};
use crate::sqlite::*;

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
async fn a_locked_file_refuses_until_it_is_free_again() {
    let fresh = TempInbox::new();
    let other = Connection::open(fresh.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fresh.record(&paid("m1")).await.unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        fresh.record(&paid("m1")).await.unwrap(),
        RecordOutcome::First
    );
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
    assert_eq!(fresh.record(&bulky).await.unwrap(), RecordOutcome::First);
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
