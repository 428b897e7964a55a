//! The life of one row, as the history tells it.

use std::collections::BTreeSet;

use crate::history::{RowState, Sha256Digest};

/// What is known of a row at some moment.
#[derive(Default)]
pub(super) struct RowLife {
    pub(super) state: Option<RowState>,
    pub(super) digest: Option<Sha256Digest>,
    pub(super) content: Option<u64>,
    /// Whether it was removed after its expiry.
    pub(super) is_gone: bool,
    /// The claim that may mark it: attempt, lease, and until when it holds.
    pub(super) lease: Option<(u32, u64, i64)>,
    pub(super) attempts: u32,
    pub(super) claims: usize,
    pub(super) deliveries: usize,
    /// The calls of a destination that have not returned.
    pub(super) calls: BTreeSet<u32>,
    pub(super) accepted: usize,
    pub(super) accepted_since_claim: bool,
    /// The bytes that were accepted first.
    pub(super) delivered: Option<Sha256Digest>,
    pub(super) refusals: usize,
    pub(super) replays: usize,
    /// Faults that touched this row.
    pub(super) disturbances: usize,
    /// Of these, the times that a process stood still, perhaps for longer than a lease.
    pub(super) stalls: usize,
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

    /// An attempt or a person has ended; an attempt may leave the row open.
    pub(super) fn end(&mut self, state: RowState, at: i64) {
        self.state = Some(state);
        self.lease = None;
        self.ended_at = state.is_finished().then_some(at);
    }
}
