//! The states of a row, searched exhaustively: `proof model`.
//!
//! The transitions are the product's decisions. A worker, a receiver and a run of reconcile are the
//! product's own functions, which [`script`] runs up to their next call; the effect of each call is
//! that of the model table, which passes the contract of every inbox. The model chooses what becomes
//! of each call, which process is next, and when time passes.

mod bounds;
mod effect;
mod memo;
mod messages;
mod routine;
mod rules;
mod script;
mod search;
mod state;

use std::{sync::Arc, time::Duration};

use stateright::{Checker, HasDiscoveries, Model};

use crate::arguments::Arguments;
use bounds::{LONG, ModelBounds, SHORT};
use routine::Routines;
use search::RowModel;

/// `proof model`.
pub(crate) fn command(arguments: &Arguments) -> Result<bool, String> {
    arguments.only(&["bounds", "only", "threads", "seconds"])?;
    let threads: usize = arguments.number("threads", 2)?;
    let seconds: u64 = arguments.number("seconds", 3600)?;
    let only = arguments.text("only").unwrap_or_default();
    let searches = match arguments.text("bounds").unwrap_or("short") {
        "short" => SHORT,
        "long" => LONG,
        other => return Err(format!("--bounds takes short or long, not `{other}`")),
    };
    let routines = Arc::new(Routines::new());
    let mut is_kept = true;
    for bounds in searches.iter().filter(|bounds| bounds.name.contains(only)) {
        let timeout = Duration::from_secs(seconds);
        is_kept &= search(*bounds, &routines, threads, timeout);
    }
    Ok(is_kept)
}

/// One search; whether it was complete and every rule held.
fn search(
    bounds: ModelBounds,
    routines: &Arc<Routines>,
    threads: usize,
    timeout: Duration,
) -> bool {
    println!("{bounds:?}");
    let began = tokio::time::Instant::now();
    let model = RowModel::new(bounds, Arc::clone(routines));
    let checker = model
        .checker()
        .threads(threads)
        .timeout(timeout)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "  states {}, unique {}, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64(),
    );
    let mut is_kept = true;
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        match (property.expectation, found) {
            (stateright::Expectation::Sometimes, None) => {
                println!("NOT REACHED {}", property.name);
                is_kept = false;
            }
            (stateright::Expectation::Always, Some(path)) => {
                println!("VIOLATION {}", property.name);
                for action in path.into_actions() {
                    println!("  {action:?}");
                }
                is_kept = false;
            }
            _ => {}
        }
    }
    is_kept
}
