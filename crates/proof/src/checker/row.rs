//! The state of one row according to the history.

use std::collections::BTreeSet;

use crate::history::{RowState, Sha256Digest};

/// The state of a row after the events so far.
#[derive(Default)]
pub(super) struct RowLife {
    pub(super) state: Option<RowState>,
    pub(super) digest: Option<Sha256Digest>,
    pub(super) content: Option<u64>,
    /// Whether the row was removed after its expiry.
    pub(super) is_gone: bool,
    /// The claim that may mark the row: attempt, lease, and the end of the lease.
    pub(super) lease: Option<(u32, u64, i64)>,
    pub(super) attempts: u32,
    pub(super) claims: usize,
    pub(super) deliveries: usize,
    /// The calls of a destination that have not returned.
    pub(super) calls: BTreeSet<u32>,
    pub(super) accepted: usize,
    pub(super) accepted_since_claim: bool,
    /// The digest of the event that a destination first accepted.
    pub(super) delivered: Option<Sha256Digest>,
    pub(super) refusals: usize,
    pub(super) replays: usize,
    /// The number of faults that affected this row.
    pub(super) faults: usize,
    /// The number of these that froze a process, perhaps for longer than a lease.
    pub(super) freezes: usize,
    pub(super) budget_from: i64,
    pub(super) ended_at: Option<i64>,
}

impl RowLife {
    pub(super) fn was_stored(&self) -> bool {
        self.digest.is_some()
    }

    pub(super) fn store(&mut self, at: i64, (content, digest): (u64, Sha256Digest), is_held: bool) {
        self.state = Some(if is_held {
            RowState::Held
        } else {
            RowState::Open
        });
        self.digest = Some(digest);
        self.content = Some(content);
        self.is_gone = false;
        self.budget_from = at;
        self.attempts = 0;
        self.lease = None;
        self.delivered = None;
    }

    pub(super) fn claim(&mut self, attempt: u32, lease: u64, until: i64) {
        self.lease = Some((attempt, lease, until));
        self.attempts = attempt;
        self.claims += 1;
        self.accepted_since_claim = false;
    }

    pub(super) fn replay(&mut self, at: i64) {
        self.state = Some(RowState::Open);
        self.replays += 1;
        self.attempts = 0;
        self.lease = None;
        self.budget_from = at;
        self.ended_at = None;
    }

    /// Sets the state after an attempt or a discard. After an attempt the row may still be open.
    pub(super) fn set_state(&mut self, state: RowState, at: i64) {
        self.state = Some(state);
        self.lease = None;
        self.ended_at = state.is_finished().then_some(at);
    }
}
