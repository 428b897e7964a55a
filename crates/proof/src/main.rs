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
#[cfg(feature = "processes")]
mod faults;
mod forge;
mod history;
#[cfg(feature = "processes")]
mod kill;
mod model;
mod planted;
mod power;
#[cfg(feature = "processes")]
mod processes;
mod simulate;
mod timing;

use std::process::ExitCode;

use arguments::CommandArguments;

const USAGE: &str = "\
usage: proof COMMAND
  simulate [--histories N] [--seed S] [--threads T] [--class NAME]
                     random histories in virtual time, each checked
  replay LINE        one of them again, with everything that happened
  forge [--cases N] [--seed S] [--threads T] [--case NUMBER]
                     genuine requests, changed: a second implementation decides on each
  timing [--samples N] [--seed S]
                     whether the time of verification shows where a signature is wrong: run alone
  model [--bounds short|long] [--only NAME] [--threads T] [--seconds N]
                     every state of a few rows within bounds, each checked
  power [--times N] [--seed S] [--minutes M] [--threads T] [--lie KIND] [--pillarbox FILE]
                     power losses of the shipped serve: what was not flushed is lost
  power [--times N] [--seed S] [--minutes M] [--threads T] [--only serve|commands]
        [--lie all|folders|log|file] [--pillarbox FILE] [--folder FOLDER]
                     power losses of the shipped serve: what was not flushed may be lost
  planted [--only TEXT] [--histories N]
                     faults planted in copies of the sources, each of which a check must find
with the feature `processes`:
  kill [--times N] [--seed S] [--only LANE] [--binaries FOLDER]
                     the binaries killed under load, at random and at named points
  faults [--cases N] [--seed S] [--binaries FOLDER]
                     every kind of fault of a network and a table, over sockets";

fn main() -> ExitCode {
    let mut arguments = CommandArguments::of_process();
    let command = arguments.next_word();
    let result = match command.as_deref() {
        Some("simulate") => simulate::command(&arguments),
        Some("replay") => simulate::replay(&arguments),
        Some("forge") => forge::command(&arguments),
        Some("timing") => timing::command(&arguments),
        Some("model") => model::command(&arguments),
        Some("power") => power::command(&arguments),
        Some("planted") => planted::command(&arguments),
        #[cfg(feature = "processes")]
        Some("kill") => kill::command(&arguments),
        #[cfg(feature = "processes")]
        Some("faults") => faults::command(&arguments),
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
