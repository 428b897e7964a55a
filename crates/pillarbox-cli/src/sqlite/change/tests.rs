//! Changes made without the writer, where their limits are.

use tempfile::TempDir;

use super::*;
use crate::sqlite::{SqliteInbox, connection};
use pillarbox::{
    inbox::{DeliveryHistory, LeaseId},
    senders::{
        SenderKind,
        example::{NOW, entry, pay},
    },
};

/// A connection to a new file, which is in the folder.
fn new_file() -> (Connection, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("inbox.db");
    drop(SqliteInbox::create(&path).unwrap());
    (connection::open(&path).unwrap(), folder)
}

fn inserted(db: &mut Connection, entry: &Entry) {
    let recorded = record(db, &PreparedInsert::new(entry));
    assert!(matches!(recorded, Ok(RecordOutcome::First)));
}

#[test]
fn a_mark_of_a_row_of_a_later_version_is_an_error_and_a_late_one_is_lost() {
    let (mut db, _folder) = new_file();
    let entry = pay("m1", "p", "card_payment_captured", NOW);
    inserted(&mut db, &entry);
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
fn a_body_of_eight_kilobytes_is_in_its_row_and_a_longer_one_is_not() {
    let (mut db, _folder) = new_file();
    // Bytes that do not shrink.
    let noise: Vec<u8> = (0..4096u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for (bytes, separate) in [(8 * 1024, 0), (8 * 1024 + 1, 1)] {
        let body = noise[..bytes].to_vec();
        let entry = entry(SenderKind::GOVUK_PAY, "pay", body.into());
        assert_eq!(StoredBody::pack(&entry.body).bytes.len(), bytes);
        inserted(&mut db, &entry);
        let count = db.query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0));
        assert_eq!(count.unwrap(), separate, "{bytes}");
    }
}

#[test]
fn a_batch_of_as_many_ledger_entries_as_its_limit_is_not_the_last() {
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
