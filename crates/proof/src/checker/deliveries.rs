//! What destinations are called with, and accept.

use super::{BUDGET_MILLIS, HistoryChecker, is_payment};
use crate::history::{RowState, Sha256Digest};

impl<'a> HistoryChecker<'a> {
    pub(super) fn delivering(&mut self, at: i64, key: &'a str, call: u32) {
        let (disturbances, is_skewed) = (self.disturbances, self.is_skewed);
        let row = self.rows.entry(key).or_default();
        let is_alone = row.calls.is_empty() || row.stalls > 0 || is_skewed;
        let (state, attempts, spent) = (row.state, row.attempts, at - row.budget_from);
        row.calls.insert(call);
        row.deliveries += 1;
        let is_claimed = row.deliveries <= row.claims;
        self.require(is_claimed, "attempts", || {
            format!("{key} was delivered more often than it was claimed")
        });
        // A claim that lapsed may still deliver what has ended meanwhile; a fault says so.
        let is_open = state == Some(RowState::Open) || disturbances > 0;
        let row_disturbances = self.rows.get(key).map_or(0, |row| row.disturbances);
        self.require(is_open || row_disturbances > 0, "I8", || {
            format!("{key} was delivered while it was {state:?}")
        });
        self.require(is_alone, "lease", || {
            format!("two attempts deliver {key} at once")
        });
        let is_in_budget = attempts <= 1 || spent < BUDGET_MILLIS || is_skewed;
        self.require(
            is_in_budget || row_disturbances > 0 && spent < BUDGET_MILLIS * 2,
            "budget",
            || format!("attempt {attempts} of {key} came {spent} ms after the budget began"),
        );
    }

    pub(super) fn accepted(&mut self, key: &'a str, call: u32, digest: Sha256Digest) {
        // Two processes whose clocks differ by more than a lease deliver each other's rows.
        let is_skewed = self.is_skewed;
        let row = self.rows.entry(key).or_default();
        row.accepted += 1;
        row.accepted_since_claim = true;
        let is_known = row.calls.contains(&call);
        let bytes = *row.delivered.get_or_insert(digest);
        let (accepted, allowed) = (
            row.accepted,
            1 + row.replays + row.disturbances + self.disturbances,
        );
        let was_stored = row.was_stored();
        let content = row.content;
        self.require(is_known, "attempts", || {
            format!("{key} was accepted in no call")
        });
        self.require(was_stored, "I4", || {
            format!("{key} was delivered and never stored")
        });
        self.require(bytes == digest, "I3", || {
            format!("{key} was delivered with other bytes")
        });
        self.require(accepted <= allowed || is_skewed, "I3b", || {
            format!("{key} was accepted {accepted} times, with {allowed} explained")
        });
        if let Some(content) = content.filter(|_| is_payment(key)) {
            let owner = *self.events.entry(content).or_insert(key);
            self.require(owner == key, "ledger", || {
                format!("one event of a payment was delivered as {owner} and as {key}")
            });
        }
    }
}
