//! The record of one request.

use std::time::Duration;

use super::{
    MetricSample, PlatformFields,
    metrics::{self, EmbeddedMetrics, MetricDefinition},
    micros,
};
use crate::domain::{Key, SourceName};

/// One request and its outcome, filled in while `receive` handles it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The fields of the platform.
    pub platform: PlatformFields,
    /// The source that the request was posted to.
    pub source: Option<SourceName>,
    /// The kind of that source's sender.
    pub kind: Option<&'static str>,
    /// The first characters of the path, of a request to `serve` that is not a POST to a source.
    pub path: Option<String>,
    /// The key of the stored row.
    pub key: Option<Key>,
    /// `recorded`, `duplicate`, `held`, `challenge`, `probe`, `refused` or `error`.
    pub outcome: &'static str,
    /// The refusal's code, which the sender gets too.
    pub code: Option<&'static str>,
    /// Why the request was refused or its row is held.
    pub reason: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The label of the secret that matched.
    pub key_label: Option<String>,
    /// The length of the body.
    pub body_bytes: Option<usize>,
    /// The first 8 hex digits of the body's SHA-256, of a request whose signature was refused.
    pub digest_prefix: Option<String>,
    /// The time that the inbox took to record the notification.
    pub store: Option<Duration>,
    /// The time from the request's head to its answer; `None` if its head was never read.
    pub took: Option<Duration>,
}

impl Default for RequestRecord {
    /// A request without an answer. If it never gets one, its outcome is an error.
    fn default() -> Self {
        Self {
            platform: PlatformFields::default(),
            source: None,
            kind: None,
            path: None,
            key: None,
            outcome: "error",
            code: None,
            reason: None,
            status: None,
            key_label: None,
            body_bytes: None,
            digest_prefix: None,
            store: None,
            took: None,
        }
    }
}

impl RequestRecord {
    /// Writes the record as one log line.
    pub fn log(&self) {
        let PlatformFields {
            request_id,
            function: _,
            role,
            version,
            cold_start,
        } = &self.platform;
        let embedded_metrics = self.metrics().and_then(EmbeddedMetrics::open_members);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id,
                    role,
                    source = self.source.as_ref().map(SourceName::as_str),
                    kind = self.kind,
                    path = self.path,
                    key = self.key.as_ref().map(Key::as_str),
                    outcome = self.outcome,
                    code = self.code,
                    reason = self.reason,
                    status = self.status,
                    key_label = self.key_label,
                    body_bytes = self.body_bytes,
                    digest_prefix = self.digest_prefix,
                    store_us = self.store.map(micros),
                    took_us = self.took.map(micros),
                    version,
                    cold_start,
                    embedded_metrics,
                    "{}",
                    self.message()
                )
            };
        }
        match (self.outcome, self.status) {
            ("error", _) | (_, Some(500..)) => line!(error),
            ("held" | "refused", _) => line!(warn),
            ("probe", _) => line!(debug), // every few seconds
            _ => line!(info),
        }
    }

    fn metrics(&self) -> Option<EmbeddedMetrics> {
        let (function, source) = (self.platform.function.as_ref()?, self.source.as_ref()?);
        let mut embedded = EmbeddedMetrics::of_source(function, source);
        for sample in self.samples() {
            embedded.add(sample.metric, sample.in_unit());
        }
        Some(embedded)
    }

    /// What the record adds to metrics: of a POST to a source, and of no other request.
    pub fn samples(&self) -> Vec<MetricSample> {
        if self.source.is_none() {
            return Vec::new();
        }
        let is_conflict = self.outcome == "held" && self.reason.as_deref() == Some("conflict");
        let counts = [
            Some(&metrics::RECEIVED),
            self.outcome_metric(),
            is_conflict.then_some(&metrics::CONFLICT),
        ];
        let counts = counts.into_iter().flatten();
        let took = self
            .took
            .map(|took| MetricSample::time(&metrics::ANSWER_TIME, took));
        counts
            .map(|metric| MetricSample::count(metric, 1))
            .chain(took)
            .collect()
    }

    fn outcome_metric(&self) -> Option<&'static MetricDefinition> {
        Some(match (self.outcome, self.code) {
            ("recorded", _) => &metrics::RECORDED,
            ("duplicate", _) => &metrics::DUPLICATE,
            ("held", _) => &metrics::HELD,
            (_, Some("signature")) => &metrics::INVALID_SIGNATURE,
            (_, Some("no_secret")) => &metrics::NO_SECRET,
            (_, Some("too_large")) => &metrics::TOO_LARGE,
            (_, Some("inbox")) => &metrics::INBOX_UNAVAILABLE,
            (_, Some(_)) => &metrics::OTHER_REFUSED,
            (_, None) => return None,
        })
    }

    fn message(&self) -> &'static str {
        match self.outcome {
            "recorded" => "notification recorded",
            "duplicate" => "notification already recorded",
            "held" => "notification held",
            "challenge" => "challenge answered",
            "probe" => "probe answered",
            "refused" => "request refused",
            _ => "request failed",
        }
    }
}
