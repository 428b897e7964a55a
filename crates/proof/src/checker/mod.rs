//! Decides whether a history kept the promise.
//!
//! One pass over what happened, and one look at what is left. Each rule has the name of the
//! invariant it belongs to; `docs/proof.md` lists them. A rule that faults may bend, such as the
//! number of copies that a destination sees, counts the faults that the history names.

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

use crate::history::{BodyGenuineness, History, RecordedEvent, RowState, Sha256Digest};

/// How long a row is retried.
pub(crate) const BUDGET_MILLIS: i64 = 3 * 24 * 60 * 60 * 1000;

/// A broken promise.
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

/// Every broken promise of a history, in the order in which it was broken.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut checker = HistoryChecker::new(history);
    for moment in &history.moments {
        checker.see(moment.at, &moment.what);
    }
    checker.finish();
    checker.violations
}

/// A request that was not answered yet.
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
    /// The digests of all bytes that may be stored.
    proven: HashSet<Sha256Digest>,
    rows: BTreeMap<&'a str, RowLife>,
    /// The contents stored under a sender's id, with their keys.
    contents: HashMap<(&'a str, u64), &'a str>,
    /// The key under which each payment event was accepted.
    events: HashMap<u64, &'a str>,
    left: BTreeSet<&'a str>,
    /// Faults that may touch any row.
    disturbances: usize,
    /// Whether a clock was ever wrong.
    is_skewed: bool,
}

/// The sender's part of a key: a conflict's without its mark.
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
            left: BTreeSet::new(),
            disturbances: 0,
            is_skewed: history
                .moments
                .iter()
                .any(|moment| matches!(moment.what, RecordedEvent::ClockSet { .. })),
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

    fn see(&mut self, at: i64, what: &'a RecordedEvent) {
        match what {
            RecordedEvent::Created {
                source,
                id,
                payment,
                content,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.payment = payment.as_deref();
                message.content = *content;
            }
            RecordedEvent::Posted {
                post,
                source,
                id,
                content,
                digest,
                genuine,
            } => {
                if *genuine == BodyGenuineness::Proven {
                    self.proven.insert(*digest);
                }
                let open = OpenPost {
                    source,
                    id,
                    content: *content,
                    genuine: *genuine,
                };
                self.posts.insert(*post, open);
            }
            RecordedEvent::Answered { post, status, took } => self.answered(*post, *status, *took),
            RecordedEvent::Ended {
                source,
                id,
                acknowledged,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.acknowledged = Some(*acknowledged);
            }
            RecordedEvent::Listed { digest, .. } => {
                self.proven.insert(*digest);
            }
            RecordedEvent::PullAcknowledged { source, ids } => self.pull_acknowledged(source, ids),
            RecordedEvent::Stored {
                key,
                content,
                digest,
                held,
            } => {
                self.stored(at, key, *content, *digest, *held);
            }
            RecordedEvent::Claimed {
                key,
                attempt,
                lease,
                until,
            } => {
                self.claimed(at, key, *attempt, *lease, *until);
            }
            RecordedEvent::Delivering { key, call } => self.delivering(at, key, *call),
            RecordedEvent::Accepted { key, call, digest } => self.accepted(key, *call, *digest),
            RecordedEvent::Returned { key, call, refused } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.calls.remove(call);
                    row.refusals += usize::from(*refused);
                }
            }
            RecordedEvent::Marked {
                key,
                attempt,
                lease,
                state,
                reason,
                done,
            } if *done => {
                self.marked(at, key, (*attempt, *lease), *state, reason);
            }
            RecordedEvent::Marked { .. } => {}
            RecordedEvent::Replayed { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.replay(at);
                }
            }
            RecordedEvent::Discarded { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.end(RowState::Discarded, at);
                }
            }
            RecordedEvent::Expired { key, state } => self.expired(at, key, *state),
            RecordedEvent::StreamAnswered { records, untouched } => {
                self.require(untouched.is_empty(), "I12", || {
                    format!(
                        "a stream's batch of {records} was answered, and no attempt touched \
                         {untouched:?}"
                    )
                });
            }
            RecordedEvent::Disturbed {
                key: Some(key),
                fault,
            } => {
                // A fault may hit the write that would have made the row.
                let row = self.rows.entry(key).or_default();
                row.disturbances += 1;
                row.stalls += usize::from(*fault == "freeze");
            }
            RecordedEvent::Disturbed { key: None, .. } | RecordedEvent::ClockSet { .. } => {
                self.disturbances += 1;
            }
            RecordedEvent::Calmed => {}
            RecordedEvent::Left { key, state, digest } => self.row_left(key, *state, *digest),
            RecordedEvent::Unacknowledged { source, id } => {
                self.report(
                    "I11",
                    format!("{source}:{id} is never acknowledged at HMRC"),
                );
            }
            RecordedEvent::Stuck { what } => self.report("I2", format!("{what} does not end")),
        }
    }
}
