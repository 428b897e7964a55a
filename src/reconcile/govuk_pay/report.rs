//! What was found among the payments.

use super::ExpectedEvent;
use crate::{
    domain::{Id, Key, Timestamp},
    reconcile::ReconcileStats,
};

/// What a run found among GOV.UK Pay's payments.
#[derive(Clone, Debug, Default)]
pub struct PaymentsReport {
    /// The window: payments created from the first of these until before the second.
    pub window: Option<(Timestamp, Timestamp)>,
    /// How many payments were looked at in this run.
    pub payments: usize,
    /// Which events never received, in the order in which they were found.
    pub missing: Vec<MissingEvent>,
    /// How many payments could not be read.
    pub unreadable: usize,
}

/// An event that never received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEvent {
    /// The payment it is about.
    pub payment: Id,
    /// Which it is.
    pub what: ExpectedEvent,
    /// When what it tells of had happened, at the latest.
    pub since: Timestamp,
    /// The key of the observation: the payment as it is, recorded in position of the event.
    pub key: Key,
    /// Whether it was recorded just now.
    pub observed: ObservationStatus,
}

/// Whether an observation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservationStatus {
    /// Now.
    First,
    /// By an earlier run; the payment is as it was.
    Before,
    /// Not at all, since that was not asked for.
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
            recorded: observed(ObservationStatus::First),
            duplicates: observed(ObservationStatus::Before),
            missing: self.missing.len(),
            errors: self.unreadable,
            ..ReconcileStats::default()
        }
    }
}
