//! The canonical line of one invocation: what became of it, never what was in it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Invocation, InvocationError, Role};
use crate::delivery::{AttemptCounts, AttemptOutcome, AttemptResult};

/// What is said about an invocation, gathered on its way.
pub(super) struct InvocationLog {
    began: Instant,
    is_cold: bool,
    pub(super) outcome: &'static str,
    pub(super) reason: Option<String>,
    pub(super) code: Option<&'static str>,
    pub(super) status: Option<u64>,
    pub(super) source: Option<String>,
    pub(super) kind: Option<&'static str>,
    pub(super) key: Option<String>,
    pub(super) key_label: Option<String>,
    pub(super) body_bytes: Option<u64>,
    pub(super) digest8: Option<String>,
    pub(super) storing: Option<Duration>,
    pub(super) records: Option<u64>,
    pub(super) tally: Option<AttemptCounts>,
    pub(super) down: Option<String>,
}

impl InvocationLog {
    pub(super) fn begin(is_cold: bool) -> Self {
        Self {
            began: Instant::now(),
            is_cold,
            outcome: "error",
            reason: None,
            code: None,
            status: None,
            source: None,
            kind: None,
            key: None,
            key_label: None,
            body_bytes: None,
            digest8: None,
            storing: None,
            records: None,
            tally: None,
            down: None,
        }
    }

    /// Takes note of how an attempt ended. One that needs somebody's eye has a line of its own; of a
    /// single one the invocation's line says which it was.
    pub(super) fn hear(&mut self, attempt: &AttemptResult) {
        let is_first = self.key.is_none() && self.tally.is_none();
        self.key = is_first.then(|| attempt.key.to_string());
        self.tally.get_or_insert_default();
        say(attempt);
    }

    /// Says the line, before the answer goes out.
    pub(super) fn say(
        self,
        role: Role,
        invocation: &Invocation,
        failure: Option<&InvocationError>,
    ) {
        let (outcome, role, id) = (self.outcome, role.as_str(), invocation.id.as_str());
        let reason = failure.map(ToString::to_string).or(self.reason);
        let (reason, code, status, down) = (
            reason.as_deref(),
            self.code,
            self.status,
            self.down.as_deref(),
        );
        let (source, kind, key) = (self.source.as_deref(), self.kind, self.key.as_deref());
        let (key_label, digest8) = (self.key_label.as_deref(), self.digest8.as_deref());
        let (body_bytes, cold, records) = (self.body_bytes, self.is_cold, self.records);
        let (stored, total) = (self.storing.map(millis), millis(self.began.elapsed()));
        let count = |count: fn(&AttemptCounts) -> u64| self.tally.as_ref().map(count);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    requestId = id,
                    role,
                    source,
                    kind,
                    key,
                    outcome,
                    code,
                    reason,
                    status,
                    key_label,
                    bodyBytes = body_bytes,
                    digest8,
                    records,
                    delivered = count(|tally| tally.delivered),
                    repeat = count(|tally| tally.repeat),
                    retry = count(|tally| tally.retry),
                    dead = count(|tally| tally.dead),
                    notOurs = count(|tally| tally.not_ours),
                    lost = count(|tally| tally.lost),
                    unwritten = count(|tally| tally.unwritten),
                    down,
                    storeMs = stored,
                    totalMs = total,
                    coldStart = cold,
                    "{outcome}"
                )
            };
        }
        match (outcome, status) {
            _ if failure.is_some() || status.is_some_and(|status| status >= 500) => line!(error),
            ("held" | "refused" | "resumes" | "cut_short", _) => line!(warn),
            _ => line!(info),
        }
    }
}

/// The line of an attempt that did not get through.
fn say(attempt: &AttemptResult) {
    let (key, total) = (attempt.key.as_str(), millis(attempt.took));
    match &attempt.ended {
        Ok(processed) => {
            let attempt = u64::from(processed.attempt);
            match &processed.outcome {
                AttemptOutcome::Retry(why) => {
                    tracing::warn!(key, why, attempt, totalMs = total, "failed, due again")
                }
                AttemptOutcome::Dead(why) => {
                    tracing::error!(key, why, attempt, totalMs = total, "dead")
                }
                AttemptOutcome::Lost => tracing::warn!(
                    key,
                    attempt,
                    totalMs = total,
                    "outcome lost: the lease had lapsed"
                ),
                AttemptOutcome::Delivered | AttemptOutcome::Repeat(_) | AttemptOutcome::NotOurs => {
                }
            }
        }
        Err(why) => {
            tracing::error!(key, why = %why, totalMs = total, "no outcome was written; due again later")
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
