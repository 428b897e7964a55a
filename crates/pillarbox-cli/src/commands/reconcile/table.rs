//! The findings of a run, as a table and as JSON.

use serde_json::{Value, json};

use super::super::{
    CommandError,
    output::{BOLD, CommandOutput, paint},
};
use crate::labels;
use pillarbox::{
    domain::Timestamp,
    reconcile::{
        RunFindings, RunOutcome,
        govuk_pay::{MissingEvent, ObservationStatus},
        hmrc::BoxReport,
    },
};

/// Prints the findings and a summary.
pub(super) fn print(
    outcome: &RunOutcome,
    dry_run: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    match &outcome.found {
        RunFindings::Hmrc(boxes) => boxes_table(boxes, output)?,
        RunFindings::GovukPay(report) => missing_table(&report.missing, output)?,
    }
    let stats = outcome.stats();
    let recorded = if dry_run {
        "would be recorded"
    } else {
        "recorded now: push had missed them"
    };
    let line = match &outcome.found {
        RunFindings::Hmrc(_) => format!(
            "{} listed, {} {recorded}, {} recorded before, {} held, {} acknowledged.",
            stats.seen, stats.recorded, stats.duplicates, stats.held, stats.acknowledged
        ),
        RunFindings::GovukPay(_) => format!(
            "{} payments checked, {} events missing, {} observations recorded now, {} \
             before, {} payments unreadable.",
            stats.seen, stats.missing, stats.recorded, stats.duplicates, stats.errors
        ),
    };
    Ok(output.info(&line)?)
}

fn boxes_table(boxes: &[BoxReport], output: &mut CommandOutput) -> Result<(), CommandError> {
    if !boxes.is_empty() {
        let head = format!(
            "{:<36}  {:>7}  {:>7}  {:>7}  {:>5}  {:>7}  OLDEST LEFT",
            "BOX", "LISTED", "MISSED", "KNOWN", "HELD", "ACKED"
        );
        output.data(&paint(&head, BOLD))?;
    }
    for report in boxes {
        let oldest = report
            .oldest
            .map_or_else(|| "-".to_owned(), labels::local_time);
        output.data(&format!(
            "{:<36}  {:>7}  {:>7}  {:>7}  {:>5}  {:>7}  {oldest}",
            report.box_id,
            report.listed,
            report.missed,
            report.duplicates,
            report.held,
            report.acknowledged
        ))?;
        for line in failures(report) {
            output.data(&format!("  {line}"))?;
        }
    }
    Ok(())
}

/// Why a box could not be emptied, and what to do.
fn failures(report: &BoxReport) -> Vec<String> {
    let failure = report.error.as_ref();
    let failure = failure.map(|error| format!("could not be emptied: {error}"));
    let refused = report
        .refused
        .as_ref()
        .map(|error| format!("one of them could not be stored: {error}"));
    let stuck = (report.stuck > 0).then(|| {
        format!(
            "{} stay unacknowledged, since they have no usable id or could not be stored: see \
             `list --state held`",
            report.stuck
        )
    });
    [failure, refused, stuck].into_iter().flatten().collect()
}

fn missing_table(missing: &[MissingEvent], output: &mut CommandOutput) -> Result<(), CommandError> {
    if !missing.is_empty() {
        let head = format!(
            "{:<26}  {:<24}  {:<23}  OBSERVATION",
            "PAYMENT", "MISSING", "HAPPENED BY"
        );
        output.data(&paint(&head, BOLD))?;
    }
    for one in missing {
        let (payment, since) = (one.payment.as_str(), labels::local_time(one.since));
        let what = one.what.as_str();
        output.data(&format!(
            "{payment:<26}  {what:<24}  {since:<23}  {} ({})",
            one.key,
            observed(one.observed)
        ))?;
    }
    Ok(())
}

fn observed(observed: ObservationStatus) -> &'static str {
    match observed {
        ObservationStatus::First => "recorded",
        ObservationStatus::Before => "recorded before",
        ObservationStatus::No => "not recorded",
    }
}

/// Prints one object per box or missing event, and a summary.
pub(super) fn json(outcome: &RunOutcome, output: &mut CommandOutput) -> Result<(), CommandError> {
    let lines: Vec<Value> = match &outcome.found {
        RunFindings::Hmrc(boxes) => boxes.iter().map(box_json).collect(),
        RunFindings::GovukPay(report) => report.missing.iter().map(missing_json).collect(),
    };
    for line in lines {
        output.data(&line.to_string())?;
    }
    let stats = outcome.stats();
    let summary = json!({"summary": {
        "ended": outcome.ended.to_string(),
        "seen": stats.seen,
        "recorded": stats.recorded,
        "duplicates": stats.duplicates,
        "held": stats.held,
        "acknowledged": stats.acknowledged,
        "missing": stats.missing,
        "oldest": instant(stats.oldest),
        "troubles": stats.errors,
    }});
    Ok(output.data(&summary.to_string())?)
}

fn box_json(report: &BoxReport) -> Value {
    json!({
        "box": report.box_id,
        "listed": report.listed,
        "missed": report.missed,
        "duplicates": report.duplicates,
        "held": report.held,
        "acknowledged": report.acknowledged,
        "stuck": report.stuck,
        "oldest": instant(report.oldest),
        "trouble": report.error.as_ref().map(ToString::to_string),
    })
}

fn missing_json(one: &MissingEvent) -> Value {
    json!({
        "payment": one.payment.as_str(),
        "missing": one.what.as_str(),
        "since": one.since.to_string(),
        "key": one.key.as_str(),
        "observed": observed(one.observed),
    })
}

fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
