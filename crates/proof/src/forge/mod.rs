//! Forgeries: `proof forge`.
//!
//! The command changes genuine requests in every way that an attacker could, and sends them to the
//! receiver directly and through each front of the Lambda. A second implementation, which shares no
//! code with the product, decides which requests are still proven. The receiver must store exactly
//! those, and must not call the inbox for any other. Then the command checks the policy for
//! outbound requests with hostile URLs.

mod connections;
mod destinations;
mod genuine;
mod heads;
mod mutations;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proof::{
    attack::{AttackedReceiver, EntryPoint, fronts::LambdaFront},
    second_verifier::{ExpectedAnswer, PlainRequest},
};

use crate::{
    arguments::CommandArguments,
    simulate::SplitMix64,
    sync::{into_inner, lock},
};
use genuine::GenuineRequest;
use mutations::MUTATIONS;

/// The number of disagreements after which a run ends.
const MAX_DISAGREEMENTS: usize = 20;

const ENTRY_POINTS: [EntryPoint; 4] = [
    EntryPoint::Direct,
    EntryPoint::LambdaFront(LambdaFront::HttpApi),
    EntryPoint::LambdaFront(LambdaFront::FunctionUrl),
    EntryPoint::LambdaFront(LambdaFront::Rest),
];

/// A changed request and its entry point.
struct ForgedCase {
    mutations: Vec<usize>,
    entry_point: EntryPoint,
    request: PlainRequest,
}

impl ForgedCase {
    /// The case with this number, which is the same in every run with this seed.
    fn of(seed: u64, number: u64) -> Self {
        let mut random = SplitMix64::of(seed, number);
        let mut genuine = GenuineRequest::any(&mut random);
        // One case in four has two changes.
        let times = if random.is(250) { 2 } else { 1 };
        let mutations: Vec<usize> = (0..times).map(|_| random.index(MUTATIONS.len())).collect();
        for mutation in &mutations {
            if genuine.request.headers.len() == 3 && !genuine.signature().is_empty() {
                MUTATIONS[*mutation].1(&mut genuine, &mut random);
            }
        }
        let entry_point = random.pick(&ENTRY_POINTS);
        let is_carried = entry_point.carries(&genuine.request);
        Self {
            mutations,
            entry_point: if is_carried {
                entry_point
            } else {
                EntryPoint::Direct
            },
            request: genuine.request,
        }
    }

    /// The kind under which it is counted.
    fn kind(&self) -> usize {
        match self.mutations.as_slice() {
            [one] => *one,
            _ => MUTATIONS.len(),
        }
    }
}

/// The outcomes of the cases of one kind.
#[derive(Clone, Copy, Default)]
struct KindCounts {
    cases: u64,
    stored: u64,
    challenges: u64,
    refused: u64,
}

/// The outcomes of all cases.
#[derive(Default)]
struct ForgeTotals {
    kinds: BTreeMap<usize, KindCounts>,
    ways: BTreeMap<&'static str, u64>,
    forgeries_accepted: u64,
    calls_for_forgeries: u64,
    disagreements: Vec<(u64, String)>,
}

impl ForgeTotals {
    fn add(&mut self, number: u64, case: &ForgedCase, attacked: &AttackedReceiver) {
        let outcome = attacked.attack(&case.request, case.entry_point);
        self.forgeries_accepted += u64::from(outcome.is_forgery_accepted());
        match outcome.expected {
            ExpectedAnswer::Proven(_) => {}
            ExpectedAnswer::Monitor => self.calls_for_forgeries += outcome.calls,
            ExpectedAnswer::Challenge(_) | ExpectedAnswer::Refused(_) => {
                self.calls_for_forgeries += outcome.calls + outcome.probes;
            }
        }
        *self.ways.entry(case.entry_point.as_str()).or_default() += 1;
        let counts = self.kinds.entry(case.kind()).or_default();
        counts.cases += 1;
        match outcome.expected {
            ExpectedAnswer::Proven(_) => counts.stored += 1,
            ExpectedAnswer::Challenge(_) | ExpectedAnswer::Monitor => counts.challenges += 1,
            ExpectedAnswer::Refused(_) => counts.refused += 1,
        }
        if let Err(problem) = outcome.check(&case.request, case.entry_point) {
            let problem = format!("{problem}: {}", describe(case));
            self.disagreements.push((number, problem));
        }
    }

