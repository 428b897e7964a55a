//! Changes without the writer, at their limits.

use tempfile::TempDir;

use super::*;
use crate::sqlite::{SqliteInbox, connection, tests::incompressible};
use pillarbox::{
    inbox::{DeliveryHistory, LeaseId},
    senders::{
        SenderKind,
        example::{NOW, entry, pay},
    },
};

/// A connection to a new file, and its folder.
fn new_file() -> (Connection, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("inbox.db");
    drop(SqliteInbox::create(&path).unwrap());
    (connection::open(&path).unwrap(), folder)
}

fn record_first(db: &mut Connection, entry: &Entry) {
    let recorded = record(db, &PreparedInsert::new(entry));
    assert!(matches!(recorded, Ok(RecordOutcome::First)));
}

#[test]
fn a_mark_of_a_row_of_a_later_version_is_an_error_and_a_late_one_is_lost() {
    let (mut db, _folder) = new_file();
    let entry = pay("m1", "p", "card_payment_captured", NOW);
    record_first(&mut db, &entry);
    let fence = Fence {
        key: entry.key.clone(),
        attempt: 1,
        lease: LeaseId(1),
        parts: None,
        history: DeliveryHistory::default(),
    };
    let delivered = Mark::Delivered { expires_at: NOW };
    let lost = mark(&db, &fence, &delivered);
    assert!(matches!(lost, Ok(MarkOutcome::Lost)));
    db.execute("UPDATE notification SET v = ?1", [ROW_VERSION + 1])
        .unwrap();
    let refused = mark(&db, &fence, &delivered);
    assert!(matches!(
        refused,
        Err(SqliteError::Inbox(InboxError::NewerRow { found, .. })) if found == ROW_VERSION + 1
    ));
}

#[test]
fn a_body_of_eight_kilobytes_is_in_its_row_and_a_longer_one_is_separate() {
    let (mut db, _folder) = new_file();
    for (bytes, separate) in [(8 * 1024, 0), (8 * 1024 + 1, 1)] {
        let body = incompressible(4096)[..bytes].to_vec();
        let entry = entry(SenderKind::GOVUK_PAY, "pay", body.into());
        assert_eq!(StoredBody::pack(&entry.body).bytes.len(), bytes);
        record_first(&mut db, &entry);
        let count = db.query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0));
        assert_eq!(count.unwrap(), separate, "{bytes}");
    }
}

#[test]
fn a_batch_that_removes_its_limit_of_ledger_entries_is_not_the_last() {
    let (db, _folder) = new_file();
    for n in 0..3 {
        let event = EventName {
            source: "pay".to_owned(),
            subject: format!("p{n}"),
            event: "captured".to_owned(),
        };
        let key = Key::parse("pay:m1").unwrap();
        let claimed = claim_event(&db, &event, &key, NOW);
        assert!(matches!(claimed, Ok(EventClaim::Acquired)));
    }
    for is_last in [false, true] {
        let batch = purge(&db, NOW, 2).unwrap();
        assert_eq!((batch.rows, batch.is_last), (0, is_last));
    }
}
