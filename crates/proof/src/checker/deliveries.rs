//! Checks the calls of destinations, and the events that they accept.

use super::{BUDGET_MILLIS, HistoryChecker, is_payment};
use crate::history::{RowState, Sha256Digest};

impl<'a> HistoryChecker<'a> {
    pub(super) fn delivering(&mut self, at: i64, key: &'a str, call: u32) {
        let (faults, is_skewed) = (self.faults, self.is_skewed);
        let row = self.rows.entry(key).or_default();
        let is_alone = row.calls.is_empty() || row.freezes > 0 || is_skewed;
        let (state, attempts, spent) = (row.state, row.attempts, at - row.budget_from);
        row.calls.insert(call);
        row.deliveries += 1;
        let is_claimed = row.deliveries <= row.claims;
        self.require(is_claimed, "attempts", || {
            format!("{key} was delivered more often than it was claimed")
        });
        // After a fault, a lapsed claim may still deliver a row that is finished by now.
        let is_open = state == Some(RowState::Open) || faults > 0;
        let row_faults = self.rows.get(key).map_or(0, |row| row.faults);
        self.require(is_open || row_faults > 0, "I8", || {
            format!("{key} was delivered while it was {state:?}")
        });
        self.require(is_alone, "lease", || {
            format!("two attempts deliver {key} simultaneously")
        });
        let is_in_budget = attempts <= 1 || spent < BUDGET_MILLIS || is_skewed;
        self.require(
            is_in_budget || row_faults > 0 && spent < BUDGET_MILLIS * 2,
            "budget",
            || format!("attempt {attempts} of {key} began {spent} ms after the budget began"),
        );
    }

    pub(super) fn returned(&mut self, key: &str, call: u32, refused: bool) {
        if let Some(row) = self.rows.get_mut(key) {
            row.calls.remove(&call);
            row.refusals += usize::from(refused);
        }
    }

    pub(super) fn accepted(&mut self, key: &'a str, call: u32, digest: Sha256Digest) {
        // Two processes whose clocks differ by more than a lease may deliver the same row.
        let is_skewed = self.is_skewed;
        let row = self.rows.entry(key).or_default();
        row.accepted += 1;
        row.accepted_since_claim = true;
        let is_known = row.calls.contains(&call);
        let bytes = *row.delivered.get_or_insert(digest);
        let (accepted, allowed) = (row.accepted, 1 + row.replays + row.faults + self.faults);
        let was_stored = row.was_stored();
        let content = row.content;
        self.require(is_known, "attempts", || {
            format!("{key} was accepted outside a call")
        });
        self.require(was_stored, "I4", || {
            format!("{key} was delivered but not stored")
        });
        self.require(bytes == digest, "I3", || {
            format!("{key} was delivered with other bytes")
        });
        self.require(accepted <= allowed || is_skewed, "I3b", || {
            format!("{key} was accepted {accepted} times, but at most {allowed} are explained")
        });
        if let Some(content) = content.filter(|_| is_payment(key)) {
            let owner = *self.events.entry(content).or_insert(key);
            self.require(owner == key, "ledger", || {
                format!("one payment event was delivered as {owner} and as {key}")
            });
        }
    }
}
