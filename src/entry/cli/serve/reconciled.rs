//! What is said about a run that asked a sender: a line for whatever is wrong, and one for the whole.

use crate::{
    notification::{SourceName, Timestamp},
    reconcile::{
        Ended, Found, News, Observer, Outcome,
        govuk_pay::{Missing, Observed},
    },
};

/// Says at once what somebody has to look at.
pub(super) struct Said<'a>(&'a str);

impl<'a> Said<'a> {
    pub(super) fn new(source: &'a SourceName) -> Self {
        Self(source.as_str())
    }
}

impl Observer for Said<'_> {
    fn tell(&self, news: News<'_>) {
        match news {
            // What an earlier run found missing it has said.
            News::Missing(missing) if missing.observed == Observed::First => say_missing(self.0, missing),
            News::BoxTrouble { box_id, fault } => {
                tracing::warn!(source = self.0, r#box = box_id, why = %fault, "HMRC did not do what it was asked");
            }
            News::PayTrouble(fault) => {
                tracing::warn!(source = self.0, why = %fault, "GOV.UK Pay did not answer as it should");
            }
            News::Missing(_)
            | News::Waiting(_)
            | News::Listed { .. }
            | News::Recorded(_)
            | News::Acknowledged { .. }
            | News::Swept { .. } => {}
        }
    }
}

fn say_missing(source: &str, missing: &Missing) {
    let Missing { payment, what, since, key, .. } = missing;
    let (payment, what, since) = (payment.as_str(), what.as_str(), since.to_string());
    tracing::warn!(source, payment, what, since, key = key.as_str(), "an event never came");
}

/// Says how a run ended, in one line.
pub(super) fn say(source: &SourceName, outcome: &Outcome, now: Timestamp) {
    let (source, numbers, ended) = (source.as_str(), outcome.numbers(), outcome.ended.to_string());
    if let Found::Hmrc(boxes) = &outcome.found {
        for report in boxes.iter().filter(|report| report.stuck > 0) {
            let (r#box, stuck) = (report.box_id.as_str(), report.stuck);
            tracing::warn!(source, r#box, stuck, "some can't be acknowledged: see what is held");
        }
    }
    let oldest = numbers.oldest.map(|oldest| now.since(oldest).as_secs());
    let (seen, recorded, duplicates) = (numbers.seen, numbers.recorded, numbers.duplicates);
    let (held, acknowledged, missing, troubles) =
        (numbers.held, numbers.acknowledged, numbers.missing, numbers.troubles);
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
        Ended::NotDue(_) => line!(debug, "reconciled"),
        other if other.is_failure() => line!(error, "reconciled in part"),
        _ => line!(info, "reconciled"),
    }
}
