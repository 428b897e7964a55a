//! What a run tells -> log lines: one for each event that never came and each box in trouble, and one for the source.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::row::{ReconcileRecord, RunResult};
use crate::{
    domain::SourceName,
    reconcile::{
        ProgressEvent, RunFindings, RunOutcome, RunReporter,
        govuk_pay::{MissingEvent, ObservationStatus},
        hmrc::BoxReport,
    },
};

/// Says what happens to one source in one invocation.
pub(super) struct ReconcileLogger<'a> {
    source: &'a str,
    request_id: &'a str,
    newly_missing: AtomicUsize,
}

impl RunReporter for ReconcileLogger<'_> {
    /// Says at once what only this run will know: that an event is missing which no run before had found so.
    fn tell(&self, news: ProgressEvent<'_>) {
        if let ProgressEvent::Missing(missing) = news
            && missing.observed == ObservationStatus::First
        {
            self.newly_missing.fetch_add(1, Ordering::Relaxed);
            self.say_missing(missing);
        }
    }
}

impl<'a> ReconcileLogger<'a> {
    pub(super) fn of(source: &'a SourceName, request_id: &'a str) -> Self {
        Self {
            source: source.as_str(),
            request_id,
            newly_missing: AtomicUsize::new(0),
        }
    }

    /// How many events were found missing now.
    pub(super) fn newly_missing(&self) -> usize {
        self.newly_missing.load(Ordering::Relaxed)
    }

    fn say_missing(
        &self,
        MissingEvent {
            payment,
            what,
            since,
            key,
            ..
        }: &MissingEvent,
    ) {
        let (id, source, what) = (self.request_id, self.source, what.as_str());
        let (key, payment, since) = (key.as_str(), payment.as_str(), since.to_string());
        tracing::warn!(
            requestId = id,
            source,
            key,
            payment,
            what,
            since,
            "an event never came"
        );
    }

    /// Says how it ended, with what stood in its way before.
    pub(super) fn say(&self, row: &ReconcileRecord, end: &RunResult) {
        match end {
            RunResult::Ran(RunOutcome {
                found: RunFindings::Hmrc(boxes),
                ..
            }) => boxes.iter().for_each(|report| self.say_box(report)),
            RunResult::Ran(RunOutcome {
                found: RunFindings::GovukPay(report),
                ..
            }) if report.unreadable > 0 => {
                let (id, source, payments) =
                    (self.request_id, self.source, count(report.unreadable));
                tracing::warn!(
                    requestId = id,
                    source,
                    payments,
                    "payments could not be read: compare Pillarbox with Pay's API"
                );
            }
            RunResult::Ran(_) | RunResult::NoCredentials(_) | RunResult::CutOff => {}
        }
        self.say_row(row);
    }

    fn say_box(&self, report: &BoxReport) {
        let (id, source, box_id) = (self.request_id, self.source, report.box_id.as_str());
        if let Some(fault) = &report.trouble {
            let why = fault.to_string();
            tracing::warn!(
                requestId = id,
                source,
                boxId = box_id,
                why,
                "a box could not be emptied"
            );
        }
        if report.stuck > 0 {
            let (stuck, refused) = (
                count(report.stuck),
                report.refused.as_ref().map(ToString::to_string),
            );
            let why = refused
                .as_deref()
                .unwrap_or("they have no id that could be acknowledged");
            tracing::warn!(
                requestId = id,
                source,
                boxId = box_id,
                stuck,
                why,
                "notifications stay in their box"
            );
        }
    }

    fn say_row(&self, row: &ReconcileRecord) {
        let (id, source, ended) = (self.request_id, row.source.as_str(), row.ended);
        let (reason, numbers) = (row.failed.as_deref(), &row.numbers);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    requestId = id,
                    source,
                    ended,
                    reason,
                    seen = count(numbers.seen),
                    recorded = count(numbers.recorded),
                    duplicates = count(numbers.duplicates),
                    held = count(numbers.held),
                    acknowledged = count(numbers.acknowledged),
                    missing = count(numbers.missing),
                    newlyMissing = row.newly_missing.map(count),
                    troubles = count(numbers.troubles),
                    oldestUnacknowledgedSeconds = row.oldest.map(|age| age.as_secs()),
                    silentSeconds = row.silent.map(|age| age.as_secs()),
                    "reconciled"
                )
            };
        }
        match (&row.failed, row.failures) {
            (Some(_), _) => line!(error),
            (None, 1..) => line!(warn),
            (None, 0) => line!(info),
        }
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