    fn merge(&mut self, other: Self) {
        for (kind, more) in other.kinds {
            let counts = self.kinds.entry(kind).or_default();
            counts.cases += more.cases;
            counts.stored += more.stored;
            counts.challenges += more.challenges;
            counts.refused += more.refused;
        }
        for (way, count) in other.ways {
            *self.ways.entry(way).or_default() += count;
        }
        self.forgeries_accepted += other.forgeries_accepted;
        self.calls_for_forgeries += other.calls_for_forgeries;
        self.disagreements.extend(other.disagreements);
    }

    fn print(&self) {
        println!(
            "{:44} {:>9} {:>9} {:>9} {:>9}",
            "change", "cases", "proven", "answered", "refused"
        );
        for (kind, counts) in &self.kinds {
            println!(
                "{:44} {:>9} {:>9} {:>9} {:>9}",
                name_of(*kind),
                counts.cases,
                counts.stored,
                counts.challenges,
                counts.refused
            );
        }
        let ways: Vec<String> = self
            .ways
            .iter()
            .map(|(way, count)| format!("{way} {count}"))
            .collect();
        println!("by entry point: {}", ways.join(", "));
    }
}

/// The name of a kind. The kind after the last is a case with two changes.
fn name_of(kind: usize) -> &'static str {
    let of_one = MUTATIONS.get(kind).map(|(name, _)| *name);
    of_one.unwrap_or("two of these")
}

fn describe(case: &ForgedCase) -> String {
    let names: Vec<&str> = case.mutations.iter().map(|kind| name_of(*kind)).collect();
    format!(
        "{} through {}",
        names.join(" + "),
        case.entry_point.as_str()
    )
}

/// `proof forge`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["cases", "seed", "threads", "case"])?;
    let seed: u64 = arguments.number("seed", 1)?;
    if arguments.text("case").is_some() {
        return Ok(one_case(seed, arguments.number("case", 0)?));
    }
    let cases: u64 = arguments.number("cases", 1_000_000)?;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads: u64 = arguments.number("threads", cores)?.max(1);
    println!("proof forge --cases {cases} --seed {seed}");
    let began = tokio::time::Instant::now();
    let totals = forge(cases, seed, threads);
    totals.print();
    for (number, problem) in totals.disagreements.iter().take(MAX_DISAGREEMENTS) {
        println!("DISAGREEMENT {problem}\n  proof forge --seed {seed} --case {number}");
    }
    println!(
        "{cases} requests in {:.1} s on {threads} threads: {} forgeries accepted, {} calls of the \
         inbox for forgeries, {} disagreements with the second implementation",
        began.elapsed().as_secs_f64(),
        totals.forgeries_accepted,
        totals.calls_for_forgeries,
        totals.disagreements.len()
    );
    Ok(destinations::check() && totals.disagreements.is_empty() && totals.forgeries_accepted == 0)
}

fn forge(cases: u64, seed: u64, threads: u64) -> ForgeTotals {
    let (next, all) = (AtomicU64::new(0), Mutex::new(ForgeTotals::default()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (attacked, mut totals) = (AttackedReceiver::default(), ForgeTotals::default());
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases || totals.disagreements.len() >= MAX_DISAGREEMENTS {
                        break;
                    }
                    totals.add(number, &ForgedCase::of(seed, number), &attacked);
                }
                lock(&all).merge(totals);
            });
        }
    });
    into_inner(all)
}

/// Repeats one case and prints all of it.
fn one_case(seed: u64, number: u64) -> bool {
    let case = ForgedCase::of(seed, number);
    let (attacked, mut totals) = (AttackedReceiver::default(), ForgeTotals::default());
    println!("{}\n{:?}", describe(&case), case.request);
    println!("{:?}", attacked.attack(&case.request, case.entry_point));
    totals.add(number, &case, &attacked);
    for (_, problem) in &totals.disagreements {
        println!("DISAGREEMENT {problem}");
    }
    totals.disagreements.is_empty()
}
