//! The file and its log, which belong together.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, paid};
use crate::sqlite::*;

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_is_not_written_to() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let aside = fresh.folder.path().join("aside.db");
    std::fs::rename(fresh.file(), &aside).unwrap();
    let error = fresh.record(&paid("m2")).await.unwrap_err().to_string();
    assert!(error.contains("no longer there"), "{error}");

    std::fs::rename(&aside, fresh.file()).unwrap();
    assert_eq!(
        fresh.record(&paid("m2")).await.unwrap(),
        RecordOutcome::First
    );
    assert_eq!(
        fresh.record(&paid("m1")).await.unwrap(),
        RecordOutcome::Duplicate
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
    type FileChange = fn(&Path, &Path);
    let changes: [(&str, FileChange, &str); 7] = [
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
