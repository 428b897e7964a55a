//! A state of the model: rows, ledger, processes, and the events observed outside.
//!
//! A row has only the fields that affect decisions. Its history and its last error do not, and are
//! left out, because no two states would be equal otherwise.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use pillarbox::{
    delivery::BUDGET,
    domain::{State, Timestamp},
    inbox::{
        DeliveryHistory, DeliveryInbox, EventClaim, Fence, Lease, LeaseId, MarkOutcome,
        MemoryInbox, RecordOutcome, Row,
    },
};

use super::{
    messages::{BEGIN, MESSAGES, ModelMessages},
    routine::ModelRoutine,
    script::ScriptedReply,
};
use crate::simulate::table::resolve_now;

/// A date in the past, for a row that is due or a lease that has lapsed.
const LONG_AGO: Timestamp = Timestamp::from_millis(BEGIN.as_millis() - 60 * 60 * 1000);

/// The number of keys in [`ModelMessages`].
pub(super) const SLOTS: usize = 5;

/// The number of events in [`ModelMessages`].
pub(super) const EVENTS: usize = 3;

/// The fields of a row that affect decisions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelRow {
    /// The index of the initial row in [`ModelMessages`].
    pub(super) variant: usize,
    pub(super) state: State,
    pub(super) reason: Option<Arc<str>>,
    pub(super) attempts: u32,
    pub(super) lease: Option<(u64, Timestamp)>,
    pub(super) budget_from: Timestamp,
    pub(super) due_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_erased: bool,
}

impl ModelRow {
    pub(super) fn of(messages: &ModelMessages, row: &Row) -> Option<Self> {
        Some(Self {
            variant: messages.variant(row)?,
            state: row.state,
            reason: row.reason.as_deref().map(Arc::from),
            attempts: row.attempts,
            lease: row.lease.map(|lease| (lease.id.0, lease.until)),
            budget_from: row.budget_from,
            due_at: row.due_at,
            expires_at: row.expires_at,
            is_erased: row.body.is_none(),
        })
    }

    pub(super) fn row(&self, messages: &ModelMessages) -> Row {
        let first = messages.rows[self.variant].clone();
        Row {
            body: first.body.filter(|_| !self.is_erased),
            state: self.state,
            reason: self.reason.as_deref().map(str::to_owned),
            attempts: self.attempts,
            lease: self.lease.map(|(id, until)| Lease {
                id: LeaseId(id),
                until,
            }),
            budget_from: self.budget_from,
            due_at: self.due_at,
            expires_at: self.expires_at,
            ..first
        }
    }

    /// Makes the dates relative to `now`.
    fn advance_time(&mut self, now: Timestamp) {
        self.budget_from = past(self.budget_from, now);
        self.due_at = self.due_at.map(|at| moved(at, now));
        self.lease = self.lease.map(|(id, until)| (id, moved(until, now)));
        self.expires_at = self.expires_at.map(|_| BEGIN);
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Recorded
    }
}

/// Reduces a date in the past to the number of budgets since then.
fn past(at: Timestamp, now: Timestamp) -> Timestamp {
    let budgets = now.since(at).as_secs() / BUDGET.as_secs();
    BEGIN.minus(Duration::from_secs(budgets * BUDGET.as_secs()))
}

/// Moves a date so that it is as far ahead of [`BEGIN`] as it was of `now`.
fn moved(at: Timestamp, now: Timestamp) -> Timestamp {
    if at > now {
        BEGIN.plus(at.since(now))
    } else {
        LONG_AGO
    }
}

/// A reply to a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ModelReply {
    First,
    Duplicate,
    Conflict(usize),
    Claimed(Option<ModelRow>),
    /// The owner of an event, if it is another key.
    EventOf(Option<usize>),
    Accepted,
    Refused,
    Marked,
    MarkLost,
    MarkDiscarded,
    Acknowledged,
    Failed,
}

impl ModelReply {
    /// The reply for the product.
    pub(super) fn in_script(&self, messages: &ModelMessages) -> ScriptedReply {
        let key = |slot: &usize| messages.keys[*slot].clone();
        match self {
            Self::First => ScriptedReply::Recorded(RecordOutcome::First),
            Self::Duplicate => ScriptedReply::Recorded(RecordOutcome::Duplicate),
            Self::Conflict(slot) => ScriptedReply::Recorded(RecordOutcome::Conflict(key(slot))),
            Self::Claimed(row) => ScriptedReply::Claimed(row.as_ref().map(|row| {
                let row = row.row(messages);
                let fence = Fence {
                    key: row.key.clone(),
                    attempt: row.attempts,
                    lease: row.lease.map_or(LeaseId(0), |lease| lease.id),
                    parts: None,
                    history: DeliveryHistory::default(),
                };
                Box::new((row, fence))
            })),
            Self::EventOf(None) => ScriptedReply::Event(EventClaim::Acquired),
            Self::EventOf(Some(slot)) => ScriptedReply::Event(EventClaim::HeldBy(key(slot))),
            Self::Accepted => ScriptedReply::Accepted,
            Self::Refused => ScriptedReply::Refused,
            Self::Marked => ScriptedReply::Marked(MarkOutcome::Done),
            Self::MarkLost => ScriptedReply::Marked(MarkOutcome::Lost),
            Self::MarkDiscarded => ScriptedReply::Marked(MarkOutcome::Discarded),
            Self::Acknowledged => ScriptedReply::Acknowledged,
            Self::Failed => ScriptedReply::Failed,
        }
    }
}

