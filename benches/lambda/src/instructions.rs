//! How many instructions a warm invocation takes, whatever else the machine does meanwhile.
//!
//! Valgrind counts those of a whole process. Two processes answer different numbers of invocations,
//! and the difference is that of the invocations. Instructions in the kernel are not counted, and
//! valgrind has no instructions for SHA, so the hashes of all programs weigh more than on a
//! processor that has them.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    measure::Bench,
    programs::{self, FLOOR, HELLO, Program},
};

/// Answered by both processes: the first invocations fill caches and allocate.
const WARM_UP: u32 = 200;

/// A table of the instructions of one of `count` warm invocations of each program.
pub(crate) fn table(bench: &mut Bench, programs: &[Program], count: u32) -> String {
    let counted: Vec<(&str, f64)> = programs
        .iter()
        .map(|program| (program.name.as_str(), of_one(bench, program, count)))
        .collect();
    let times = |value: f64, yardstick: &str| {
        let found = counted.iter().find(|(name, _)| *name == yardstick);
        found.map_or("–".to_owned(), |(_, of)| format!("{:.2}", value / of))
    };
    let mut text = String::from(
        "| | instructions of an invocation | × hello | × floor |\n|---|---|---|---|\n",
    );
    for (name, value) in &counted {
        let (hello, floor) = (times(*value, HELLO), times(*value, FLOOR));
        let _ = writeln!(text, "| {name} | **{value:.0}** | {hello} | {floor} |");
    }
    text
}

fn of_one(bench: &mut Bench, program: &Program, count: u32) -> f64 {
    let [few, many] = [WARM_UP, WARM_UP + count].map(|invocations| {
        let name = program.name.replace(' ', "-");
        let file = programs::folder().join(format!("{name}-{invocations}.callgrind"));
        bench.serve(&program.under_valgrind(&file), invocations);
        total(&file)
    });
    (many - few) as f64 / f64::from(count)
}

/// The instructions that a file of callgrind's names in all.
fn total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).expect("valgrind wrote what it counted");
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = line.and_then(|line| line.trim().parse().ok());
    total.expect("callgrind sums up what it counted")
}
