//! What waits: how much is open, dead or held, and since when.

use bytes::Bytes;

use super::{claimed, dead, expiry, later, paid, pay_source, recorded};
use crate::{
    domain::{SourceName, Timestamp},
    inbox::{Inbox, Mark, PendingGauges, SummaryRequest, SweepStatus, last_sweep},
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

pub async fn measures_the_pending_rows_and_tells_conflicts_from_other_held_rows(
    inbox: &impl Inbox,
) {
    let gauges = async |limit| inbox.pending_gauges(later(15), limit).await.unwrap();
    assert_eq!(gauges(10).await, PendingGauges::default());
    for second in [20, 10, 5] {
        let mut entry = paid(&format!("open{second}"));
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    let delivered = recorded(inbox, "delivered").await;
    let fence = claimed(inbox, &delivered, NOW, 1).await;
    let mark = Mark::Delivered {
        expires_at: expiry(90),
    };
    inbox.mark(&fence, &mark).await.unwrap();
    for id in ["dead1", "dead2", "dead3"] {
        dead(inbox, &recorded(inbox, id).await).await;
    }
    let held = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
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
    assert_eq!(
        gauges(10).await,
        expected,
        "what is younger than 15 s does not count as open"
    );
    let fewer = gauges(1).await;
    assert!(
        fewer.dead_rows >= 1 && fewer.dead_rows <= 3,
        "a limit makes it less: {fewer:?}"
    );
}

pub async fn sums_up_what_waits_and_says_when_there_is_more(inbox: &impl Inbox) {
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
    for second in [20, 10, 5] {
        let mut entry = paid(&format!("open{second}"));
        entry.received_at = later(second);
        inbox.record(&entry).await.unwrap();
    }
    let failed = recorded(inbox, "failed").await;
    let fence = claimed(inbox, &failed, NOW, 1).await;
    let mark = Mark::Retry {
        due_at: later(1_000),
        error: "503".into(),
    };
    inbox.mark(&fence, &mark).await.unwrap();
    dead(inbox, &recorded(inbox, "dead").await).await;
    let held = entry(SenderKind::GOVUK_PAY, "pay", Bytes::from_static(b"{}"));
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
        "rows without an attempt are not retried"
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

    // A limit is shared by the shards, each of which counts at least one row.
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
    dead(inbox, &entries[1].key).await;
    let fence = claimed(inbox, &entries[3].key, NOW, 1).await;
    inbox
        .mark(
            &fence,
            &Mark::Delivered {
                expires_at: expiry(90),
            },
        )
        .await
        .unwrap();

    let subjects = ["p1", "p2"].map(str::to_owned).into();
    let mut pending = inbox
        .pending_events(&pay_source(), &subjects)
        .await
        .unwrap();
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
    assert_eq!(
        inbox
            .pending_events(&SourceName::new("pa").unwrap(), &subjects)
            .await
            .unwrap(),
        []
    );
}
