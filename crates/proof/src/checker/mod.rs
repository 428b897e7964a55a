//! Decides whether a history kept the promise.
//!
//! One pass over what happened, and one look at what is left. Each rule has the name of the
//! invariant it belongs to; `docs/proof.md` lists them. A rule that faults may bend, such as the
//! number of copies that a destination sees, counts the faults that the history names.

mod row;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    time::Duration,
};

use crate::history::{Digest, Genuineness, Happened, History, RowState};
use row::RowLife;

/// The longest time to an answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(2_500);
/// How long a row is retried.
pub(crate) const BUDGET_MILLIS: i64 = 3 * 24 * 60 * 60 * 1000;
/// The most ids of one acknowledgement.
const MAX_ACKNOWLEDGED: usize = 100;

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
    let mut checker = Checker::new(history);
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
    genuine: Genuineness,
}

/// A sender's message.
#[derive(Default)]
struct MessageLife<'a> {
    payment: Option<&'a str>,
    content: u64,
    acknowledged: Option<bool>,
}

struct Checker<'a> {
    history: &'a History,
    violations: Vec<Violation>,
    posts: HashMap<u32, OpenPost<'a>>,
    messages: BTreeMap<(&'a str, &'a str), MessageLife<'a>>,
    /// The digests of all bytes that may be stored.
    proven: HashSet<Digest>,
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

impl<'a> Checker<'a> {
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
                .any(|moment| matches!(moment.what, Happened::ClockSet { .. })),
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

