//! Checks a history against the invariants.
//!
//! The checker reads the events once, in order, then compares the final rows. Each rule has the
//! name of its invariant, as listed in `docs/proof.md`. Where faults justify an exception, such as
//! more copies at a destination, the checker counts the faults in the history.

mod row;
mod answers;
mod changes;
mod deliveries;
mod end;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use row::RowLife;

use crate::history::{BodyGenuineness, History, RecordedEvent, Sha256Digest};

/// How long a row is retried.
pub(crate) const BUDGET_MILLIS: i64 = 3 * 24 * 60 * 60 * 1000;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The invariant, as in `docs/proof.md`.
    pub(crate) rule: &'static str,
    /// What happened.
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// All violations in a history, in order.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut checker = HistoryChecker::new(history);
    for record in &history.records {
        checker.check_event(record.at, &record.event);
    }
    checker.finish();
    checker.violations
}

/// A request without an answer so far.
struct OpenPost<'a> {
    source: &'a str,
    id: &'a str,
    content: u64,
    genuine: BodyGenuineness,
}

/// A sender's message.
#[derive(Default)]
struct MessageLife<'a> {
    payment: Option<&'a str>,
    content: u64,
    acknowledged: Option<bool>,
}

struct HistoryChecker<'a> {
    history: &'a History,
    violations: Vec<Violation>,
    posts: HashMap<u32, OpenPost<'a>>,
    messages: BTreeMap<(&'a str, &'a str), MessageLife<'a>>,
    /// The digests of all genuine bodies, which may be stored.
    proven: HashSet<Sha256Digest>,
    rows: BTreeMap<&'a str, RowLife>,
    /// The key of each content stored under a sender's id.
    contents: HashMap<(&'a str, u64), &'a str>,
    /// The key under which each payment event was accepted.
    events: HashMap<u64, &'a str>,
    /// The rows in the inbox at the end.
    remaining: BTreeSet<&'a str>,
    /// The number of faults that may affect any row.
    faults: usize,
    /// Whether a clock was wrong at any time.
    is_skewed: bool,
}

/// The key without the suffix of a conflict.
fn message_key(key: &str) -> &str {
    key.split_once('~').map_or(key, |(key, _)| key)
}

fn is_payment(key: &str) -> bool {
    key.starts_with("pay:") && !key.starts_with("pay:observed-")
}

impl<'a> HistoryChecker<'a> {
    fn new(history: &'a History) -> Self {
        Self {
            history,
            violations: Vec::new(),
            posts: HashMap::new(),
            messages: BTreeMap::new(),
            proven: HashSet::new(),
            rows: BTreeMap::new(),
            contents: HashMap::new(),
            events: HashMap::new(),
            remaining: BTreeSet::new(),
            faults: 0,
            is_skewed: history
                .records
                .iter()
                .any(|record| matches!(record.event, RecordedEvent::ClockSet { .. })),
        }
    }

    fn report(&mut self, rule: &'static str, text: String) {
        self.violations.push(Violation { rule, text });
    }

    fn require(&mut self, holds: bool, rule: &'static str, text: impl FnOnce() -> String) {
        if !holds {
            self.report(rule, text());
        }
    }

    fn check_event(&mut self, at: i64, event: &'a RecordedEvent) {
        match event {
            RecordedEvent::Created { .. }
            | RecordedEvent::Posted { .. }
            | RecordedEvent::Answered { .. }
            | RecordedEvent::Ended { .. }
            | RecordedEvent::Listed { .. }
            | RecordedEvent::PullAcknowledged { .. } => self.check_message(event),
            RecordedEvent::Stored { .. }
            | RecordedEvent::Claimed { .. }
            | RecordedEvent::Marked { .. }
            | RecordedEvent::Replayed { .. }
            | RecordedEvent::Discarded { .. }
            | RecordedEvent::Expired { .. } => self.check_change(at, event),
            RecordedEvent::Delivering { key, call } => self.delivering(at, key, *call),
            RecordedEvent::Accepted { key, call, digest } => self.accepted(key, *call, *digest),
            RecordedEvent::Returned { key, call, refused } => self.returned(key, *call, *refused),
            RecordedEvent::StreamAnswered { records, untouched } => {
                self.require(untouched.is_empty(), "I12", || {
                    format!(
                        "a stream batch of {records} was answered, without an attempt of \
                         {untouched:?}"
                    )
                });
            }
            RecordedEvent::FaultInjected {
                key: Some(key),
                fault,
            } => {
                // The fault may affect the write that creates the row.
                let row = self.rows.entry(key).or_default();
                row.faults += 1;
                row.freezes += usize::from(*fault == "freeze");
            }
            RecordedEvent::FaultInjected { key: None, .. } | RecordedEvent::ClockSet { .. } => {
                self.faults += 1;
            }
            RecordedEvent::FaultsEnded => {}
            RecordedEvent::Remaining { key, state, digest } => {
                self.row_remaining(key, *state, *digest)
            }
            RecordedEvent::Unacknowledged { source, id } => {
                self.report("I11", format!("{source}:{id} is not acknowledged at HMRC"));
            }
            RecordedEvent::Stuck { what } => self.report("I2", format!("{what} does not end")),
        }
    }
}
