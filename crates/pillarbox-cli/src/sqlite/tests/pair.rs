//! The file and its log must belong together and stay in place.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{TempInbox, paid};
use crate::sqlite::*;

#[tokio::test]
async fn a_moved_file_refuses_rows_until_it_is_back() {
    let fresh = TempInbox::new();
    fresh.record_paid("m1").await;
    let aside = fresh.folder.path().join("aside.db");
    std::fs::rename(fresh.file(), &aside).unwrap();
    let error = fresh.record_error("m2").await;
    assert!(error.contains("is missing"), "{error}");

    std::fs::rename(&aside, fresh.file()).unwrap();
    assert_eq!(fresh.record_paid("m2").await, RecordOutcome::First);
    assert_eq!(fresh.record_paid("m1").await, RecordOutcome::Duplicate);
}

/// A file with one row, as `inbox backup` makes it.
async fn backup_in(folder: &TempDir, id: &str) -> PathBuf {
    let other = TempInbox::new();
    other.record_paid(id).await;
    let backup = folder.path().join("backup.db");
    other.backup(&backup).await.unwrap();
    backup
}

fn wal(file: &Path) -> PathBuf {
    connection::path_beside(file, "-wal")
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_file_or_its_log_was_replaced() {
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
            "is missing",
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
        fresh.record_paid("m1").await;
        let backup = backup_in(&fresh.folder, "other").await;
        change(&fresh.file(), &backup);
        for id in ["m2", "m1"] {
            let error = fresh.record_error(id).await;
            assert!(error.contains(words), "{what}: {error}");
            let error = fresh.get(&paid(id).key).await.unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
        }
        let put_in_place = std::fs::read(fresh.file()).ok();
        let file = fresh.file();
        drop(fresh.inbox);
        let left = std::fs::read(file).ok();
        if !what.starts_with("log") {
            assert_eq!(left, put_in_place, "{what}: closing changes the new file");
        }
    }
}

#[tokio::test]
async fn a_change_during_which_the_log_is_removed_is_not_acknowledged() {
    let fresh = TempInbox::new();
    fresh.record_paid("m1").await;
    let log = wal(&fresh.file());
    let change = fresh.change(Interactive, move |db| {
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
        fresh.record_paid(&format!("m{n}")).await;
    }
    let killed = TempInbox {
        inbox: SqliteInbox::create(&fresh.folder.path().join("unused.db")).unwrap(),
        folder: TempDir::new().unwrap(),
    };
    // As a kill leaves them: the open connections are to files in another folder.
    for name in ["inbox.db", "inbox.db-wal"] {
        let from = fresh.folder.path().join(name);
        std::fs::copy(from, killed.folder.path().join(name)).unwrap();
    }
    killed
}

/// Puts a file and its log in place, without the index of the log.
fn put(file: &Path, bytes: &[u8], log: &[u8]) {
    std::fs::write(file, bytes).unwrap();
    std::fs::write(wal(file), log).unwrap();
    let _ = std::fs::remove_file(connection::path_beside(file, "-shm"));
}

#[tokio::test]
async fn a_log_is_replayed_only_into_the_file_it_belongs_to() {
    let killed = killed_inbox(20).await;
    let file = killed.file();
    let own = std::fs::read(&file).unwrap();
    let log = std::fs::read(wal(&file)).unwrap();
    let open_error = || {
        let text = |error: Option<InboxError>| error.map(|error| error.to_string());
        let error = text(SqliteInbox::create(&file).err());
        let of_reader = text(SqliteInbox::open_read_only(&file).err());
        assert_eq!(error, of_reader, "reading and writing agree");
        error
    };
    // The same inbox after later changes, another inbox, a backup, an empty file.
    let before = {
        put(&file, &own, &log);
        drop(SqliteInbox::create(&file).unwrap());
        let inbox = SqliteInbox::create(&file).unwrap();
        for n in 0..9 {
            let entry = paid(&format!("after{n}"));
            inbox.record(&entry).await.unwrap();
        }
        drop(inbox);
        std::fs::read(&file).unwrap()
    };
    let other = TempInbox::new();
    other.record_paid("other").await;
    let other_file = other.file();
    drop(other.inbox);
    let backup = std::fs::read(backup_in(&killed.folder, "b").await).unwrap();
    let other = std::fs::read(other_file).unwrap();
    for (nth, bytes) in [before, other, backup, Vec::new()].iter().enumerate() {
        put(&file, bytes, &log);
        let error = open_error();
        let error = error.unwrap_or_else(|| panic!("file {nth} opened with the log of another"));
        assert!(
            error.contains("belongs to another file") && error.contains("inbox restore"),
            "{error}"
        );
        assert_eq!(&std::fs::read(&file).unwrap(), bytes, "nothing was written");
        assert_eq!(std::fs::read(wal(&file)).unwrap(), log);
    }
    put(&file, &own, &log);
    assert_eq!(open_error(), None);
    let inbox = SqliteInbox::open(&file).unwrap();
    for n in 0..20 {
        let row = inbox.get(&paid(&format!("m{n}")).key).await.unwrap();
        assert!(row.is_some(), "{n}");
    }
}

#[tokio::test]
async fn a_torn_or_partly_copied_log_still_belongs_to_its_file() {
    let killed = killed_inbox(20).await;
    let file = killed.file();
    let before = std::fs::read(&file).unwrap();
    let log = std::fs::read(wal(&file)).unwrap();
    let half = log.len() / 2;
    std::fs::write(wal(&file), &log[..half]).unwrap();
    let db = Connection::open(&file).unwrap();
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .unwrap();
    let half_copied = std::fs::read(&file).unwrap();
    assert_ne!(half_copied, before);
    drop(db);
    for length in (0..log.len()).step_by(1000).chain([log.len()]) {
        put(&file, &before, &log[..length]);
        assert!(FilePair::open(&file).is_ok(), "torn after {length} bytes");
        // A log is flushed before any of it is copied.
        if length >= half {
            put(&file, &half_copied, &log[..length]);
            assert!(FilePair::open(&file).is_ok(), "half copied, {length}");
        }
    }
}

#[tokio::test]
async fn a_log_that_sqlite_removed_with_the_last_connection_is_no_error() {
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
