//! What was found among the payments.

use super::What;
use crate::{
    notification::{Id, Key, Timestamp},
    reconcile::Numbers,
};

/// What a run found among GOV.UK Pay's payments.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The window: payments created from the first of these until before the second.
    pub window: Option<(Timestamp, Timestamp)>,
    /// How many payments were looked at in this run.
    pub payments: usize,
    /// Which events never came, in the order in which they were found.
    pub missing: Vec<Missing>,
    /// How many payments could not be read.
    pub unreadable: usize,
}

/// An event that never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The payment it is about.
    pub payment: Id,
    /// Which it is.
    pub what: What,
    /// When what it tells of had happened, at the latest.
    pub since: Timestamp,
    /// The key of the observation: the payment as it is, recorded in place of the event.
    pub key: Key,
    /// Whether it was recorded just now.
    pub observed: Observed,
}

/// Whether an observation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Now.
    First,
    /// By an earlier run; the payment is as it was.
    Before,
    /// Not at all, since that was not asked for.
    No,
}

impl Report {
    pub(in crate::reconcile) fn numbers(&self) -> Numbers {
        let observed = |how| {
            let mut keys: Vec<_> = self.missing.iter().filter(|one| one.observed == how).map(|one| &one.key).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        };
        Numbers {
            seen: self.payments,
            recorded: observed(Observed::First),
            duplicates: observed(Observed::Before),
            missing: self.missing.len(),
            troubles: self.unreadable,
            ..Numbers::default()
        }
    }
}
