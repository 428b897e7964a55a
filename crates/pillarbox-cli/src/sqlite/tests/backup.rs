//! Backups.

use rusqlite::Connection;

use super::{TempInbox, copied_inbox, files, paid};
use crate::sqlite::*;

#[tokio::test]
async fn a_backup_of_a_changing_inbox_has_everything_acknowledged_before_it() {
    let fresh = Arc::new(TempInbox::new());
    for n in 0..50 {
        fresh.record_paid(&format!("before{n}")).await;
    }
    let long = pillarbox::senders::example::hmrc(
        "long",
        &(0..40_000u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_string())
            .collect::<String>(),
    );
    fresh.record(&long).await.unwrap();
    let busy = Arc::clone(&fresh);
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.is_cancelled() {
            busy.record_paid(&format!("during{count}")).await;
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
    assert_eq!((found.faults.len(), &*found.journal_mode), (0, "wal"));
    drop(copy);

    let restored = SqliteInbox::open(&target).unwrap();
    let again = restored.record(&paid("before7")).await.unwrap();
    assert_eq!(again, RecordOutcome::Duplicate);
    assert_eq!(
        restored.record(&paid("new")).await.unwrap(),
        RecordOutcome::First
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_readable_by_its_owner_alone_overwrites_nothing_and_leaves_no_other_file() {
    use std::os::unix::fs::PermissionsExt;
    let (copy, folder) = copied_inbox().await;
    let inbox = SqliteInbox::open_read_only(&copy).unwrap();
    let target = folder.path().join("b.db");
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
