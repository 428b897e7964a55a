//! Acts on an inbox with injected failures.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio_util::sync::CancellationToken;

use super::{ActError, ActProgress, ActScope, Operator, RowAct, RowResult};
use pillarbox::{
    domain::{Key, State, Timestamp},
    inbox::{
        AuditEntry, AuditInbox, AuditOutcome, BodyCopy, DiscardOutcome, DiscardRequest,
        ImportOutcome, InboxError, InboxSummary, MemoryInbox, OperatorInbox, PageRequest,
        ReadInbox, ReceiveInbox, ReplayOutcome, Row, RowFilter, RowPage, SummaryRequest,
    },
    senders::example::{NOW, pay},
};

/// An inbox that fails after a number of replays, and whose audit trail fails after a number of
/// entries.
struct FailingInbox {
    inbox: MemoryInbox,
    replays: AtomicUsize,
    entries: AtomicUsize,
}

fn unavailable() -> InboxError {
    InboxError::Unavailable("a test has ended it".to_owned())
}

/// Decrements `left`; fails if it is zero.
fn take_one(left: &AtomicUsize) -> Result<(), InboxError> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    taken.map(drop).map_err(|_| unavailable())
}

impl ReadInbox for FailingInbox {
    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        self.inbox.get(key).await
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        self.inbox.list(filter, page).await
    }

    async fn summary(&self, request: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        self.inbox.summary(request).await
    }
}

impl OperatorInbox for FailingInbox {
    async fn replay(&self, key: &Key, now: Timestamp) -> Result<ReplayOutcome, InboxError> {
        if key.as_str() == "pay:m0" {
            return Err(InboxError::Damaged {
                key: key.clone(),
                what: "a test has damaged it",
            });
        }
        take_one(&self.replays)?;
        self.inbox.replay(key, now).await
    }

    async fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> Result<DiscardOutcome, InboxError> {
        self.inbox.discard(key, request).await
    }

    async fn import(&self, row: &Row) -> Result<ImportOutcome, InboxError> {
        self.inbox.import(row).await
    }

    async fn body_copies(&self, key: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        self.inbox.body_copies(key).await
    }
}

impl AuditInbox for FailingInbox {
    async fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        expires_at: Timestamp,
    ) -> Result<(), InboxError> {
        take_one(&self.entries)?;
        self.inbox.write_audit_entry(entry, expires_at).await
    }

    async fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        self.inbox.audit_entries(since, limit).await
    }
}

/// A person at an inbox with 100 open rows.
async fn operator(replays: usize, entries: usize) -> Operator<FailingInbox> {
    let inbox = MemoryInbox::default();
    for number in 0..100 {
        let id = format!("m{number}");
        let entry = pay(&id, "payment", "card_payment_captured", NOW);
        inbox.record(&entry).await.unwrap();
    }
    let failing = FailingInbox {
        inbox,
        replays: AtomicUsize::new(replays),
        entries: AtomicUsize::new(entries),
    };
    let retention = std::time::Duration::from_secs(90 * 24 * 60 * 60);
    Operator::new(Arc::new(failing), "alice@laptop".to_owned(), retention)
}

fn all_open() -> ActScope {
    let filter = RowFilter {
        state: Some(State::Recorded),
        ..RowFilter::default()
    };
    ActScope::new(RowAct::Replay, filter)
}

/// The only entry of the audit trail.
async fn only_entry(operator: &Operator<FailingInbox>) -> (u64, AuditOutcome) {
    let entries = operator.inbox().audit_entries(None, 10).await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    (entries[0].done, entries[0].outcome)
}

#[tokio::test]
async fn an_unreadable_row_is_left_alone_and_the_others_are_replayed() {
    let operator = operator(usize::MAX, usize::MAX).await;
    let selection = operator.select(&all_open(), 30).await.unwrap();
    assert_eq!(selection.keys.len(), 100, "of four pages");
    let (stop, mut seen) = (CancellationToken::new(), Vec::new());
    let mut on_row = |_: &Key, result: &RowResult, progress: ActProgress| {
        assert_eq!(progress.done + progress.left_alone, seen.len() + 1);
        seen.push(matches!(result, RowResult::Unreadable(_)));
    };
    let report = operator
        .act_on_all(&selection, None, &stop, &mut on_row)
        .await
        .unwrap();
    let progress = ActProgress {
        total: 100,
        done: 99,
        left_alone: 1,
    };
    assert_eq!(
        (report.progress, report.outcome),
        (progress, AuditOutcome::Done)
    );
    assert_eq!(seen.iter().filter(|unreadable| **unreadable).count(), 1);
    assert_eq!(only_entry(&operator).await, (99, AuditOutcome::Done));
}

#[tokio::test]
async fn a_failure_of_the_inbox_ends_the_act_and_the_audit_entry_has_the_progress() {
    let operator = operator(40, usize::MAX).await;
    let selection = operator.select(&all_open(), 100).await.unwrap();
    let stop = CancellationToken::new();
    let report = operator
        .act_on_all(&selection, None, &stop, &mut |_, _, _| {})
        .await
        .unwrap();
    assert_eq!(report.outcome, AuditOutcome::Failed);
    assert!(report.failure.is_some());
    assert_eq!(report.progress.done, 40);
    assert_eq!(report.progress.remaining(), 59, "all but a damaged one");
    assert_eq!(only_entry(&operator).await, (40, AuditOutcome::Failed));
    assert!(!stop.is_cancelled(), "the token is the caller's");
}

#[tokio::test]
async fn a_stopped_act_completes_only_the_changes_in_progress() {
    let operator = operator(usize::MAX, usize::MAX).await;
    let selection = operator.select(&all_open(), 100).await.unwrap();
    let stop = CancellationToken::new();
    let mut stop_at_ten = |_: &Key, _: &RowResult, progress: ActProgress| {
        if progress.done == 10 {
            stop.cancel();
        }
    };
    let report = operator
        .act_on_all(&selection, None, &stop, &mut stop_at_ten)
        .await
        .unwrap();
    assert_eq!(report.outcome, AuditOutcome::Stopped);
    let done = report.progress.done;
    assert!(
        (10..=26).contains(&done),
        "{done}: ten, and those under way"
    );
    let expected = (done as u64, AuditOutcome::Stopped);
    assert_eq!(only_entry(&operator).await, expected);
}

#[tokio::test]
async fn an_act_without_an_audit_entry_does_not_start_and_an_incomplete_entry_is_an_error() {
    let key = Key::parse("pay:m1").unwrap();
    let unaudited = operator(usize::MAX, 0).await;
    let selection = unaudited.select(&all_open(), 100).await.unwrap();
    let stop = CancellationToken::new();
    let all = unaudited
        .act_on_all(&selection, None, &stop, &mut |_, _, _| {})
        .await;
    for error in [
        all.unwrap_err(),
        unaudited.act_on(RowAct::Erase, &key).await.unwrap_err(),
        unaudited.unmask(&key, "email").await.unwrap_err(),
    ] {
        assert!(matches!(error, ActError::NotAudited(_)), "{error}");
    }
    let row = unaudited.inbox().get(&key).await.unwrap().unwrap();
    assert_eq!((row.state, row.body.is_some()), (State::Recorded, true));

    let half_audited = operator(usize::MAX, 1).await;
    let error = half_audited.act_on(RowAct::Erase, &key).await.unwrap_err();
    assert!(matches!(error, ActError::EndNotAudited(_)), "{error}");
    assert_eq!(only_entry(&half_audited).await, (0, AuditOutcome::Started));
}
