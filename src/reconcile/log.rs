//! The log lines of a run: one for each failure and each missing event, and one for the whole run.
//!
//! The fields are the same on every platform; `docs/logging.md` lists them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    ProgressEvent, RunFindings, RunOutcome, RunReporter,
    govuk_pay::{MissingEvent, ObservationStatus},
    hmrc::BoxReport,
    record::RunResult,
};
use crate::{domain::SourceName, telemetry::ReconcileRecord};

/// Logs one run of one source.
pub(super) struct ReconcileLogger<'a> {
    source: &'a str,
    request_id: Option<&'a str>,
    /// Where events go besides the log.
    next: &'a dyn RunReporter,
    newly_missing: AtomicUsize,
}

impl RunReporter for ReconcileLogger<'_> {
    fn on_event(&self, event: ProgressEvent<'_>) {
        let (source, request_id) = (self.source, self.request_id);
        match &event {
            // An event that an earlier run found missing was logged then.
            ProgressEvent::Missing(missing) if missing.observed == ObservationStatus::First => {
                self.newly_missing.fetch_add(1, Ordering::Relaxed);
                self.log_missing(missing);
            }
            ProgressEvent::BoxFailed { box_id, error } => {
                let reason = error.to_string();
                tracing::warn!(request_id, source, box_id, reason, "HMRC request failed");
            }
            ProgressEvent::PayFailed(error) => {
                let reason = error.to_string();
                tracing::warn!(request_id, source, reason, "GOV.UK Pay request failed");
            }
            ProgressEvent::Missing(_)
            | ProgressEvent::Waiting(_)
            | ProgressEvent::Listed { .. }
            | ProgressEvent::Recorded(_)
            | ProgressEvent::Acknowledged { .. }
            | ProgressEvent::PaymentsChecked { .. } => {}
        }
        self.next.on_event(event);
    }
}

impl<'a> ReconcileLogger<'a> {
    pub(super) fn new(
        source: &'a SourceName,
        request_id: Option<&'a str>,
        next: &'a dyn RunReporter,
    ) -> Self {
        Self {
            source: source.as_str(),
            request_id,
            next,
            newly_missing: AtomicUsize::new(0),
        }
    }

    /// The number of events that this run was the first to find missing.
    pub(super) fn newly_missing(&self) -> usize {
        self.newly_missing.load(Ordering::Relaxed)
    }

    fn log_missing(&self, missing: &MissingEvent) {
        let (source, request_id) = (self.source, self.request_id);
        let (key, payment) = (missing.key.as_str(), missing.payment.as_str());
        let (event_type, since) = (missing.what.as_str(), missing.since.to_string());
        tracing::warn!(
            request_id,
            source,
            key,
            payment,
            event_type,
            since,
            "event missing at GOV.UK Pay"
        );
    }

    /// Logs how the run ended, and every failure that only its end shows.
    pub(super) fn log(&self, record: &ReconcileRecord, result: &RunResult) {
        if let RunResult::Ran(RunOutcome { found, .. }) = result {
            match found {
                RunFindings::Hmrc(boxes) => boxes.iter().for_each(|report| self.log_box(report)),
                RunFindings::GovukPay(report) if report.unreadable > 0 => {
                    let (source, request_id) = (self.source, self.request_id);
                    let payments = count(report.unreadable);
                    tracing::warn!(request_id, source, payments, "payments cannot be read");
                }
                RunFindings::GovukPay(_) => {}
            }
        }
        record.log();
    }

    fn log_box(&self, report: &BoxReport) {
        let (source, request_id) = (self.source, self.request_id);
        let box_id = report.box_id.as_str();
        if let Some(error) = &report.error {
            let reason = error.to_string();
            tracing::warn!(request_id, source, box_id, reason, "box not emptied");
        }
        if report.stuck > 0 {
            let refused = report.refused.as_ref().map(ToString::to_string);
            let reason = refused
                .as_deref()
                .unwrap_or("no id that HMRC can acknowledge");
            let stuck = count(report.stuck);
            tracing::warn!(
                request_id,
                source,
                box_id,
                stuck,
                reason,
                "notifications stay unacknowledged"
            );
        }
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
