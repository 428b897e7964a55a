//! The log line of one invocation: a request's record, or what a batch, a sweep or a reconcile run
//! did.

use std::time::Duration;

use tokio::time::Instant;

use super::{Invocation, InvocationError, Role};
use crate::{
    delivery::{
        AttemptCounts, AttemptOutcome, AttemptResult,
        sweep::{SourceSilence, SweepGauges},
    },
    domain::SourceName,
    telemetry::{
        CONFLICT_ROWS, DEAD_ROWS, DELIVERED, DELIVERY_DELAY, EmbeddedMetrics, FunctionMetrics,
        HELD_ROWS, OLDEST_OPEN_SECONDS, OPEN_ROWS, PlatformFields, RECONCILE_RUN, REPEAT,
        RequestRecord, SILENCE_HOURS, SWEEP_RUN,
    },
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
    /// The milliseconds between receipt and delivery of each delivered notification.
    delivery_delays: Vec<u64>,
    gauges: Option<SweepGauges>,
    /// Whether every source was reconciled, or failed to be.
    pub(super) has_reconciled: bool,
}

impl InvocationLog {
    pub(super) fn begin(
        role: Role,
        function: Option<FunctionMetrics>,
        invocation: &Invocation,
        is_cold: bool,
    ) -> Self {
        Self {
            began: Instant::now(),
            platform: PlatformFields {
                request_id: Some(invocation.id.clone()),
                function,
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
            delivery_delays: Vec::new(),
            gauges: None,
            has_reconciled: false,
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
        if let Ok(processed) = &attempt.ended
            && matches!(processed.outcome, AttemptOutcome::Delivered)
        {
            let delay = u64::try_from(processed.age.as_millis()).unwrap_or(u64::MAX);
            self.delivery_delays.push(delay);
        }
        let record = attempt.record(self.platform.clone());
        if !matches!(record.outcome, "delivered" | "repeat" | "not_ours") {
            record.log();
        }
    }

    /// Takes the gauges of a sweep. The silence of each source has its own line, because a line's
    /// metrics can name only one source.
    pub(super) fn note_gauges(&mut self, gauges: SweepGauges) {
        for (source, silence) in &gauges.silences {
            self.log_silence(source, *silence);
        }
        self.gauges = Some(gauges);
    }

    fn log_silence(&self, source: &SourceName, silence: SourceSilence) {
        let request_id = &self.platform.request_id;
        let role = self.platform.role;
        match (silence, &self.platform.function) {
            (SourceSilence::Lasting(silence), Some(function)) => {
                let mut metrics = EmbeddedMetrics::of_source(function, source);
                metrics.add(&SILENCE_HOURS, silence.as_secs() / 3600);
                tracing::info!(
                    request_id,
                    role,
                    source = source.as_str(),
                    silent_seconds = silence.as_secs(),
                    embedded_metrics = metrics.open_members(),
                    "time since the last notification"
                );
            }
            (SourceSilence::Unknown, _) => tracing::error!(
                request_id,
                role,
                source = source.as_str(),
                "the last notification is dated in the future"
            ),
            (SourceSilence::Lasting(_), None) => {}
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

    /// The metrics of a batch or a sweep. They have no source, because a line can name only one.
    fn metrics(&self) -> Option<EmbeddedMetrics> {
        let mut metrics = EmbeddedMetrics::of_function(self.platform.function.as_ref()?);
        if let Some(counts) = self.counts.filter(|counts| counts.delivered > 0) {
            metrics.add(&DELIVERED, counts.delivered);
            metrics.add_all(&DELIVERY_DELAY, &self.delivery_delays);
        }
        if let Some(counts) = self.counts.filter(|counts| counts.repeat > 0) {
            metrics.add(&REPEAT, counts.repeat);
        }
        if self.gauges.is_some() {
            metrics.add(&SWEEP_RUN, 1);
        }
        if self.has_reconciled {
            metrics.add(&RECONCILE_RUN, 1);
        }
        if let Some(SweepGauges {
            pending,
            oldest_open,
            ..
        }) = &self.gauges
        {
            for (metric, value) in [
                (&OLDEST_OPEN_SECONDS, oldest_open.as_secs()),
                (&OPEN_ROWS, pending.open_rows),
                (&DEAD_ROWS, pending.dead_rows),
                (&HELD_ROWS, pending.held_rows),
                (&CONFLICT_ROWS, pending.conflict_rows),
            ] {
                metrics.add_unless_zero(metric, value);
            }
        }
        Some(metrics)
    }

    fn write_invocation(self, reason: Option<String>, took: Duration) {
        let embedded_metrics = self.metrics().and_then(EmbeddedMetrics::open_members);
        let PlatformFields {
            request_id,
            function: _,
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
                    embedded_metrics,
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
