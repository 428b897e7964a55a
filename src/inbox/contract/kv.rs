//! The key-value store: an entry is replaced only if its version is the one that was read.

use crate::inbox::{CasOutcome, Inbox, KvEntry, KvKey, PageRequest, RowFilter};

fn entry_of(version: u64, text: &str) -> KvEntry {
    KvEntry {
        version,
        text: text.to_owned(),
    }
}

pub async fn swaps_an_entry_only_for_the_expected_version(inbox: &impl Inbox) {
    let (key, other) = (KvKey::new("lock", "hmrc"), KvKey::new("lock", "pay"));
    assert_eq!(inbox.kv_get(&key).await.unwrap(), None);
    let (first, second) = (entry_of(u64::MAX, ""), entry_of(2, "until 7 – ✓"));
    assert_eq!(
        inbox.compare_and_swap(&key, Some(1), &first).await.unwrap(),
        CasOutcome::Conflict(None),
        "no entry is stored"
    );
    for _ in 0..2 {
        let swapped = inbox.compare_and_swap(&key, None, &first).await.unwrap();
        assert_eq!(swapped, CasOutcome::Stored, "a swap can be repeated");
    }
    assert_eq!(
        inbox.compare_and_swap(&key, None, &second).await.unwrap(),
        CasOutcome::Conflict(Some(first.clone()))
    );
    for _ in 0..2 {
        assert_eq!(
            inbox
                .compare_and_swap(&key, Some(u64::MAX), &second)
                .await
                .unwrap(),
            CasOutcome::Stored
        );
    }
    let late = inbox
        .compare_and_swap(&key, Some(u64::MAX), &entry_of(3, "late"))
        .await
        .unwrap();
    assert_eq!(late, CasOutcome::Conflict(Some(second.clone())));
    assert_eq!(inbox.kv_get(&key).await.unwrap(), Some(second));
    assert_eq!(inbox.kv_get(&other).await.unwrap(), None);
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(10)).await.unwrap();
    assert!(
        listed.rows.is_empty() && listed.newer.is_empty(),
        "an entry is not a notification"
    );
}

pub async fn lets_one_of_many_concurrent_swaps_succeed(inbox: &impl Inbox) {
    let key = KvKey::new("turn", "box");
    let mut expected = None;
    for round in 1..4 {
        // All write the same text, so only the version shows which succeeded.
        let entries: Vec<_> = (0..32)
            .map(|writer| entry_of(round * 100 + writer, "now"))
            .collect();
        let swaps = entries
            .iter()
            .map(|next| inbox.compare_and_swap(&key, expected, next));
        let swapped = futures_util::future::join_all(swaps).await;
        let winners: Vec<_> = entries
            .iter()
            .zip(swapped)
            .filter(|(_, outcome)| *outcome.as_ref().unwrap() == CasOutcome::Stored)
            .collect();
        assert_eq!(winners.len(), 1);
        expected = Some(winners[0].0.version);
    }
}
