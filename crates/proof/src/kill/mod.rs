//! Kills and freezes the shipped binaries, and fills their disk: `proof kill`.
//!
//! The shipped binaries run under load and are killed with SIGKILL, at random instants and at
//! points that are observable from outside. The lanes run in parallel. Each creates set-ups of an
//! inbox, a destination and senders, kills the process repeatedly, waits until all rows are
//! finished, and checks the history.

mod acknowledge;
mod lambda;
mod serve;

use std::time::Duration;

use tokio::task::JoinSet;

use crate::{
    arguments::CommandArguments,
    processes::{choose_binaries, outcome::LaneOutcome, point::KillPoint, runtime},
    simulate::random::SplitMix64,
};

/// The points of a `serve` on an inbox file.
const SQLITE: &[KillPoint] = &[
    KillPoint::Random,
    KillPoint::Start,
    KillPoint::LogWritten,
    KillPoint::Answered,
    KillPoint::DestinationSeen,
    KillPoint::DestinationAnswered,
    KillPoint::Draining,
    KillPoint::DiskFull,
];

/// The points of a `serve` on a table.
const TABLE: &[KillPoint] = &[
    KillPoint::Random,
    KillPoint::Start,
    KillPoint::PutSeen,
    KillPoint::PutDone,
    KillPoint::Answered,
    KillPoint::ClaimSeen,
    KillPoint::ClaimDone,
    KillPoint::LedgerSeen,
    KillPoint::LedgerDone,
    KillPoint::DestinationSeen,
    KillPoint::DestinationAnswered,
    KillPoint::MarkSeen,
    KillPoint::MarkDone,
    KillPoint::SweepQuery,
    KillPoint::Draining,
];

/// The points of a function.
const LAMBDA: &[KillPoint] = &[
    KillPoint::Start,
    KillPoint::PutSeen,
    KillPoint::PutDone,
    KillPoint::Answered,
    KillPoint::ClaimSeen,
    KillPoint::ClaimDone,
    KillPoint::LedgerDone,
    KillPoint::DestinationSeen,
    KillPoint::DestinationAnswered,
    KillPoint::MarkSeen,
    KillPoint::MarkDone,
    KillPoint::SweepQuery,
];

/// `count` points, each equally often, in random order.
fn shuffled(points: &[KillPoint], count: u64, random: &mut SplitMix64) -> Vec<KillPoint> {
    let points = points.iter().copied().cycle();
    let mut chosen: Vec<KillPoint> = points.take(count as usize).collect();
    for last in (1..chosen.len()).rev() {
        chosen.swap(last, random.index(last + 1));
    }
    chosen
}

/// The number of kills in each lane.
struct LaneShares {
    sqlite: u64,
    table: u64,
    lambda: u64,
    acknowledge: u64,
    freezes: u64,
}

impl LaneShares {
    fn of(times: u64) -> Self {
        let acknowledge = (times / 32).max(times.min(6));
        let rest = times - acknowledge;
        let table = rest * 3 / 10;
        let lambda = rest * 2 / 10;
        Self {
            sqlite: rest - table - lambda,
            table,
            lambda,
            acknowledge,
            freezes: (times / 5).max(1),
        }
    }
}

/// `proof kill`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["times", "seed", "only", "binaries"])?;
    let times: u64 = arguments.number("times", 200)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let only = arguments.text("only").unwrap_or_default();
    choose_binaries(arguments)?;
    let line = format!("proof kill --times {times} --seed {seed}");
    println!("{line}");
    let began = tokio::time::Instant::now();
    let mut outcome = runtime()?.block_on(run(times, seed, only));
    outcome.counts.print();
    println!(
        "{} kills and {} freezes in {:.1} s; {} messages, {} requests, {} of them unanswered; {} \
         copies at destinations; {} answers after more than 2.5 s; {} violations",
        outcome.counts.kills(),
        outcome.freezes,
        began.elapsed().as_secs_f64(),
        outcome.messages,
        outcome.posts,
        outcome.unanswered,
        outcome.copies,
        outcome.slow,
        outcome.violations.len(),
    );
    Ok(outcome.report(&line))
}

async fn run(times: u64, seed: u64, only: &str) -> LaneOutcome {
    let shares = LaneShares::of(times);
    let part = |number| SplitMix64::of(seed, number).next();
    let is_chosen = |name: &str| name.contains(only);
    let mut lanes = JoinSet::new();
    let serving = [
        ("sqlite", serve::InboxKind::Sqlite, SQLITE, shares.sqlite),
        ("table", serve::InboxKind::Table, TABLE, shares.table),
    ];
    for ((name, kind, points, kills), number) in serving.into_iter().zip([1, 3]) {
        if is_chosen(name) {
            let points = shuffled(points, kills, &mut SplitMix64::of(seed, number));
            lanes.spawn(serve::run_lane(kind, points, part(number + 1)));
        }
    }
    if is_chosen("lambda") {
        let points = shuffled(LAMBDA, shares.lambda, &mut SplitMix64::of(seed, 5));
        lanes.spawn(lambda::run_lane(points, shares.freezes, part(6)));
    }
    if is_chosen("acknowledge") {
        lanes.spawn(acknowledge::run_lane(shares.acknowledge, part(7)));
    }
    let mut outcome = LaneOutcome::default();
    outcome.merge_all(lanes).await;
    outcome
}

/// A random time below `limit`.
pub(crate) fn below(random: &mut SplitMix64, limit: Duration) -> Duration {
    Duration::from_micros(random.below(limit.as_micros() as u64))
}
