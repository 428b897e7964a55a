//! What has come of the payments of one page.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use super::judge::ReceivedEvents;
use crate::{
    domain::{Id, Timestamp},
    inbox::{PendingEvent, ReconcileInbox},
    reconcile::{LockedRun, RunEnd},
    senders::Payment,
};

/// How many ledgers are read at once.
const AT_ONCE: usize = 16;
/// How long what is not finished is gone by: a destination may be down, and the list a long one.
const PENDING_MAX_AGE: Duration = Duration::from_secs(30);

/// What the ledgers of `payments` say has come, in their order.
pub(super) async fn ledgers(
    run: &LockedRun<'_, impl ReconcileInbox>,
    payments: &[Payment],
) -> Result<Vec<ReceivedEvents>, RunEnd> {
    let mut ledgers = Vec::with_capacity(payments.len());
    for some in payments.chunks(AT_ONCE) {
        let reads = some
            .iter()
            .map(|payment| run.inbox().ledger_entries(run.source, payment.id.as_str()));
        for ledger in join_all(reads).await {
            ledgers.push(ReceivedEvents::new(ledger?, []));
        }
    }
    Ok(ledgers)
}

/// All that can be known of a page's payments, for those whose ledger alone does not account for
/// them.
pub(super) struct ReceivedEventsReader {
    subjects: BTreeSet<String>,
    unfinished: Vec<PendingEvent>,
    read_at: Option<Timestamp>,
}

impl ReceivedEventsReader {
    /// Those of `payments`; nothing is read before it is needed.
    pub(super) fn of(payments: &[Payment]) -> Self {
        let subjects = payments
            .iter()
            .map(|payment| payment.id.as_str().to_owned())
            .collect();
        Self {
            subjects,
            unfinished: Vec::new(),
            read_at: None,
        }
    }

    /// Everything that has come of a payment. What is not finished is asked for first: what leaves
    /// that list is in the ledger by then.
    pub(super) async fn received_events(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
        payment: &Id,
    ) -> Result<ReceivedEvents, RunEnd> {
        let now = run.now();
        if self
            .read_at
            .is_none_or(|read_at| now < read_at || now.since(read_at) > PENDING_MAX_AGE)
        {
            self.unfinished = run
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
            self.unfinished
                .iter()
                .filter(|row| row.subject == payment.as_str()),
        ))
    }
}
