//! Counts attempts by outcome.

use super::{AttemptOutcome, AttemptResult};

/// The attempts of a run, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The destination has the event.
    pub delivered: u64,
    /// The same event as that of another key.
    pub repeat: u64,
    /// Failed, and due again.
    pub retry: u64,
    /// Refused permanently, or out of budget.
    pub dead: u64,
    /// Held for a person.
    pub held: u64,
    /// Not claimed: the row is not open, not due, or leased.
    pub not_ours: u64,
    /// The claim had ended before the mark.
    pub lost: u64,
    /// The row has no outcome.
    pub unwritten: u64,
}

impl AttemptCounts {
    /// Counts one attempt.
    pub(super) fn add(&mut self, attempt: &AttemptResult) {
        let count = match attempt.ended.as_ref().map(|processed| &processed.outcome) {
            Ok(AttemptOutcome::Delivered) => &mut self.delivered,
            Ok(AttemptOutcome::Repeat(_)) => &mut self.repeat,
            Ok(AttemptOutcome::Retry { .. }) => &mut self.retry,
            Ok(AttemptOutcome::Dead(_)) => &mut self.dead,
            Ok(AttemptOutcome::Held(_)) => &mut self.held,
            Ok(AttemptOutcome::NotOurs) => &mut self.not_ours,
            Ok(AttemptOutcome::Lost(_)) => &mut self.lost,
            Err(_) => &mut self.unwritten,
        };
        *count += 1;
    }
}
