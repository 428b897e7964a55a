//! Imports: a row of another inbox is stored unchanged.

use bytes::Bytes;

use super::{claim_at, expiry, later, noise, record_paid, row};
use crate::{
    domain::{Key, Origin, State},
    inbox::{ImportOutcome, Inbox, ReplayOutcome, Row, SourceFilter},
};

/// A row in each state, with a body of any length.
fn rows(original: &Row, long: &Bytes) -> [Row; 5] {
    let mut history = original.history.clone();
    history.add_replay(later(40), 3);
    let imported = |id: &str, state: State| Row {
        key: key(id),
        state,
        due_at: state.index_partition().map(|_| later(60)),
        expires_at: state.index_partition().is_none().then(|| expiry(600)),
        attempts: 3,
        last_error: Some("https: status 503".into()),
        budget_from: later(30),
        ..original.clone()
    };
    [
        imported("open", State::Recorded),
        Row {
            reason: Some("refused".into()),
            history,
            ..imported("dead", State::Dead)
        },
        Row {
            body: Some(long.clone()),
            ..imported("delivered", State::Delivered)
        },
        Row {
            body: None,
            ..imported("erased", State::Discarded)
        },
        Row {
            body: Some(long.clone()),
            signature: None,
            key_label: None,
            secret_fingerprint: None,
            origin: Origin::Pull,
            reason: Some("imported".into()),
            ..imported("held", State::Held)
        },
    ]
}

fn key(id: &str) -> Key {
    Key::parse(&format!("pay:{id}")).unwrap()
}

pub async fn imports_a_row_unchanged_and_never_replaces_another(inbox: &impl Inbox) {
    let recorded = record_paid(inbox, "m1").await;
    let original = row(inbox, &recorded).await;
    let long = noise(800_000);
    let rows = rows(&original, &long);
    for row in &rows {
        assert_eq!(inbox.import(row).await.unwrap(), ImportOutcome::Stored);
        assert_eq!(inbox.import(row).await.unwrap(), ImportOutcome::Duplicate);
        let other = Row {
            content_digest: [7; 32],
            ..row.clone()
        };
        assert_eq!(inbox.import(&other).await.unwrap(), ImportOutcome::KeyTaken);
    }
    let without_partition = |row: Row| {
        let row = Row {
            index_partition: None,
            ..row
        };
        format!("{row:?}")
    };
    for expected in rows {
        let stored = row(inbox, &expected.key).await;
        assert_eq!(without_partition(stored), without_partition(expected));
    }
    let due = inbox.find_due(&SourceFilter::ALL, later(61), 10).await;
    assert!(due.unwrap().contains(&key("open")));
    let replayed = inbox.replay(&key("delivered"), later(70)).await.unwrap();
    assert_eq!(replayed, ReplayOutcome::Done);
    let again = inbox
        .claim(&key("delivered"), &claim_at(later(71), 5))
        .await;
    let (again, _) = again.unwrap().unwrap();
    assert_eq!(again.body, Some(long));
    let other = Row {
        content_digest: [7; 32],
        ..original
    };
    assert_eq!(inbox.import(&other).await.unwrap(), ImportOutcome::KeyTaken);
}
