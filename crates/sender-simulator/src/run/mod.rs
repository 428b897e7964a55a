//! A sender, played over time: its messages, its timetable, and what goes wrong on the way.
//!
//! ```text
//! seed ─► story: the nth message ─► twists ─► attempts by the sender's timetable ─► fate
//!                                                                                    │
//!                                     what the receiver holds ─► compare ◄───────────┘
//! ```
//!
//! A run needs no process and no files: a [`Plan`] goes in, a [`Summary`] comes out, and what happens
//! meanwhile is told to a closure. It lives in one task, on one core.

mod books;
pub mod capture;
mod chaos;
mod clock;
mod dice;
pub mod holdings;
mod plan;
mod player;
mod pool;
mod redirect;
mod seen;
mod story;

use std::future::Future;

use tokio::time::Instant;

use super::{TargetError, clear, pull::ppns::Notification};
use books::Books;
use player::Player;

pub use books::{Ending, Fault, Sent, Summary, word};
pub use chaos::{Chaos, REORDERED, Scenario};
pub use plan::{Plan, start_of_story};
pub use seen::{Exchanged, Fate, Seen, Settled, What};

/// Plays `plan` to its end, its limit, or until `stop` is ready; `watch` hears of everything at once.
///
/// Nothing is sent where test data must not go: that is the only error. Whatever the receiver does
/// wrong is in the summary.
pub async fn run(
    plan: &Plan,
    watch: &(dyn Fn(Seen<'_>) + Sync),
    stop: impl Future<Output = ()>,
) -> Result<Summary, TargetError> {
    clear(&plan.url)?;
    let (player, began) = (Player::new(plan, watch), Instant::now());
    let ending = tokio::select! {
        () = player.play() => Ending::Complete,
        () = tokio::time::sleep(plan.limit) => Ending::OutOfTime,
        () = stop => Ending::Stopped,
    };
    Ok(player.into_books().close_with(ending, began.elapsed()))
}

/// The box that an HMRC run posts to.
pub fn box_id(plan: &Plan) -> String {
    story::box_id(plan)
}

/// Everything that HMRC keeps of a run of its own, whether or not it is pushed: what a pull finds, all of it pending.
pub fn kept(plan: &Plan) -> impl Iterator<Item = Notification> {
    (0..plan.count).map(|n| story::kept(plan, n))
}

#[cfg(test)]
mod tests;
