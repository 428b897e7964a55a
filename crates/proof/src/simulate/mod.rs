//! The whole protocol in one process and in virtual time, under faults: `proof simulate`.
//!
//! The product's own code receives, delivers and reconciles. Around it are models: a table that
//! fails, a stream, the senders with their timetables and their APIs, a destination, a person, a
//! stranger. A history has one thread, a paused clock and seeded chance, so its line gives it
//! again, byte for byte. First faults happen; then they end, and everything must drain.

mod api;
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
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    arguments::CommandArguments,
    checker::{Violation, check},
    history::{History, RecordedEvent},
};
use delivery::PLANNED_PANIC;
use one_history::run;
use plan::HistoryPlan;
pub(crate) use random::SplitMix64;

/// How many violations end a run.
const MAX_VIOLATIONS: usize = 5;

/// Panics that no plan asked for. The product catches those of an attempt, so nothing else shows
/// them.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What many histories did.
#[derive(Default)]
struct SimulationTotals {
    histories: u64,
    moments: u64,
    virtual_millis: i64,
    counts: BTreeMap<&'static str, u64>,
    violated: Vec<(HistoryPlan, Violation)>,
}

impl SimulationTotals {
    fn add(&mut self, plan: &HistoryPlan, history: &History) {
        self.histories += 1;
        self.moments += history.moments.len() as u64;
        self.virtual_millis += history.moments.last().map_or(0, |moment| moment.at);
        for moment in &history.moments {
            let what = match &moment.what {
                RecordedEvent::Posted { .. } => "requests",
                RecordedEvent::Stored { .. } => "rows",
                RecordedEvent::Claimed { .. } => "attempts",
                RecordedEvent::Accepted { .. } => "deliveries",
                RecordedEvent::Replayed { .. } | RecordedEvent::Discarded { .. } => "decisions",
                RecordedEvent::StreamAnswered { .. } => "batches",
                RecordedEvent::PullAcknowledged { .. } => "acknowledgements",
                RecordedEvent::Expired { .. } => "expiries",
                RecordedEvent::ClockSet { .. } => "fault clock-jump",
                RecordedEvent::Disturbed { fault, .. } => fault_name(fault),
                _ => continue,
            };
            *self.counts.entry(what).or_default() += 1;
        }
        let (lines, violations) = judge(history);
        *self.counts.entry("lines logged").or_default() += lines;
        if let Some(violation) = violations.into_iter().next() {
            self.violated.push((plan.clone(), violation));
        }
    }

    fn merge(&mut self, other: Self) {
        self.histories += other.histories;
        self.moments += other.moments;
        self.virtual_millis += other.virtual_millis;
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
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
            self.moments,
        );
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        println!("{}", counts.join(", "));
    }
}

fn fault_name(fault: &'static str) -> &'static str {
    match fault {
        "refused" => "fault refused",
        "lost-reply" => "fault lost-reply",
        "late" => "fault late",
        "delayed" => "fault delayed",
        "repeated" => "fault repeated",
        "crash" => "fault crash",
        "freeze" => "fault freeze",
        other => other,
    }
}

/// `proof simulate`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.only(&["histories", "seed", "threads", "first"])?;
    let histories: u64 = arguments.number("histories", 10_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads: u64 = arguments.number("threads", cores)?;
    println!("proof simulate --histories {histories} --seed {seed}");
    hide_planned_panics();
    let began = tokio::time::Instant::now();
    // One violation is enough to show that a planted fault is found.
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

/// What the history that has just run on this thread broke, and how many lines it logged.
fn judge(history: &History) -> (u64, Vec<Violation>) {
    let (lines, leaked) = leaks::take();
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
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .merge(totals);
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest plan that still breaks the same rule, as far as steps one at a time lead there.
fn shrink(plan: HistoryPlan, violation: Violation) -> (HistoryPlan, Violation) {
    let (mut plan, mut violation) = (plan, violation);
    'smaller: loop {
        for smaller in plan.smaller() {
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
    for moment in &history.moments {
        println!("{moment}");
    }
    let (_, violations) = judge(&history);
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    println!(
        "{} events, {} faults, {} violations",
        history.moments.len(),
        history.faults(),
        violations.len()
    );
    Ok(violations.is_empty())
}

/// Prints and counts the panics that no plan asked for.
fn hide_planned_panics() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text != PLANNED_PANIC {
            PANICS.fetch_add(1, Ordering::Relaxed);
            shown(panic);
        }
    }));
}
