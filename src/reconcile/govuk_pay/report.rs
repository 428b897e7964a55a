//! The report of GOV.UK Pay's payments.

use super::ExpectedEvent;
use crate::{
    domain::{Key, NotificationId, Timestamp},
    reconcile::ReconcileStats,
};

/// The findings of a run among GOV.UK Pay's payments.
#[derive(Clone, Debug, Default)]
pub struct PaymentsReport {
    /// The window: payments created from the first of these until before the second.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The payments that this run checked.
    pub payments: usize,
    /// The events that were recorded of a source without a webhook, or would be in a dry run.
    pub observed: usize,
    /// The missing events, in the order in which they were found.
    pub missing: Vec<MissingEvent>,
    /// The payments that could not be read.
    pub unreadable: usize,
}

/// An event that was not received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEvent {
    /// The payment of the event.
    pub payment: NotificationId,
    /// The event.
    pub what: ExpectedEvent,
    /// The latest time at which the event happened.
    pub since: Timestamp,
    /// The key of the observation: the current payment, recorded in place of the event.
    pub key: Key,
    /// Whether the observation was recorded now.
    pub observed: ObservationStatus,
}

/// Whether an observation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationStatus {
    /// Now.
    First,
    /// Recorded by an earlier run. The payment has not changed since.
    Before,
    /// Not recorded, because this is a dry run.
    No,
}

impl PaymentsReport {
    pub(in crate::reconcile) fn stats(&self) -> ReconcileStats {
        let observed = |how| {
            let mut keys: Vec<_> = self
                .missing
                .iter()
                .filter(|one| one.observed == how)
                .map(|one| &one.key)
                .collect();
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        };
        ReconcileStats {
            seen: self.payments,
            recorded: self.observed + observed(ObservationStatus::First),
            duplicates: observed(ObservationStatus::Before),
            missing: self.missing.len(),
            errors: self.unreadable,
            ..ReconcileStats::default()
        }
    }
}