    fn see(&mut self, at: i64, what: &'a Happened) {
        match what {
            Happened::Created {
                source,
                id,
                payment,
                content,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.payment = payment.as_deref();
                message.content = *content;
            }
            Happened::Posted {
                post,
                source,
                id,
                content,
                digest,
                genuine,
            } => {
                if *genuine == Genuineness::Proven {
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
            Happened::Answered { post, status, took } => self.answered(*post, *status, *took),
            Happened::Ended {
                source,
                id,
                acknowledged,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.acknowledged = Some(*acknowledged);
            }
            Happened::Listed { digest, .. } => {
                self.proven.insert(*digest);
            }
            Happened::PullAcknowledged { source, ids } => self.pull_acknowledged(source, ids),
            Happened::Stored {
                key,
                content,
                digest,
                held,
            } => {
                self.stored(at, key, *content, *digest, *held);
            }
            Happened::Claimed {
                key,
                attempt,
                lease,
                until,
            } => {
                self.claimed(at, key, *attempt, *lease, *until);
            }
            Happened::Delivering { key, call } => self.delivering(at, key, *call),
            Happened::Accepted { key, call, digest } => self.accepted(key, *call, *digest),
            Happened::Returned { key, call, refused } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.calls.remove(call);
                    row.refusals += usize::from(*refused);
                }
            }
            Happened::Marked {
                key,
                attempt,
                lease,
                state,
                reason,
                done,
            } if *done => {
                self.marked(at, key, (*attempt, *lease), *state, reason);
            }
            Happened::Marked { .. } => {}
            Happened::Replayed { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.replay(at);
                }
            }
            Happened::Discarded { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.end(RowState::Discarded, at);
                }
            }
            Happened::Expired { key, state } => self.expired(at, key, *state),
            Happened::StreamAnswered { records, untouched } => {
                self.require(untouched.is_empty(), "I12", || {
                    format!(
                        "a stream's batch of {records} was answered, and no attempt touched \
                         {untouched:?}"
                    )
                });
            }
            Happened::Disturbed {
                key: Some(key),
                fault,
            } => {
                // A fault may hit the write that would have made the row.
                let row = self.rows.entry(key).or_default();
                row.disturbances += 1;
                row.stalls += usize::from(*fault == "freeze");
            }
            Happened::Disturbed { key: None, .. } | Happened::ClockSet { .. } => {
                self.disturbances += 1;
            }
            Happened::Calmed => {}
            Happened::Left { key, state, digest } => self.row_left(key, *state, *digest),
            Happened::Unacknowledged { source, id } => {
                self.report(
                    "I11",
                    format!("{source}:{id} is never acknowledged at HMRC"),
                );
            }
            Happened::Stuck { what } => self.report("I2", format!("{what} does not end")),
        }
    }

    fn answered(&mut self, post: u32, status: u16, took: Duration) {
        let Some(OpenPost {
            source,
            id,
            content,
            genuine,
        }) = self.posts.remove(&post)
        else {
            return self.report(
                "I1",
                format!("request {post} was answered and never posted"),
            );
        };
        let allowed: &[u16] = match genuine {
            Genuineness::Proven => &[200, 503],
            // A secret may be installed while the request is under way.
            Genuineness::Unknown => &[200, 401, 503],
            Genuineness::Forged => &[401, 503],
        };
        self.require(allowed.contains(&status), "I9", || {
            format!("a {genuine:?} request for {source}:{id} was answered {status}")
        });
        self.require(took <= ANSWER_LIMIT, "I1b", || {
            format!("{source}:{id} was answered after {took:?}")
        });
        if status == 200 && genuine != Genuineness::Forged {
            let is_stored = self.is_stored(source, id, content);
            self.require(is_stored, "I1", || {
                format!("{source}:{id} was answered 200 and its content is not stored")
            });
        }
    }

    /// Whether this content is stored under its sender's id, or once was and has expired.
    fn is_stored(&self, source: &str, id: &str, content: u64) -> bool {
        let key = format!("{source}:{id}");
        self.contents.contains_key(&(key.as_str(), content))
    }

    fn pull_acknowledged(&mut self, source: &str, ids: &[String]) {
        let distinct: BTreeSet<&String> = ids.iter().collect();
        let is_well_formed = distinct.len() == ids.len() && ids.len() <= MAX_ACKNOWLEDGED;
        self.require(is_well_formed, "I11", || {
            format!(
                "an acknowledgement has {} ids, {} of them distinct",
                ids.len(),
                distinct.len()
            )
        });
        for id in ids {
            let key = format!("{source}:{id}");
            let is_stored = self.rows.get(key.as_str()).is_some_and(RowLife::was_stored);
            self.require(is_stored, "I11", || {
                format!("{key} was acknowledged and is not stored")
            });
        }
    }

    fn stored(
        &mut self,
        at: i64,
        key: &'a str,
        content: u64,
        digest: Digest,
        held: Option<&'static str>,
    ) {
        self.require(self.proven.contains(&digest), "I4", || {
            format!("{key} was stored with bytes that no sender proved")
        });
        let message = message_key(key);
        if let Some(other) = self.contents.insert((message, content), key) {
            let is_gone = self.rows.get(other).is_none_or(|row| row.is_gone);
            self.require(is_gone, "I7", || {
                format!("one content is stored as {other} and {key}")
            });
        }
        let row = self.rows.entry(key).or_default();
        let is_second = row.was_stored() && !row.is_gone;
        row.store(at, (content, digest), held.is_some());
        self.require(!is_second, "I7", || format!("{key} was stored twice"));
        self.require(message == key || held.is_some(), "I7", || {
            format!("{key} is a conflict and not held")
        });
    }

    fn claimed(&mut self, at: i64, key: &'a str, attempt: u32, lease: u64, until: i64) {
        let is_skewed = self.is_skewed;
        let row = self.rows.entry(key).or_default();
        let state = row.state;
        let is_leased = row.lease.is_some_and(|(_, _, until)| at < until) && !is_skewed;
        let is_counted = attempt == row.attempts + 1;
        row.claim(attempt, lease, until);
        self.require(state == Some(RowState::Open), "I2", || {
            format!("{key} was claimed while it was {state:?}")
        });
        self.require(!is_leased, "lease", || {
            format!("{key} was claimed while it was leased")
        });
        self.require(is_counted, "attempts", || {
            format!("{key} was claimed for attempt {attempt}, and attempts were not counted")
        });
    }

    fn delivering(&mut self, at: i64, key: &'a str, call: u32) {
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

    fn accepted(&mut self, key: &'a str, call: u32, digest: Digest) {
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

    fn marked(&mut self, at: i64, key: &'a str, claim: (u32, u64), state: RowState, reason: &str) {
        let is_skewed = self.is_skewed;
        let row = self.rows.entry(key).or_default();
        let held_claim = row.lease.map(|(attempt, lease, _)| (attempt, lease));
        let (was_accepted, refusals) = (row.accepted_since_claim, row.refusals);
        let spent = at - row.budget_from;
        let stood_still = if row.stalls > 0 { 60 * 60 * 1000 } else { 0 };
        row.end(state, at);
        self.require(held_claim == Some(claim), "fence", || {
            format!("{key} was marked by claim {claim:?}, and {held_claim:?} holds it")
        });
        self.require(state != RowState::Delivered || was_accepted, "I2", || {
            format!("{key} is marked delivered, and no destination accepted it")
        });
        if state == RowState::Repeat {
            let content = self.rows.get(key).and_then(|row| row.content);
            let owner = self.rows.get(reason).filter(|_| reason != key);
            let is_same = owner.is_some_and(|owner| owner.content == content);
            self.require(is_same, "ledger", || {
                format!("{key} is a repeat of {reason}, which is not the same event")
            });
        }
        if state == RowState::Dead {
            let is_explained = match reason {
                "refused" => refusals > 0,
                // It counts from the receipt, and a process may stand still before it stores.
                "budget spent" => spent + stood_still >= BUDGET_MILLIS || is_skewed,
                _ => false,
            };
            self.require(is_explained, "budget", || {
                format!(
                    "{key} is dead ({reason}) {spent} ms after its budget began, with {refusals} \
                     refusals"
                )
            });
        }
    }

    fn expired(&mut self, at: i64, key: &'a str, state: RowState) {
        let row = self.rows.entry(key).or_default();
        let age = row.ended_at.map(|ended| at - ended);
        row.is_gone = true;
        self.require(state.is_finished(), "I2", || {
            format!("{key} expired while it was {state:?}")
        });
        if let (Some(retention), false) = (self.history.retention, self.is_skewed) {
            let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            // A slow mark takes effect after the time that its expiry counts from.
            let slack = 60 * 60 * 1000;
            self.require(age.is_some_and(|age| age + slack >= kept), "I8", || {
                format!("{key} expired {age:?} ms after it ended")
            });
        }
    }

    fn row_left(&mut self, key: &'a str, state: RowState, digest: Option<Digest>) {
        self.left.insert(key);
        let row = self.rows.entry(key).or_default();
        let (known, stored, erased) = (row.state, row.digest, state == RowState::Discarded);
        self.require(state != RowState::Open, "I2", || {
            format!("{key} is still open")
        });
        self.require(known == Some(state), "I2", || {
            format!("{key} is {state:?} at the end, and nothing made it so: it was {known:?}")
        });
        self.require(digest == stored || erased && digest.is_none(), "I6", || {
            format!("{key} does not have the bytes it was stored with")
        });
    }

    fn finish(&mut self) {
        let lost: Vec<String> = self
            .rows
            .iter()
            .filter(|(key, row)| row.was_stored() && !row.is_gone && !self.left.contains(*key))
            .map(|(key, _)| format!("{key} was stored and is gone"))
            .collect();
        for text in lost {
            self.report("I2", text);
        }
        let stored = self.rows.iter().filter(|(key, _)| is_payment(key));
        let payments: HashSet<u64> = stored.filter_map(|(_, row)| row.content).collect();
        let mut missing = Vec::new();
        for ((source, id), message) in &self.messages {
            let key = format!("{source}:{id}");
            let is_stored = self.rows.get(key.as_str()).is_some_and(RowLife::was_stored);
            // The same event may have come under another id.
            let is_observed = message.payment.is_some_and(|payment| {
                let (first, after) = (
                    format!("pay:observed-{payment}-"),
                    format!("pay:observed-{payment}."),
                );
                let mut observed = self.rows.range(first.as_str()..after.as_str());
                payments.contains(&message.content) || observed.any(|(_, row)| row.was_stored())
            });
            if message.acknowledged == Some(true) && !is_stored {
                missing.push(("I1", format!("{key} is acknowledged and not stored")));
            } else if self.history.is_reconciled && !is_stored && !is_observed {
                missing.push(("I10", format!("{key} is neither stored nor found missing")));
            }
        }
        for (rule, text) in missing {
            self.report(rule, text);
        }
    }
}
