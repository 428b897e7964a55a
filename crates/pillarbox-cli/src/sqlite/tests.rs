//! Tests of what only this inbox has: its file, and a disk that fails.

use std::{ops::Deref, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use pillarbox::{
    inbox::{DiscardRequest, SourceFilter},
    senders::example::{NOW, pay},
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

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_its_rows_and_learns_to_keep_memos() {
    let fresh = TempInbox::new();
    fresh.record(&paid("m1")).await.unwrap();
    let file = fresh.file();
    drop(fresh.inbox);
    let before = Connection::open(&file).unwrap();
    before
        .execute_batch(
            "DROP TABLE memo; ALTER TABLE notification DROP COLUMN kind; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(before);

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

/// A copy of the file of an inbox with one row, in a folder of its own.
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
    assert_eq!(inbox.pending_counts().await.unwrap().len(), 1);
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
    std::fs::write(folder.path().join("b.db.partial"), "of a killed backup").unwrap();
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
    let found = TempInbox::new().inspect().await.unwrap();
    assert_eq!(
        (found.journal_mode.as_str(), found.flushes_every_commit),
        ("wal", true)
    );
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

#[tokio::test]
async fn a_file_that_was_replaced_is_read_as_it_is_now() {
    let (fresh, other) = (TempInbox::new(), TempInbox::new());
    fresh.record(&paid("m1")).await.unwrap();
    let elsewhere = other.file();
    drop(other.inbox); // its last connection leaves one whole file
    std::fs::rename(fresh.file(), fresh.folder.path().join("aside.db")).unwrap();
    let key = paid("m1").key;
    assert!(
        fresh
            .get(&key)
            .await
            .unwrap_err()
            .to_string()
            .contains("no longer there")
    );

    std::fs::copy(elsewhere, fresh.file()).unwrap();
    for left_over in ["inbox.db-wal", "inbox.db-shm"] {
        std::fs::remove_file(fresh.folder.path().join(left_over)).unwrap();
    }
    assert!(fresh.get(&key).await.unwrap().is_none());
    assert_eq!(fresh.record(&paid("m1")).await.unwrap(), Recorded::First);
    assert!(
        fresh.get(&key).await.unwrap().is_some(),
        "rows are read from where they are written to"
    );
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
            .purge(expiry.minus(Duration::from_millis(1)), 10)
            .await
            .unwrap(),
        0
    );
    assert_eq!(fresh.purge(expiry, 10).await.unwrap(), 1);
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
