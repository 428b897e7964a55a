//! Simulates the whole protocol in one process, in virtual time, with faults: `proof simulate`.
//!
//! The product's code receives, delivers and reconciles. Everything around it is simulated: a table
//! that fails, a stream, the senders with their schedules and APIs, a destination, an operator and
//! an attacker. A history runs on one thread with a paused clock and seeded random numbers, so its
//! line reproduces it byte for byte. First, faults are injected. After that, all work must
//! complete.

pub(crate) mod api;
pub(crate) mod content;
mod delivery;
mod leaks;
mod one_history;
mod person;
mod plan;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod receivers;
pub(crate) mod reconciler;
mod senders;
mod stream;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod simulation;

use std::{
    collections::BTreeMap,
    panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    arguments::CommandArguments,
    checker::{Violation, check},
    history::{History, RecordedEvent},
    sync::{into_inner, lock},
};
use delivery::PLANNED_PANIC;
use one_history::run;
use plan::HistoryPlan;
pub(crate) use random::SplitMix64;

/// The number of violations after which a run ends.
const MAX_VIOLATIONS: usize = 5;

/// The number of unplanned panics. The product catches the panics of an attempt, so only this count
/// shows them.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// The counts of all histories.
#[derive(Default)]
struct SimulationTotals {
    histories: u64,
    events: u64,
    virtual_millis: i64,
    /// The counts by a prefix and a name.
    counts: BTreeMap<(&'static str, &'static str), u64>,
    violated: Vec<(HistoryPlan, Violation)>,
}

impl SimulationTotals {
    fn add(&mut self, plan: &HistoryPlan, history: &History) {
        self.histories += 1;
        self.events += history.records.len() as u64;
        self.virtual_millis += history.records.last().map_or(0, |record| record.at);
        for record in &history.records {
            let name = match &record.event {
                RecordedEvent::Posted { .. } => ("", "requests"),
                RecordedEvent::Stored { .. } => ("", "rows"),
                RecordedEvent::Claimed { .. } => ("", "attempts"),
                RecordedEvent::Accepted { .. } => ("", "deliveries"),
                RecordedEvent::Replayed { .. } | RecordedEvent::Discarded { .. } => {
                    ("", "decisions")
                }
                RecordedEvent::StreamAnswered { .. } => ("", "batches"),
                RecordedEvent::PullAcknowledged { .. } => ("", "acknowledgements"),
                RecordedEvent::Expired { .. } => ("", "expiries"),
                RecordedEvent::ClockSet { .. } => ("fault ", "clock-jump"),
                RecordedEvent::FaultInjected { fault, .. } => ("fault ", *fault),
                _ => continue,
            };
            *self.counts.entry(name).or_default() += 1;
        }
        let (lines, violations) = judge(history);
        *self.counts.entry(("", "lines logged")).or_default() += lines;
        if let Some(violation) = violations.into_iter().next() {
            self.violated.push((plan.clone(), violation));
        }
    }

    fn merge(&mut self, other: Self) {
        self.histories += other.histories;
        self.events += other.events;
        self.virtual_millis += other.virtual_millis;
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.violated.extend(other.violated);
    }

    fn print(&self, took: Duration, threads: u64) {
        let hours = took.as_secs_f64() * threads as f64 / 3600.0;
        println!(
            "{} histories in {:.1} s on {threads} threads: {:.0} a core-hour; {:.1} years of \
             virtual time; {} events",
            self.histories,
            took.as_secs_f64(),
            self.histories as f64 / hours,
            self.virtual_millis as f64 / 1000.0 / 86_400.0 / 365.25,
            self.events,
        );
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|((prefix, name), count)| format!("{prefix}{name} {count}"))
            .collect();
        println!("{}", counts.join(", "));
    }
}

/// `proof simulate`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["histories", "seed", "threads", "first"])?;
    let histories: u64 = arguments.number("histories", 10_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads: u64 = arguments.number("threads", cores)?;
    println!("proof simulate --histories {histories} --seed {seed}");
    hide_planned_panics();
    let began = tokio::time::Instant::now();
    // `planted` needs only the first violation.
    let is_first_enough = arguments.text("first") == Some("true");
    let most = if is_first_enough { 1 } else { MAX_VIOLATIONS };
    let totals = simulate(histories, seed, threads.max(1), most);
    totals.print(began.elapsed(), threads.max(1));
    for (plan, violation) in &totals.violated {
        println!("VIOLATION {violation}\n  proof replay {plan}");
    }
    if let Some((plan, violation)) = totals.violated.first().filter(|_| !is_first_enough) {
        let (plan, violation) = shrink(plan.clone(), violation.clone());
        println!("SMALLEST {violation}\n  proof replay {plan}");
    }
    let panics = PANICS.load(Ordering::Relaxed);
    println!("{} violations, {panics} panics", totals.violated.len());
    Ok(totals.violated.is_empty() && panics == 0)
}

/// Checks the history that has just run on this thread. Returns the number of logged lines and the
/// violations.
fn judge(history: &History) -> (u64, Vec<Violation>) {
    let (lines, leaked) = leaks::take_result();
    let violations = check(history).into_iter().chain(leaked);
    (lines, violations.collect())
}

fn simulate(histories: u64, seed: u64, threads: u64, most: usize) -> SimulationTotals {
    leaks::watch();
    let (next, all) = (AtomicU64::new(0), Mutex::new(SimulationTotals::default()));
    let violated = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut totals = SimulationTotals::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_enough = violated.load(Ordering::Relaxed) >= most as u64;
                    if number >= histories || is_enough {
                        break;
                    }
                    let plan = HistoryPlan::of(seed, number);
                    let before = totals.violated.len();
                    totals.add(&plan, &run(&plan));
                    violated.fetch_add((totals.violated.len() - before) as u64, Ordering::Relaxed);
                }
                lock(&all).merge(totals);
            });
        }
    });
    into_inner(all)
}

/// Shrinks a plan step by step, as long as it still violates the same rule.
fn shrink(mut plan: HistoryPlan, mut violation: Violation) -> (HistoryPlan, Violation) {
    'smaller: loop {
        for smaller in plan.smaller_plans() {
            let (_, found) = judge(&run(&smaller));
            if let Some(same) = found.into_iter().find(|found| found.rule == violation.rule) {
                (plan, violation) = (smaller, same);
                continue 'smaller;
            }
        }
        return (plan, violation);
    }
}

/// `proof replay`.
pub(crate) fn replay(arguments: &CommandArguments) -> Result<bool, String> {
    let plan: HistoryPlan = arguments.line().parse()?;
    hide_planned_panics();
    leaks::watch();
    let history = run(&plan);
    for record in &history.records {
        println!("{record}");
    }
    let (_, violations) = judge(&history);
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    println!(
        "{} events, {} faults, {} violations",
        history.records.len(),
        history.faults(),
        violations.len()
    );
    Ok(violations.is_empty())
}

/// Prints and counts unplanned panics only.
fn hide_planned_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text != PLANNED_PANIC {
            PANICS.fetch_add(1, Ordering::Relaxed);
            print(panic);
        }
    }));
}
