//! Reads the events received for the payments of one page.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use super::judge::ReceivedEvents;
use crate::{
    domain::{NotificationId, Timestamp},
    inbox::{PendingEvent, ReconcileInbox},
    reconcile::{LockedRun, RunEnd},
    senders::Payment,
};

/// The maximum number of ledgers that are read concurrently.
const CONCURRENCY: usize = 16;
/// How long a read of the pending index is reused. While a destination is down, the index is long.
const PENDING_MAX_AGE: Duration = Duration::from_secs(30);

/// The events in the ledgers of `payments`, in their order.
pub(super) async fn ledgers(
    run: &LockedRun<'_, impl ReconcileInbox>,
    payments: &[Payment],
) -> Result<Vec<ReceivedEvents>, RunEnd> {
    let mut ledgers = Vec::with_capacity(payments.len());
    for some in payments.chunks(CONCURRENCY) {
        let reads = some
            .iter()
            .map(|payment| run.inbox().ledger_entries(run.source, payment.id.as_str()));
        for ledger in join_all(reads).await {
            ledgers.push(ReceivedEvents::new(ledger?, []));
        }
    }
    Ok(ledgers)
}

/// Reads the events of payments whose ledger alone does not have all expected ones.
pub(super) struct ReceivedEventsReader {
    subjects: BTreeSet<String>,
    pending: Vec<PendingEvent>,
    read_at: Option<Timestamp>,
}

impl ReceivedEventsReader {
    /// A reader for `payments`. Nothing is read yet.
    pub(super) fn of<'p>(payments: impl Iterator<Item = &'p NotificationId>) -> Self {
        let subjects = payments.map(|id| id.as_str().to_owned()).collect();
        Self {
            subjects,
            pending: Vec::new(),
            read_at: None,
        }
    }

    /// Every event received for a payment. The pending index is read before the ledger, because a
    /// row that leaves the index in between is in the ledger by then.
    pub(super) async fn received_events(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
        payment: &NotificationId,
    ) -> Result<ReceivedEvents, RunEnd> {
        let now = run.now();
        if self
            .read_at
            .is_none_or(|read_at| now < read_at || now.since(read_at) > PENDING_MAX_AGE)
        {
            self.pending = run
                .inbox()
                .pending_events(run.source, &self.subjects)
                .await?;
            self.read_at = Some(now);
        }
        let ledger = run
            .inbox()
            .ledger_entries(run.source, payment.as_str())
            .await?;
        Ok(ReceivedEvents::new(
            ledger,
            self.pending
                .iter()
                .filter(|row| row.subject == payment.as_str()),
        ))
    }
}
