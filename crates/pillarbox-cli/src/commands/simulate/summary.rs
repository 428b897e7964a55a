//! The summary of a run, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    CommandError,
    output::{BOLD, CommandOutput, GREEN, RED, millis, paint},
};
use sender_simulator::run::{DeliveryOutcome, RunEnding, RunPlan, RunSummary};

/// The upper bounds of the histogram's rows, in microseconds; the last row has none.
const ROW_BOUNDS_US: [u64; 9] = [
    1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 3_000_000,
];
/// The width of the longest bar.
const BAR_WIDTH: u64 = 40;
/// The largest number of faults that are printed for each name.
const MAX_SHOWN: usize = 20;

/// Prints the summary of one source's run.
pub(super) fn print(
    plan: &RunPlan,
    summary: &RunSummary,
    compared: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let title = format!(
        "{} to {}: {}",
        plan.sender.as_str(),
        plan.url,
        ending(plan, summary)
    );
    output.data(&paint(&title, BOLD))?;
    output.data(&format!(
        "  acknowledged {} · given up {} · lost by redirect {} · undecided {}",
        summary.count_genuine(DeliveryOutcome::Acknowledged),
        summary.count_genuine(DeliveryOutcome::Failed),
        summary.count_genuine(DeliveryOutcome::LostByRedirect),
        summary.undecided,
    ))?;
    for ((what, outcome), count) in summary
        .settled
        .iter()
        .filter(|((what, _), _)| !matches!(*what, "notification" | "second-id"))
    {
        output.data(&format!("  {what} {outcome} {count}"))?;
    }
    if summary.lost > 0 {
        output.data(&format!(
            "  {} never sent, as an injected fault",
            summary.lost
        ))?;
    }
    let outcomes: Vec<String> = summary
        .outcomes
        .iter()
        .map(|(word, count)| format!("{word} × {count}"))
        .collect();
    output.data(&format!(
        "  {} requests: {}",
        summary.requests,
        outcomes.join(", ")
    ))?;
    output.data(&format!(
        "  {} retries, {} sent again immediately, {} disconnected early",
        summary.retries, summary.reposts, summary.abandoned
    ))?;
    print_response_times(summary, output)?;
    print_faults(summary, compared, output)
}

/// The number of messages of a run, in words.
pub(super) fn size(plan: &RunPlan) -> String {
    match (plan.count, plan.replay.len()) {
        (count, 0) => format!("{count} notifications"),
        (0, replayed) => format!("{replayed} replayed requests"),
        (count, replayed) => format!("{count} notifications and {replayed} replayed requests"),
    }
}

fn ending(plan: &RunPlan, summary: &RunSummary) -> String {
    let took = format!(
        "{}.{} s",
        summary.took.as_secs(),
        summary.took.subsec_millis() / 100
    );
    match summary.ending {
        RunEnding::Complete => format!("{} in {took}", size(plan)),
        RunEnding::OutOfTime => format!(
            "the time limit passed after {took}, before all {} were settled",
            size(plan)
        ),
        RunEnding::Stopped => format!(
            "stopped after {took}, before all {} were settled",
            size(plan)
        ),
    }
}

fn print_response_times(
    summary: &RunSummary,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let answered = &summary.response_times;
    if answered.is_empty() {
        return Ok(output.data("  no response")?);
    }
    let at = |percent: u32| {
        millis(Duration::from_micros(
            answered.value_at_percentile(f64::from(percent)),
        ))
    };
    let longest = millis(Duration::from_micros(answered.max()));
    output.data(&format!(
        "  response time: p50 {} · p90 {} · p99 {} · longest {longest} ms",
        at(50),
        at(90),
        at(99)
    ))?;
    let rows = histogram(summary);
    let most = rows
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or_default()
        .max(1);
    for (name, count) in rows.iter().filter(|(_, count)| *count > 0) {
        let bar =
            "█".repeat(usize::try_from((count * BAR_WIDTH).div_ceil(most)).unwrap_or_default());
        output.data(&format!("  {name:>9} {bar} {count}"))?;
    }
    Ok(())
}

/// The number of responses within each range of times.
fn histogram(summary: &RunSummary) -> Vec<(String, u64)> {
    let mut from = 0;
    let mut rows = Vec::new();
    for to in ROW_BOUNDS_US.into_iter().map(Some).chain([None]) {
        let count = summary
            .response_times
            .count_between(from, to.map_or(u64::MAX, |to| to - 1));
        let name = match to {
            Some(to) if to >= 1_000_000 => format!("< {} s", to / 1_000_000),
            Some(to) => format!("< {} ms", to / 1_000),
            None => "longer".to_owned(),
        };
        rows.push((name, count));
        from = to.unwrap_or(u64::MAX);
    }
    rows
}

fn print_faults(
    summary: &RunSummary,
    compared: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    if summary.faults.is_empty() {
        let compared = if compared {
            ", and the inbox matches the sender's records"
        } else {
            ""
        };
        let words = if summary.ending == RunEnding::Complete {
            "No faults"
        } else {
            "No faults so far"
        };
        return Ok(output.data(&paint(&format!("  {words}{compared}."), GREEN))?);
    }
    for (name, count) in &summary.faults_by_name {
        output.data(&paint(&format!("  {name}: {count}"), RED))?;
        for fault in summary
            .faults
            .iter()
            .filter(|fault| fault.name == *name)
            .take(MAX_SHOWN)
        {
            output.data(&format!("    {}: {}", fault.id, fault.sentence))?;
        }
    }
    Ok(())
}

/// The summary of one source's run, as one JSON object.
pub(super) fn json(plan: &RunPlan, summary: &RunSummary) -> Result<String, CommandError> {
    let percentile = |percent: u32| {
        summary
            .response_times
            .value_at_percentile(f64::from(percent))
    };
    let settled: Vec<Value> = (summary.settled.iter())
        .map(|((what, outcome), count)| json!({"what": what, "fate": outcome, "count": count}))
        .collect();
    let faults: Vec<Value> = (summary.faults.iter())
        .map(|fault| json!({"name": fault.name, "id": fault.id, "sentence": fault.sentence}))
        .collect();
    let value = json!({"summary": {
        "sender": plan.sender.as_str(),
        "url": plan.url.as_str(),
        "seed": plan.seed,
        "start": plan.start.to_string(),
        "time_scale": plan.time_scale,
        "count": plan.count,
        "ending": match summary.ending {
            RunEnding::Complete => "complete",
            RunEnding::OutOfTime => "out-of-time",
            RunEnding::Stopped => "stopped",
        },
        "took_ms": u64::try_from(summary.took.as_millis()).unwrap_or(u64::MAX),
        "settled": settled,
        "undecided": summary.undecided,
        "requests": summary.requests,
        "retries": summary.retries,
        "reposts": summary.reposts,
        "abandoned": summary.abandoned,
        "lost": summary.lost,
        "outcomes": summary.outcomes,
        "answered_us": {"p50": percentile(50), "p90": percentile(90), "p99": percentile(99),
            "longest": summary.response_times.max()},
        "faults": faults,
        "faults_by_name": summary.faults_by_name,
    }});
    Ok(value.to_string())
}
