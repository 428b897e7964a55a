//! A sender over time: its messages, its retry schedule, and injected faults.
//!
//! ```text
//! seed ─► nth message ─► injected faults ─► attempts on the sender's schedule ─► outcome
//!                                                                                   │
//!                                  the receiver's stored messages ─► compare ◄──────┘
//! ```
//!
//! A run needs no process and no files: it takes a [`RunPlan`], passes every [`RunEvent`] to a
//! closure, and returns a [`RunSummary`]. It uses one task.

pub mod capture;
pub mod comparison;
mod connection_pool;
mod driver;
mod events;
mod injected_faults;
mod messages;
mod plan;
mod scaled_clock;
mod seeded_rng;
mod stats;

use std::future::Future;

use tokio::time::Instant;

use super::{TargetError, apis::ppns::BoxNotification, check_target};
use driver::RunDriver;
use stats::RunStats;

pub use events::{DeliveryOutcome, ExchangeRecord, MessageKind, RunEvent, SettledMessage};
pub use injected_faults::{FaultRates, FaultScenario, REORDER_WINDOW};
pub use messages::box_id;
pub use plan::{RunPlan, default_start};
pub use stats::{ReceiverFault, RunEnding, RunSummary, SentMessage, outcome_label};

/// Runs `plan` until it is complete, its time limit passes, or `stop` completes. `on_event` is
/// called for each event and must not block.
///
/// # Errors
/// Fails only if the plan's URL must not receive test data. Everything that the receiver does wrong
/// is in the summary.
pub async fn run(
    plan: &RunPlan,
    on_event: &(dyn Fn(RunEvent<'_>) + Sync),
    stop: impl Future<Output = ()>,
) -> Result<RunSummary, TargetError> {
    check_target(&plan.url)?;
    let (driver, began) = (RunDriver::new(plan, on_event), Instant::now());
    let ending = tokio::select! {
        () = driver.run() => RunEnding::Complete,
        () = tokio::time::sleep(plan.limit) => RunEnding::OutOfTime,
        () = stop => RunEnding::Stopped,
    };
    Ok(driver.into_stats().into_summary(ending, began.elapsed()))
}

/// All notifications of an HMRC run, pushed or not, as a pull finds them: all are pending.
pub fn notifications(plan: &RunPlan) -> impl Iterator<Item = BoxNotification> {
    (0..plan.count).map(|n| messages::notification(plan, n))
}

#[cfg(test)]
mod tests;
