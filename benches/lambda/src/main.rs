//! Measures the size and speed of Pillarbox's Lambda against minimal Lambdas in Rust, the
//! baselines.
//!
//! Simulates Lambda's Runtime API and DynamoDB on loopback, starts each program as Lambda would,
//! and gives it signed, distinct notifications. The programs take turns within every round, so that
//! other load of the machine affects all of them. Prints tables in Markdown.

#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark measures and prints"
)]

mod dynamodb;
mod event;
mod figures;
mod http;
mod instructions;
mod machine;
mod measure;
mod process;
mod programs;
mod report;
mod runtime_api;
mod throttle;

use clap::Parser;

use machine::Usage;
use measure::Bench;
use programs::Program;
use report::Measured;
use throttle::Throttle;

/// Measures Pillarbox's Lambda against minimal Lambdas, and prints tables
#[derive(Parser)]
struct Options {
    /// Starts of each program, once to its first answer and once more for the first invocation at
    /// 128 MB
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Invocations one after another, in one process
    #[arg(long, default_value_t = 2000)]
    warm: usize,
    /// How often that is repeated, each time in a fresh process
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure only the baselines
    #[arg(long)]
    baselines: bool,
    /// Also measure the same work in Python: needs python3 with venv, and pip
    #[arg(long)]
    python: bool,
    /// Another build of Pillarbox's Lambda to measure beside the others
    #[arg(long, value_name = "NAME=PATH", value_parser = parse_named_path)]
    also: Vec<(String, String)>,
    /// Measure only this program of those above; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Measure the existing builds
    #[arg(long)]
    no_build: bool,
    /// Limit programs to a small function's share by signals, even if control groups are available
    #[arg(long)]
    signals: bool,
    /// Only count the instructions of this many warm invocations: needs valgrind
    #[arg(long, value_name = "INVOCATIONS")]
    instructions: Option<u32>,
}

fn main() {
    let options = Options::parse();
    let programs = programs(&options);
    let mut bench = Bench::new(Throttle::choose(options.signals));
    if let Some(count) = options.instructions {
        println!("{}, {}.\n", machine::describe(), command());
        print!("{}", instructions::table(&mut bench, &programs, count));
        return;
    }
    let usage = Usage::now();
    let measured = measure(&mut bench, &programs, &options);
    let others = usage.of_others();

    println!(
        "{}; other programs kept {others:.2} of its processors busy.",
        machine::describe()
    );
    println!(
        "{}, {}.\n",
        jiff::Timestamp::now().strftime("%-d %B %Y"),
        command()
    );
    println!(
        "Medians (least to most) of {} starts, and of {} rounds of {} invocations. \
         The share of a function of 128 MB is held by {}.\n",
        options.runs,
        options.rounds,
        options.warm,
        bench.throttle().name()
    );
    print!("{}", report::tables(&measured));
}

fn programs(options: &Options) -> Vec<Program> {
    let build = !options.no_build;
    let mut programs = programs::baselines(build);
    if !options.baselines {
        programs.push(programs::bootstrap(build));
    }
    programs.extend(
        options
            .also
            .iter()
            .map(|(name, path)| programs::also(name, path)),
    );
    if options.python {
        programs.push(programs::python(build));
    }
    if !options.only.is_empty() {
        programs.retain(|program| options.only.contains(&program.name));
    }
    programs
}

fn measure<'a>(bench: &mut Bench, programs: &'a [Program], options: &Options) -> Vec<Measured<'a>> {
    let nothing = |program| Measured {
        program,
        cold: Vec::new(),
        first: Vec::new(),
        warm: Vec::new(),
    };
    let mut measured: Vec<Measured> = programs.iter().map(nothing).collect();
    // One start that does not count, because it reads files from the disk.
    for program in programs {
        bench.cold(program);
    }
    for run in 1..=options.runs {
        eprintln!("starts, {run} of {}", options.runs);
        for of in &mut measured {
            of.cold.push(bench.cold(of.program));
            of.first.push(bench.first(of.program));
        }
    }
    for round in 1..=options.rounds {
        eprintln!("warm, round {round} of {}", options.rounds);
        for of in &mut measured {
            of.warm.push(bench.warm(of.program, options.warm));
        }
    }
    measured
}

fn parse_named_path(text: &str) -> Result<(String, String), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=PATH")?;
    Ok((name.to_owned(), path.to_owned()))
}

/// The command that repeats this run.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = if arguments.is_empty() {
        String::new()
    } else {
        format!(" -- {}", arguments.join(" "))
    };
    format!("`cargo run --release --manifest-path benches/lambda/Cargo.toml{after}`")
}
