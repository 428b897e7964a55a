//! Every kind of network and table fault, over sockets: `proof faults`.
//!
//! In each case, a shipped binary stores or delivers a notification while one kind of fault affects
//! its calls to the table. The first answer must be 200 with a stored row, or 503, within 2.5 s.
//! Then the faults of that row end, and the notification is posted until it is answered 200. At the
//! end, every row must be delivered.

mod set_up;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    arguments::CommandArguments,
    processes::{choose_binaries, outcome::LaneOutcome, runtime},
    simulate::random::SplitMix64,
};
use set_up::FaultSetUp;

/// The number of cases in one set-up.
const CASES: u64 = 2_000;

/// `proof faults`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["cases", "seed", "binaries"])?;
    let cases: u64 = arguments.number("cases", 10_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    choose_binaries(arguments)?;
    let line = format!("proof faults --cases {cases} --seed {seed}");
    println!("{line}");
    let began = tokio::time::Instant::now();
    let (outcome, injected, answers) = runtime()?.block_on(run(cases, seed));
    for (kind, count) in &injected {
        println!("  {kind:<20} {count}");
    }
    println!(
        "{cases} cases and {} faults of {} kinds in {:.1} s; {} requests; first answers {answers}; \
         {} copies at destinations; {} answers after more than 2.5 s; {} violations",
        injected.values().sum::<u64>(),
        injected.len(),
        began.elapsed().as_secs_f64(),
        outcome.posts,
        outcome.copies,
        outcome.slow,
        outcome.violations.len(),
    );
    Ok(outcome.report(&line))
}

/// The first answers to notifications with a fault while they were stored.
#[derive(Default)]
pub(crate) struct FirstAnswers {
    recorded: AtomicU64,
    duplicate: AtomicU64,
    unavailable: AtomicU64,
}

impl FirstAnswers {
    pub(crate) fn add(&self, outcome: &str) {
        let count = match outcome {
            "recorded" => &self.recorded,
            "duplicate" => &self.duplicate,
            _ => &self.unavailable,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn text(&self) -> String {
        format!(
            "{} recorded, {} duplicate, {} 503",
            self.recorded.load(Ordering::Relaxed),
            self.duplicate.load(Ordering::Relaxed),
            self.unavailable.load(Ordering::Relaxed),
        )
    }
}

async fn run(cases: u64, seed: u64) -> (LaneOutcome, BTreeMap<String, u64>, String) {
    let (mut outcome, mut injected) = (LaneOutcome::default(), BTreeMap::new());
    let answers = Arc::<FirstAnswers>::default();
    let mut draining = tokio::task::JoinSet::new();
    let mut left = cases;
    for number in 0.. {
        let count = left.min(CASES);
        left -= count;
        if count == 0 {
            break;
        }
        let seed = SplitMix64::of(seed, number).next();
        let set_up = FaultSetUp::start(number, seed, &answers).await;
        set_up.run(count).await;
        draining.spawn(set_up.drain());
    }
    while let Some(drained) = draining.join_next().await {
        match drained {
            Ok((drained, counts)) => {
                outcome.merge(drained);
                for (kind, count) in counts {
                    *injected.entry(kind).or_insert(0) += count;
                }
            }
            Err(error) => outcome.violations.push(format!("a set-up ended: {error}")),
        }
    }
    (outcome, injected, answers.text())
}
