//! The log line of one invocation: a request's record, or what a batch, a sweep or a reconcile run
//! did.

use std::time::Duration;

use tokio::time::Instant;

use super::{Invocation, InvocationError, Role};
use crate::{
    delivery::{AttemptCounts, AttemptResult},
    telemetry::{PlatformFields, RequestRecord},
};

/// The line of an invocation, filled while it is served.
pub(super) struct InvocationLog {
    began: Instant,
    platform: PlatformFields,
    /// The request, if the invocation is one: then its record is the line.
    pub(super) request: Option<RequestRecord>,
    pub(super) outcome: &'static str,
    pub(super) key: Option<String>,
    pub(super) records: Option<u64>,
    pub(super) counts: Option<AttemptCounts>,
    pub(super) down: Option<String>,
}

impl InvocationLog {
    pub(super) fn begin(role: Role, invocation: &Invocation, is_cold: bool) -> Self {
        Self {
            began: Instant::now(),
            platform: PlatformFields {
                request_id: Some(invocation.id.clone()),
                role: Some(role.as_str()),
                version: Some(env!("CARGO_PKG_VERSION")),
                cold_start: Some(is_cold),
            },
            request: None,
            outcome: "error",
            key: None,
            records: None,
            counts: None,
            down: None,
        }
    }

    /// Begins the record of a request.
    pub(super) fn request(&mut self) -> &mut RequestRecord {
        self.request.insert(RequestRecord {
            platform: self.platform.clone(),
            ..RequestRecord::default()
        })
    }

    /// Counts an attempt. One that needs attention has its own line; of a single attempt the
    /// invocation's line has the key.
    pub(super) fn note_attempt(&mut self, attempt: &AttemptResult) {
        let is_first = self.key.is_none() && self.counts.is_none();
        self.key = is_first.then(|| attempt.key.to_string());
        self.counts.get_or_insert_default();
        let record = attempt.record(self.platform.clone());
        if !matches!(record.outcome, "delivered" | "repeat" | "not_ours") {
            record.log();
        }
    }

    /// Writes the line, before the answer leaves the function.
    pub(super) fn write(self, failure: Option<&InvocationError>) {
        let reason = failure.map(ToString::to_string);
        let took = self.began.elapsed();
        match self.request {
            Some(mut request) => {
                request.took = Some(took);
                request.reason = reason.or(request.reason);
                request.log();
            }
            None => self.write_invocation(reason, took),
        }
    }

    fn write_invocation(self, reason: Option<String>, took: Duration) {
        let PlatformFields {
            request_id,
            role,
            version,
            cold_start,
        } = self.platform;
        let count = |count: fn(&AttemptCounts) -> u64| self.counts.as_ref().map(count);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    request_id,
                    role,
                    key = self.key,
                    outcome = self.outcome,
                    reason,
                    records = self.records,
                    delivered = count(|counts| counts.delivered),
                    repeat = count(|counts| counts.repeat),
                    retry = count(|counts| counts.retry),
                    dead = count(|counts| counts.dead),
                    not_ours = count(|counts| counts.not_ours),
                    lost = count(|counts| counts.lost),
                    unwritten = count(|counts| counts.unwritten),
                    down = self.down,
                    took_us,
                    version,
                    cold_start,
                    $message
                )
            };
        }
        match self.outcome {
            _ if reason.is_some() => line!(error, "invocation failed"),
            "resumes" | "cut_short" => line!(warn, "invocation completed in part"),
            _ => line!(info, "invocation completed"),
        }
    }
}
