//! Restores that are killed at every step.

use std::{process::Command, sync::Arc};

use tempfile::TempDir;

use super::*;
use crate::sqlite::SqliteInbox;
use pillarbox::{
    inbox::{DiscardRequest, OperatorInbox, PageRequest, ReadInbox, ReceiveInbox, RowFilter},
    senders::example::{NOW, pay},
};

const FOLDER: &str = "PILLARBOX_RESTORE_FOLDER";
const STEP: &str = "PILLARBOX_RESTORE_STEP";

const STEPS: [RestoreStep; 5] = [
    RestoreStep::Copied,
    RestoreStep::LogCopied,
    RestoreStep::KeptAside,
    RestoreStep::Replaced,
    RestoreStep::LogRemoved,
];

/// The keys in the file, whose bytes are all sound.
async fn keys(file: &Path) -> Vec<String> {
    if path_beside(file, ROLLBACK_JOURNAL).exists() {
        drop(SqliteInbox::create(file).unwrap()); // a reader cannot roll it back
    }
    let inbox = SqliteInbox::open_read_only(file).unwrap();
    let listed = inbox
        .list(&RowFilter::default(), PageRequest::first(99))
        .await;
    let mut keys = Vec::new();
    for row in listed.unwrap().rows {
        let whole = inbox.get(&row.key).await.unwrap().unwrap();
        assert!(whole.proven_body().is_ok());
        keys.push(row.key.as_str().to_owned());
    }
    keys.sort();
    keys
}

async fn record(inbox: &SqliteInbox, ids: &[&str]) {
    for id in ids {
        let entry = pay(id, "payment", "card_payment_succeeded", NOW);
        inbox.record(&entry).await.unwrap();
    }
}

/// The inbox before the restore.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OldInbox {
    Absent,
    /// After a normal stop.
    Stopped,
    /// Its newest rows are only in its log.
    Killed,
    /// Killed while SQLite wrote to the file with a rollback journal.
    RollingBack,
    /// With a log that belongs to another file.
    Mismatched,
    Damaged,
}

const OLD_KEYS: [&str; 2] = ["pay:old1", "pay:old2"];
const NEW_KEYS: [&str; 1] = ["pay:new"];

fn inbox_in(folder: &TempDir) -> PathBuf {
    folder.path().join("inbox.db")
}

fn backup_in(folder: &TempDir) -> PathBuf {
    folder.path().join("backup.db")
}

/// A folder with a backup and an inbox.
async fn folder_with(old: OldInbox) -> TempDir {
    let (folder, aside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name);
    let inbox = SqliteInbox::create(&aside.path().join("other.db")).unwrap();
    record(&inbox, &["new"]).await;
    inbox.backup(&path("backup.db")).await.unwrap();
    if old == OldInbox::Absent {
        return folder;
    }
    let inbox = SqliteInbox::create(&aside.path().join("inbox.db")).unwrap();
    record(&inbox, &["old1", "old2"]).await;
    if old == OldInbox::Stopped {
        drop(inbox);
        fs::copy(aside.path().join("inbox.db"), path("inbox.db")).unwrap();
        return folder;
    }
    if old == OldInbox::RollingBack {
        drop(inbox);
        let db = rusqlite::Connection::open(aside.path().join("inbox.db")).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN;
             UPDATE notification SET pk = pk || 'x', last_error = hex(zeroblob(9000));
             CREATE TABLE many AS SELECT zeroblob(90000)",
        )
        .unwrap();
        for name in ["inbox.db", "inbox.db-journal"] {
            fs::copy(aside.path().join(name), path(name)).unwrap();
        }
        return folder;
    }
    for name in ["inbox.db", "inbox.db-wal"] {
        fs::copy(aside.path().join(name), path(name)).unwrap();
    }
    match old {
        OldInbox::Mismatched => assert!(fs::copy(path("backup.db"), path("inbox.db")).unwrap() > 0),
        OldInbox::Damaged => fs::write(path("inbox.db"), [0xa5; 40_960]).unwrap(),
        _ => {}
    }
    folder
}

