//! Counts the instructions of a warm invocation, which do not depend on the load of the machine.
//!
//! Valgrind counts the instructions of a whole process. Two processes answer different numbers of
//! invocations, and the difference belongs to the invocations. Instructions in the kernel are not
//! counted. Valgrind does not support SHA instructions, so the hashes of all programs cost more
//! than on a processor that has them.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    measure::Bench,
    programs::{self, FLOOR, HELLO, Program},
};

/// Invocations in both processes, because the first ones fill caches and allocate.
const WARM_UP: u32 = 200;

/// A table of the instructions per invocation, on average over `count` warm ones of each program.
pub(crate) fn table(bench: &mut Bench, programs: &[Program], count: u32) -> String {
    let counted: Vec<(&str, f64)> = programs
        .iter()
        .map(|program| {
            (
                program.name.as_str(),
                count_per_invocation(bench, program, count),
            )
        })
        .collect();
    let times = |value: f64, baseline: &str| {
        let found = counted.iter().find(|(name, _)| *name == baseline);
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

fn count_per_invocation(bench: &mut Bench, program: &Program, count: u32) -> f64 {
    let [few, many] = [WARM_UP, WARM_UP + count].map(|invocations| {
        let name = program.name.replace(' ', "-");
        let file = programs::folder().join(format!("{name}-{invocations}.callgrind"));
        bench.serve(&program.under_valgrind(&file), invocations);
        read_total(&file)
    });
    (many - few) as f64 / f64::from(count)
}

/// The total number of instructions in a file of callgrind.
fn read_total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).expect("valgrind writes the file");
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total = line.and_then(|line| line.trim().parse().ok());
    total.expect("the file has a summary")
}
