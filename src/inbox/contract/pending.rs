//! The pending index: how many rows are open, dead or held, and since when.

use bytes::Bytes;

use super::{
    claim, later, mark_dead, mark_delivered, paid, pay_source, record_paid, retry, unreadable,
};
use crate::{
    domain::{SourceName, Timestamp},
    inbox::{Inbox, PendingGauges, SummaryRequest, SweepStatus, last_sweep},
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

/// Records rows that were received 20, 10 and 5 seconds after the other rows.
async fn record_open_rows(inbox: &impl Inbox) {
    for second in [20, 10, 5] {
        let mut entry = paid(&format!("open{second}"));
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
}

pub async fn counts_pending_rows_with_conflicts_apart_from_other_held_rows(inbox: &impl Inbox) {
    let gauges = async |limit| inbox.pending_gauges(later(15), limit).await.unwrap();
    assert_eq!(gauges(10).await, PendingGauges::default());
    record_open_rows(inbox).await;
    let delivered = record_paid(inbox, "delivered").await;
    mark_delivered(inbox, &delivered).await;
    for id in ["dead1", "dead2", "dead3"] {
        mark_dead(inbox, &record_paid(inbox, id).await).await;
    }
    let held = unreadable();
    inbox.record(&held).await.unwrap();
    let mut first = hmrc("n1", "first");
    first.received_at = later(20);
    inbox.record(&first).await.unwrap();
    inbox.record(&hmrc("n1", "other")).await.unwrap();

    let expected = PendingGauges {
        open_rows: 2,
        oldest_open: Some(later(5)),
        dead_rows: 3,
        held_rows: 1,
        conflict_rows: 1,
    };
    assert_eq!(gauges(10).await, expected);
    let fewer = gauges(1).await;
    assert!(fewer.dead_rows >= 1 && fewer.dead_rows <= 3, "{fewer:?}");
}

pub async fn summarises_the_waiting_rows_up_to_a_limit(inbox: &impl Inbox) {
    let summary = async |limit| {
        let request = SummaryRequest {
            overdue_before: later(15),
            expired_before: NOW,
            limit,
        };
        inbox.summary(&request).await.unwrap()
    };
    let empty = summary(100).await;
    assert!(empty.open.is_empty() && empty.dead.is_empty() && empty.held.is_empty());
    record_open_rows(inbox).await;
    let failed = record_paid(inbox, "failed").await;
    let fence = claim(inbox, &failed, NOW, 1).await;
    inbox.mark(&fence, &retry(later(1_000))).await.unwrap();
    mark_dead(inbox, &record_paid(inbox, "dead").await).await;
    let held = unreadable();
    inbox.record(&held).await.unwrap();
    inbox.record(&hmrc("n1", "first")).await.unwrap();
    inbox.record(&hmrc("n1", "other")).await.unwrap();

    let all = summary(1_000).await;
    assert_eq!((all.open.rows, all.dead.rows, all.held.rows), (5, 1, 2));
    assert!(!all.open.has_more && !all.dead.has_more && !all.held.has_more);
    assert_eq!((all.open.oldest, all.overdue), (Some(NOW), 4));
    let retrying: Vec<_> = all.retrying.iter().map(|row| &row.key).collect();
    assert_eq!(
        retrying,
        [&failed],
        "rows without an attempt are not included"
    );
    assert!(all.retrying[0].body.is_none());
    let reasons = all
        .held_reasons
        .iter()
        .map(|(reason, rows)| (reason.as_str(), *rows));
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        [("conflict", 1), ("unreadable", 1)]
    );
    assert_eq!(all.expired, None);

    // The shards share the limit, and each of them counts at least one row.
    let fewer = summary(1).await;
    assert!(fewer.open.rows < 5 && fewer.open.has_more, "{fewer:?}");
}

pub async fn keeps_the_status_of_the_last_sweep(inbox: &impl Inbox) {
    assert_eq!(last_sweep(inbox).await.unwrap(), None);
    for (second, open) in [(1, &["pay", "hmrc"][..]), (2, &[])] {
        let open = open.iter().map(|source| (*source).to_owned());
        let status = SweepStatus::new(later(second), open.collect());
        inbox.record_sweep(&status, second).await.unwrap();
        assert_eq!(last_sweep(inbox).await.unwrap(), Some(status));
    }
}

pub async fn lists_the_open_dead_and_held_events_of_subjects(inbox: &impl Inbox) {
    let entries = [
        pay("open", "p1", "card_payment_succeeded", NOW),
        pay("dead", "p1", "card_payment_captured", NOW),
        pay(
            "held",
            "p2",
            "card_payment_failed",
            Timestamp::from_millis(0),
        ),
        pay("done", "p2", "card_payment_expired", NOW),
        pay("other", "p3", "card_payment_expired", NOW),
        entry(SenderKind::GOVUK_PAY, "pays", Bytes::from_static(b"{}")),
    ];
    for entry in &entries {
        inbox.record(entry).await.unwrap();
    }
    mark_dead(inbox, &entries[1].key).await;
    mark_delivered(inbox, &entries[3].key).await;

    let subjects = ["p1", "p2"].map(str::to_owned).into();
    let pending_of = async |source: &SourceName| {
        let pending = inbox.pending_events(source, &subjects).await;
        pending.unwrap()
    };
    let mut pending = pending_of(&pay_source()).await;
    pending.sort();
    let pending: Vec<_> = pending
        .iter()
        .map(|row| format!("{} {} {}", row.key, row.event_type, row.subject))
        .collect();
    assert_eq!(
        pending,
        [
            "pay:dead card_payment_captured p1",
            "pay:held card_payment_failed p2",
            "pay:open card_payment_succeeded p1"
        ]
    );
    assert_eq!(pending_of(&SourceName::new("pa").unwrap()).await, []);
}