/// A process: its routine, and the replies so far.
pub(super) type ModelProcess = (ModelRoutine, Vec<(Timestamp, ModelReply)>);

/// Whether the destination accepted the event of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum EventAcceptance {
    Never,
    /// Only before the last replay.
    Earlier,
    /// Since the row was stored or last replayed.
    Now,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelState {
    /// The time, which is constant: when time passes, every date moves into the past instead.
    pub(super) now: Timestamp,
    /// The number of times that the budget of every row has ended.
    pub(super) long_waits: u8,
    pub(super) rows: [Option<ModelRow>; SLOTS],
    /// The owner of each event.
    pub(super) ledger: [Option<usize>; EVENTS],
    pub(super) replays: [u8; SLOTS],
    pub(super) accepted: [EventAcceptance; SLOTS],
    /// The messages that their senders count as acknowledged.
    pub(super) acknowledged: [bool; MESSAGES],
    /// The running processes.
    pub(super) live: Vec<ModelProcess>,
    /// Calls that their processes have given up, and that may still take effect.
    pub(super) late_calls: Vec<ModelProcess>,
    /// The rule that the last transition broke.
    pub(super) broken: Option<&'static str>,
}

impl ModelState {
    pub(super) fn new() -> Self {
        Self {
            now: BEGIN,
            long_waits: 0,
            rows: [const { None }; SLOTS],
            ledger: [None; EVENTS],
            replays: [0; SLOTS],
            accepted: [EventAcceptance::Never; SLOTS],
            acknowledged: [false; MESSAGES],
            live: Vec::new(),
            late_calls: Vec::new(),
            broken: None,
        }
    }

    /// The model table in this state.
    pub(super) fn table(&self, messages: &ModelMessages) -> MemoryInbox {
        let table = MemoryInbox::default();
        for row in self.rows.iter().flatten() {
            table.put_row(row.row(messages));
        }
        for (event, owner) in messages.events.iter().zip(self.ledger) {
            if let Some(owner) = owner {
                let claimed = table.claim_event(event, &messages.keys[owner], self.now);
                let _ = resolve_now(claimed);
            }
        }
        table
    }

    /// Reads the rows of the table. The ledger is updated with the reply instead.
    pub(super) fn read_rows(&mut self, messages: &ModelMessages, table: &MemoryInbox) {
        self.rows = [const { None }; SLOTS];
        for row in table.rows() {
            match messages.slot(&row.key).zip(ModelRow::of(messages, &row)) {
                Some((slot, row)) => self.rows[slot] = Some(row),
                None => self.broken = Some(super::rules::BYTES),
            }
        }
    }

    /// Advances the time, then resets the clock so that every date keeps its distance from it. A
    /// date in the past is reduced to the number of budgets since then, which alone affects
    /// decisions.
    pub(super) fn advance_time(&mut self, time: Duration) {
        let now = self.now.plus(time);
        for row in self.rows.iter_mut().flatten() {
            row.advance_time(now);
        }
        for (routine, replies) in self.live.iter_mut().chain(&mut self.late_calls) {
            let is_claiming = replies.is_empty();
            routine.advance_time(now, is_claiming);
            for (at, reply) in replies {
                *at = past(*at, now);
                if let ModelReply::Claimed(Some(row)) = reply {
                    row.advance_time(now);
                }
            }
        }
    }

    /// Removes lapsed leases that no process has: no mark can use them.
    fn forget_leases(&mut self) {
        for (slot, row) in self.rows.iter_mut().enumerate() {
            let Some(row) = row else { continue };
            let is_known = |id: u64| {
                self.live
                    .iter()
                    .chain(&self.late_calls)
                    .any(|(routine, _)| {
                        matches!(routine, ModelRoutine::Attempt { slot: of, lease, .. }
                        if (*of, *lease) == (slot, id))
                    })
            };
            row.lease = row
                .lease
                .filter(|&(id, until)| until > self.now || is_known(id));
        }
    }

    /// Sorts the processes, because their order has no effect.
    pub(super) fn sort(&mut self) {
        self.forget_leases();
        self.live.sort_by_cached_key(hash_of);
        self.late_calls.sort_by_cached_key(hash_of);
    }

    /// The smallest unused lease id of this row.
    pub(super) fn unused_lease(&self, slot: usize) -> u64 {
        let of_process = |process: &ModelProcess| match process.0 {
            ModelRoutine::Attempt {
                slot: of, lease, ..
            } if of == slot => Some(lease),
            _ => None,
        };
        let processes = self
            .live
            .iter()
            .chain(&self.late_calls)
            .filter_map(of_process);
        let row = self.rows[slot].as_ref().and_then(|row| row.lease);
        let used: Vec<u64> = processes.chain(row.map(|(id, _)| id)).collect();
        (1..).find(|id| !used.contains(id)).unwrap_or(u64::MAX)
    }

    /// Whether every stored row is finished, or waits for a person.
    pub(super) fn is_drained(&self) -> bool {
        !self.rows.iter().flatten().any(ModelRow::is_open)
    }
}

/// A hash that is equal in every run.
pub(super) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
