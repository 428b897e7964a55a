//! Checks the changes of a row: stored, claimed, marked, replayed, discarded, expired.

use super::{BUDGET_MILLIS, HistoryChecker, message_key};
use crate::history::{RecordedEvent, RowState, Sha256Digest};

impl<'a> HistoryChecker<'a> {
    /// Checks a change of a row.
    pub(super) fn check_change(&mut self, at: i64, event: &'a RecordedEvent) {
        match event {
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
            RecordedEvent::Marked { done: false, .. } => {}
            RecordedEvent::Marked {
                key,
                attempt,
                lease,
                state,
                reason,
                ..
            } => {
                self.marked(at, key, (*attempt, *lease), *state, reason);
            }
            RecordedEvent::Replayed { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.replay(at);
                }
            }
            RecordedEvent::Discarded { key } => {
                if let Some(row) = self.rows.get_mut(key.as_str()) {
                    row.set_state(RowState::Discarded, at);
                }
            }
            RecordedEvent::Expired { key, state } => self.expired(at, key, *state),
            other => unreachable!("not a change of a row: {other:?}"),
        }
    }

    fn stored(
        &mut self,
        at: i64,
        key: &'a str,
        content: u64,
        digest: Sha256Digest,
        held: Option<&'static str>,
    ) {
        self.require(self.proven.contains(&digest), "I4", || {
            format!("{key} was stored with bytes that are not proven")
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
            format!("{key} was claimed for attempt {attempt}, which is not the next attempt")
        });
    }

    fn marked(&mut self, at: i64, key: &'a str, claim: (u32, u64), state: RowState, reason: &str) {
        let is_skewed = self.is_skewed;
        let row = self.rows.entry(key).or_default();
        let held_claim = row.lease.map(|(attempt, lease, _)| (attempt, lease));
        let (was_accepted, refusals) = (row.accepted_since_claim, row.refusals);
        let spent = at - row.budget_from;
        let frozen = if row.freezes > 0 { 60 * 60 * 1000 } else { 0 };
        row.set_state(state, at);
        self.require(held_claim == Some(claim), "fence", || {
            format!("{key} was marked by claim {claim:?}, and {held_claim:?} holds it")
        });
        self.require(state != RowState::Delivered || was_accepted, "I2", || {
            format!("{key} is marked delivered, but no destination accepted it")
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
                // The budget begins at receipt, and a process may freeze before it stores the row.
                "budget spent" => spent + frozen >= BUDGET_MILLIS || is_skewed,
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
            // A slow mark takes effect later than the instant from which its expiry counts.
            let slack = 60 * 60 * 1000;
            self.require(age.is_some_and(|age| age + slack >= kept), "I8", || {
                format!("{key} expired {age:?} ms after it ended")
            });
        }
    }
}
