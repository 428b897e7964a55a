//! What is said about a run that asked a sender: a line for whatever is wrong, and one for the whole.

use pillarbox::{
    domain::{SourceName, Timestamp},
    reconcile::{
        ProgressEvent, RunEnd, RunFindings, RunOutcome, RunReporter,
        govuk_pay::{MissingEvent, ObservationStatus},
    },
};

/// Says at once what somebody has to look at.
pub(super) struct ReconcileLogger<'a>(&'a str);

impl<'a> ReconcileLogger<'a> {
    pub(super) fn new(source: &'a SourceName) -> Self {
        Self(source.as_str())
    }
}

impl RunReporter for ReconcileLogger<'_> {
    fn tell(&self, news: ProgressEvent<'_>) {
        match news {
            // What an earlier run found missing it has said.
            ProgressEvent::Missing(missing) if missing.observed == ObservationStatus::First => {
                say_missing(self.0, missing)
            }
            ProgressEvent::BoxTrouble { box_id, fault } => {
                tracing::warn!(source = self.0, r#box = box_id, why = %fault, "HMRC did not do what it was asked");
            }
            ProgressEvent::PayTrouble(fault) => {
                tracing::warn!(source = self.0, why = %fault, "GOV.UK Pay did not answer as it should");
            }
            ProgressEvent::Missing(_)
            | ProgressEvent::Waiting(_)
            | ProgressEvent::Listed { .. }
            | ProgressEvent::Recorded(_)
            | ProgressEvent::Acknowledged { .. }
            | ProgressEvent::Swept { .. } => {}
        }
    }
}

fn say_missing(source: &str, missing: &MissingEvent) {
    let MissingEvent {
        payment,
        what,
        since,
        key,
        ..
    } = missing;
    let (payment, what, since) = (payment.as_str(), what.as_str(), since.to_string());
    tracing::warn!(
        source,
        payment,
        what,
        since,
        key = key.as_str(),
        "an event never came"
    );
}

/// Says how a run ended, in one line.
pub(super) fn say(source: &SourceName, outcome: &RunOutcome, now: Timestamp) {
    let (source, numbers, ended) = (
        source.as_str(),
        outcome.numbers(),
        outcome.ended.to_string(),
    );
    if let RunFindings::Hmrc(boxes) = &outcome.found {
        for report in boxes.iter().filter(|report| report.stuck > 0) {
            let (r#box, stuck) = (report.box_id.as_str(), report.stuck);
            tracing::warn!(
                source,
                r#box,
                stuck,
                "some can't be acknowledged: see what is held"
            );
        }
    }
    let oldest = numbers.oldest.map(|oldest| now.since(oldest).as_secs());
    let (seen, recorded, duplicates) = (numbers.seen, numbers.recorded, numbers.duplicates);
    let (held, acknowledged, missing, troubles) = (
        numbers.held,
        numbers.acknowledged,
        numbers.missing,
        numbers.troubles,
    );
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                source,
                ended,
                seen,
                recorded,
                duplicates,
                held,
                acknowledged,
                missing,
                troubles,
                oldest_s = oldest,
                $message
            )
        };
    }
    match &outcome.ended {
        RunEnd::NotDue(_) => line!(debug, "reconciled"),
        other if other.is_failure() => line!(error, "reconciled in part"),
        _ => line!(info, "reconciled"),
    }
}
