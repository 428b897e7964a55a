//! The audit trail lists the acts of people with their outcomes.

use super::later;
use crate::inbox::{
    AuditAction, AuditEntry, AuditOutcome, Inbox, PageRequest, PendingGauges, RowFilter,
};

pub async fn lists_the_audit_trail_newest_first_with_the_last_outcome_of_each_act(
    inbox: &impl Inbox,
) {
    let act = |seconds: u64, id: u64, action: AuditAction, outcome: AuditOutcome| AuditEntry {
        at: later(seconds),
        id,
        actor: "alice@laptop".into(),
        action,
        target: "pay:m1".into(),
        planned: (outcome != AuditOutcome::Failed).then_some(3),
        done: u64::from(outcome == AuditOutcome::Done),
        outcome,
    };
    let started = act(1, u64::MAX, AuditAction::Replay, AuditOutcome::Started);
    let acts = [
        act(1, u64::MAX, AuditAction::Replay, AuditOutcome::Done),
        act(2, 7, AuditAction::Discard, AuditOutcome::Stopped),
        act(3, 8, AuditAction::Erase, AuditOutcome::Failed),
        act(4, 9, AuditAction::Unmask, AuditOutcome::Done),
        act(5, 10, AuditAction::Import, AuditOutcome::Started),
        act(6, 11, AuditAction::SendSample, AuditOutcome::Done),
    ];
    assert_eq!(inbox.audit_entries(None, 10).await.unwrap(), []);
    let expires_at = later(24 * 60 * 60);
    inbox.write_audit_entry(&started, expires_at).await.unwrap();
    for act in &acts {
        inbox.write_audit_entry(act, expires_at).await.unwrap();
        inbox.write_audit_entry(act, expires_at).await.unwrap(); // as after a lost reply
    }
    let newest_first: Vec<AuditEntry> = acts.iter().rev().cloned().collect();
    for (since, limit, expected) in [
        (None, 10, &newest_first[..]),
        (None, 2, &newest_first[..2]),
        (Some(later(3)), 10, &newest_first[..4]),
        (Some(later(7)), 10, &[]),
    ] {
        let listed = inbox.audit_entries(since, limit).await.unwrap();
        assert_eq!(listed, expected, "{since:?} {limit}");
    }
    let all = RowFilter::default();
    let listed = inbox.list(&all, PageRequest::first(10)).await.unwrap();
    assert!(listed.rows.is_empty(), "an entry is not a notification");
    let gauges = inbox.pending_gauges(later(100), 10).await.unwrap();
    assert_eq!(gauges, PendingGauges::default());
}
