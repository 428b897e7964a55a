//! Searches all states of a few rows exhaustively: `proof model`.
//!
//! The product decides the transitions. A worker, a receiver and a run of reconcile are the
//! product's functions, which [`script`] runs up to their next call. Each call takes effect on the
//! model table, which passes the contract of every inbox. The model chooses the outcome of each
//! call, the next process, and when time passes.

mod bounds;
mod effect;
mod goals;
mod answer_cache;
mod messages;
mod routine;
mod rules;
mod script;
mod search;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};
use tokio::time::Instant;

use crate::arguments::CommandArguments;
use bounds::{LONG, ModelBounds, SHORT};
use routine::RoutineResults;
use search::RowModel;

/// `proof model`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["bounds", "only", "threads", "seconds"])?;
    let threads: usize = arguments.number("threads", 2)?;
    let seconds: u64 = arguments.number("seconds", 3600)?;
    let only = arguments.text("only").unwrap_or_default();
    let seconds = Duration::from_secs(seconds);
    let searches = match arguments.text("bounds").unwrap_or("short") {
        "short" => SHORT,
        "long" => LONG,
        other => return Err(format!("--bounds takes short or long, not `{other}`")),
    };
    let routines = Arc::new(RoutineResults::new());
    for bounds in searches.iter().filter(|bounds| bounds.name.contains(only)) {
        if !search(*bounds, &routines, threads, seconds) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs one search. Returns whether it was complete and every rule held.
fn search(
    bounds: ModelBounds,
    routines: &Arc<RoutineResults>,
    threads: usize,
    timeout: Duration,
) -> bool {
    println!("{bounds}");
    let began = Instant::now();
    let checker = RowModel::new(bounds, Arc::clone(routines))
        .checker()
        .threads(threads)
        .timeout(timeout)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let took = began.elapsed();
    println!(
        "  {} states, {} of them different, {} steps deep, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        took.as_secs_f64(),
    );
    let is_complete = took < timeout;
    if !is_complete {
        println!("NOT COMPLETE after {} s", timeout.as_secs());
    }
    let failures = failures(&checker);
    for failure in &failures {
        println!("{failure}");
    }
    is_complete && failures.is_empty()
}

/// The broken rules, each with the steps that lead to it, and the goals that were not reached.
fn failures(checker: &impl Checker<RowModel>) -> Vec<String> {
    let failure = |property: Property<RowModel>| {
        let found = checker.discovery(property.name);
        match (property.expectation, found) {
            (Expectation::Sometimes, None) => Some(format!("NOT REACHED {}", property.name)),
            (Expectation::Always, Some(path)) => {
                let steps = path.into_actions();
                let steps = steps.iter().map(|step| format!("\n  {step:?}"));
                Some(format!(
                    "VIOLATION {}{}",
                    property.name,
                    steps.collect::<String>()
                ))
            }
            _ => None,
        }
    };
    let properties = checker.model().properties();
    properties.into_iter().filter_map(failure).collect()
}
