//! The log line of one invocation: the record of a request, or the result of a batch, a sweep or a
//! reconcile run.

use std::time::Duration;

use tokio::time::Instant;

use super::{Invocation, InvocationError, Role};
use crate::{
    delivery::{
        AttemptCounts, AttemptResult,
        sweep::{SourceSilence, SweepGauges},
    },
    domain::SourceName,
    telemetry::{
        AttemptRecord, DELIVERED, DELIVERY_DELAY, EmbeddedMetrics, FunctionMetrics, MetricSample,
        PlatformFields, REPEAT, RequestRecord,
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
    /// The first attempt, if it needs no attention. It gets a line only when a second attempt
    /// follows; otherwise the invocation's line has its key.
    first_attempt: Option<AttemptRecord>,
    /// The metric samples of attempts whose log lines carry none.
    samples: Vec<MetricSample>,
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
            first_attempt: None,
            samples: Vec::new(),
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

    /// Adds an attempt. Each attempt that did something gets a line with its key, except a single
    /// attempt that needs no attention: its key is in the invocation's line.
    pub(super) fn add_attempt(&mut self, attempt: &AttemptResult) {
        let is_first = self.counts.is_none();
        self.counts.get_or_insert_default();
        self.key = is_first.then(|| attempt.key.to_string());
        let record = attempt.record(self.platform.clone());
        self.samples.extend(record.samples());
        let is_quiet = matches!(record.outcome, "delivered" | "repeat" | "not_ours");
        let waiting = self.first_attempt.take();
        let (record, waits) = match is_first && is_quiet {
            true => (None, Some(record)),
            false => (Some(record), None),
        };
        self.first_attempt = waits;
        for record in waiting.into_iter().chain(record) {
            if record.outcome != "not_ours" {
                record.log();
            }
        }
    }

    /// Adds the gauges of a sweep. The silence of each source has its own line, because a line's
    /// metrics can name only one source.
    pub(super) fn add_gauges(&mut self, gauges: SweepGauges) {
        for (source, silence) in &gauges.silences {
            self.log_silence(source, *silence);
        }
        self.gauges = Some(gauges);
    }

    fn log_silence(&self, source: &SourceName, silence: SourceSilence) {
        let request_id = &self.platform.request_id;
        let role = self.platform.role;
        match (silence, &self.platform.function) {
            (SourceSilence::Lasting(time), Some(function)) => {
                let mut metrics = EmbeddedMetrics::of_source(function, source);
                if let Some(sample) = silence.sample() {
                    metrics.add(sample.metric, sample.in_unit());
                }
                tracing::info!(
                    request_id,
                    role,
                    source = source.as_str(),
                    silent_seconds = time.as_secs(),
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
        let values = |metric| {
            let samples = self
                .samples
                .iter()
                .filter(move |sample| sample.metric == metric);
            samples.map(MetricSample::in_unit).collect::<Vec<u64>>()
        };
        for metric in [&DELIVERED, &REPEAT] {
            let counts = values(metric);
            if !counts.is_empty() {
                metrics.add(metric, counts.iter().sum());
            }
        }
        let delays = values(&DELIVERY_DELAY);
        if !delays.is_empty() {
            metrics.add_all(&DELIVERY_DELAY, &delays);
        }
        if let Some(gauges) = &self.gauges {
            metrics.add(MetricSample::SWEEP.metric, MetricSample::SWEEP.in_unit());
            for sample in gauges.samples() {
                metrics.add_unless_zero(sample.metric, sample.in_unit());
            }
        }
        if self.has_reconciled {
            metrics.add(MetricSample::RUN.metric, MetricSample::RUN.in_unit());
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
                    held = count(|counts| counts.held),
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
