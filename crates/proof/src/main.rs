//! Attacks what Pillarbox promises, and shows the counts: `docs/proof.md`.
//!
//! Each command is one module. It prints its seed and its counts, and ends with 1 if a promise was
//! broken, with 2 if it was called wrongly.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]
#![allow(
    clippy::float_arithmetic,
    reason = "rates and shares are printed, and decide nothing"
)]

mod arguments;
mod checker;
mod history;
mod planted;
mod power;
mod simulate;

use std::process::ExitCode;

use arguments::Arguments;

const USAGE: &str = "\
usage: proof COMMAND
  simulate [--histories N] [--seed S] [--threads T] [--class NAME]
                     random histories in virtual time, each checked
  replay LINE        one of them again, with everything that happened
  power [--times N] [--seed S] [--minutes M] [--threads T] [--only serve|commands]
        [--lie all|folders|log|file] [--pillarbox FILE] [--folder FOLDER]
                     power losses of the shipped serve: what was not flushed may be lost
  planted [--only TEXT] [--histories N]
                     faults planted in copies of the sources, each of which a check must find";

fn main() -> ExitCode {
    let mut arguments = Arguments::of_process();
    let command = arguments.next_word();
    let result = match command.as_deref() {
        Some("simulate") => simulate::command(&arguments),
        Some("replay") => simulate::replay(&arguments),
        Some("power") => power::command(&arguments),
        Some("planted") => planted::command(&arguments),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(usage) => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}