#[tokio::test]
async fn a_restore_that_is_killed_at_any_step_leaves_one_whole_inbox_and_can_be_run_again() {
    for old in [
        OldInbox::Absent,
        OldInbox::Stopped,
        OldInbox::Killed,
        OldInbox::RollingBack,
        OldInbox::Mismatched,
        OldInbox::Damaged,
    ] {
        for (nth, step) in STEPS.into_iter().enumerate() {
            let folder = folder_with(old).await;
            let inbox = inbox_in(&folder);
            let status = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--ignored",
                    "--exact",
                    "sqlite::restore::tests::is_killed_as_a_child",
                ])
                .env(FOLDER, folder.path())
                .env(STEP, nth.to_string())
                .output()
                .unwrap()
                .status;
            assert!(
                !status.success(),
                "{old:?} {step:?}: the process was not killed"
            );

            let is_replaced = nth >= 3;
            let what = format!("{old:?}, killed after {step:?}");
            match old {
                _ if nth == 4 => assert_eq!(keys(&inbox).await, NEW_KEYS, "{what}"),
                OldInbox::Absent if !is_replaced => assert!(!inbox.exists(), "{what}"),
                OldInbox::Absent => assert_eq!(keys(&inbox).await, NEW_KEYS, "{what}"),
                OldInbox::Stopped | OldInbox::Killed | OldInbox::RollingBack if is_replaced => {
                    assert_eq!(keys(&inbox).await, NEW_KEYS, "{what}");
                }
                OldInbox::Stopped | OldInbox::Killed | OldInbox::RollingBack => {
                    assert_eq!(keys(&inbox).await, OLD_KEYS, "{what}");
                }
                OldInbox::Mismatched | OldInbox::Damaged => {
                    assert!(SqliteInbox::create(&inbox).is_err(), "{what}: it opens");
                }
            }
            let restored = restore(&backup_in(&folder), &inbox, false).unwrap();
            assert_eq!((restored.rows, restored.damaged.len()), (1, 0), "{what}");
            assert_eq!(keys(&inbox).await, NEW_KEYS, "{what}");
            drop(SqliteInbox::create(&inbox).unwrap());
            let is_new = old == OldInbox::Absent && !is_replaced;
            assert_eq!(restored.aside.is_none(), is_new, "{what}");
            if matches!(
                old,
                OldInbox::Stopped | OldInbox::Killed | OldInbox::RollingBack
            ) {
                let aside = path_beside(&inbox, ".before-restore");
                assert_eq!(
                    keys(&aside).await,
                    OLD_KEYS,
                    "{what}: the old inbox is kept"
                );
            }
            let names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .filter(|name| {
                    name.contains(".restoring")
                        || name.ends_with("inbox.db-wal")
                        || name.ends_with("-journal")
                })
                .collect();
            assert_eq!(names, [""; 0], "{what}: no other file is left");
        }
    }
}

/// Runs in a child process of the test above.
#[test]
#[ignore = "part of another test"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the other test passes the step"
)]
fn is_killed_as_a_child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let step: usize = std::env::var(STEP).unwrap().parse().unwrap();
    let folder = Path::new(&folder);
    let done = restore_in_steps(
        &folder.join("backup.db"),
        &folder.join("inbox.db"),
        false,
        |made| {
            if made == STEPS[step] {
                let _ = rustix::process::kill_process(
                    rustix::process::getpid(),
                    rustix::process::Signal::KILL,
                );
            }
        },
    );
    panic!("it was not killed: {done:?}");
}

#[tokio::test]
async fn an_invalid_backup_is_refused_and_the_inbox_is_unchanged() {
    let folder = folder_with(OldInbox::Killed).await;
    let path = |name: &str| folder.path().join(name);
    let refused = |backup: &str, words: &str| {
        let restored = restore(&path(backup), &path("inbox.db"), false);
        let error = restored.unwrap_err().to_string();
        assert!(error.contains(words), "{backup}: {error}");
    };
    let text = "not a database, but long enough to be one".repeat(100);
    fs::write(path("text.db"), text).unwrap();
    fs::write(path("empty.db"), "").unwrap();
    let sqlite = |name: &str, sql: &str| {
        fs::copy(path("backup.db"), path(name)).unwrap();
        rusqlite::Connection::open(path(name))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    };
    sqlite("newer.db", "PRAGMA user_version = 99");
    sqlite("other.db", "DROP TABLE notification");
    sqlite("digest.db", "UPDATE notification SET digest = zeroblob(32)");
    sqlite("state.db", "UPDATE notification SET state = 'lost'");
    let mut torn = fs::read(path("backup.db")).unwrap();
    let at = torn.len() / 4096 * 2048;
    torn[at..at + 2048].fill(0xa5);
    fs::write(path("torn.db"), torn).unwrap();
    for (backup, words) in [
        ("absent.db", "is missing: write the path of a backup"),
        ("text.db", "not a database"),
        ("empty.db", "no such table"),
        ("newer.db", "newer Pillarbox"),
        ("other.db", "no such table"),
        ("digest.db", "the bytes of 1 of its notifications"),
        ("state.db", "(pay:new)"),
        ("torn.db", "was not restored"),
        ("inbox.db", "is the inbox itself"),
    ] {
        refused(backup, words);
    }
    let lock = ServeLock::acquire(&path("inbox.db")).unwrap();
    refused("backup.db", "another `pillarbox serve` is running");
    drop(lock);
    let reading = rusqlite::Connection::open(path("inbox.db")).unwrap();
    reading
        .execute_batch("BEGIN; SELECT count(*) FROM notification")
        .unwrap();
    refused("backup.db", "stop it, and run the command again");
    drop(reading);
    let writing = SqliteInbox::open(&path("inbox.db")).unwrap();
    refused("backup.db", "stop it, and run the command again");
    record(&writing, &["old2"]).await;
    drop(writing);
    assert_eq!(keys(&path("inbox.db")).await, OLD_KEYS);

    let restored = restore(&path("digest.db"), &path("inbox.db"), true).unwrap();
    assert_eq!(restored.damaged, ["pay:new"]);
}

#[tokio::test]
async fn a_backup_of_an_earlier_schema_is_restored_and_migrated() {
    let folder = folder_with(OldInbox::Stopped).await;
    let inbox = inbox_in(&folder);
    for version in 1..schema::LATEST {
        let backup = folder.path().join(format!("schema-{version}.db"));
        let db = rusqlite::Connection::open(&backup).unwrap();
        schema::create_at(&db, version).unwrap();
        db.execute_batch(
            "INSERT INTO notification (pk, v, state, attempts, budget_from, origin, event_type,
                 received_at, digest, content_digest, deflated)
             VALUES ('pay:new', 1, 'discarded', 0, 0, 'push', 'e', 0, zeroblob(32),
                 zeroblob(32), 0)",
        )
        .unwrap();
        drop(db);
        restore(&backup, &inbox, false).unwrap();
        let restored = SqliteInbox::open_read_only(&inbox).unwrap();
        assert_eq!(restored.inspect().await.unwrap().schema, schema::LATEST);
        let all = RowFilter::default();
        let listed = restored.list(&all, PageRequest::first(9)).await;
        assert_eq!(listed.unwrap().rows.len(), 1);
        drop(restored);
        drop(SqliteInbox::open(&inbox).unwrap());
    }
}

#[tokio::test]
async fn a_symbolic_link_to_the_inbox_is_kept_and_only_its_owner_may_read_the_copy() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder_with(OldInbox::Stopped).await;
    let inbox = inbox_in(&folder);
    let backup = backup_in(&folder);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&inbox, &link).unwrap();
    fs::set_permissions(&backup, fs::Permissions::from_mode(0o644)).unwrap();
    restore(&backup, &link, false).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(keys(&inbox).await, NEW_KEYS);
    assert_eq!(fs::metadata(&inbox).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_restore_keeps_the_inbox_that_the_first_one_replaced() {
    let folder = folder_with(OldInbox::Killed).await;
    let inbox = inbox_in(&folder);
    let backup = backup_in(&folder);
    let first = restore(&backup, &inbox, false).unwrap().aside.unwrap();
    let running = Arc::new(SqliteInbox::create(&inbox).unwrap());
    record(&running, &["later"]).await;
    let new = pay("new", "payment", "card_payment_succeeded", NOW).key;
    let erase = DiscardRequest {
        erase: true,
        now: NOW,
        expires_at: NOW,
    };
    running.discard(&new, &erase).await.unwrap();
    drop(running);
    let second = restore(&backup, &inbox, false).unwrap().aside.unwrap();
    assert_ne!(first, second);
    assert_eq!(keys(&first).await, OLD_KEYS);
    assert_eq!(keys(&inbox).await, NEW_KEYS);
}
