//! Tests the promises of Pillarbox under attack, and prints the counts: `docs/proof.md`.
//!
//! Each command is one module. It prints its seed and its counts. The exit code is 1 if a promise
//! was broken, and 2 if the arguments are invalid.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]
#![allow(clippy::float_arithmetic, reason = "rates and shares are only printed")]

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
mod sync;
mod timing;

use std::process::ExitCode;

use arguments::CommandArguments;

const USAGE: &str = "\
usage: proof COMMAND
  simulate [--histories N] [--seed S] [--threads T] [--class NAME]
                     random histories in virtual time, each checked
  replay LINE        one of these histories again, with all of its events
  forge [--cases N] [--seed S] [--threads T] [--case NUMBER]
                     genuine requests, changed: a second implementation judges each
  timing [--samples N] [--seed S]
                     whether the time of verification shows where a signature is wrong; run it
                     alone on the machine
  model [--bounds short|long] [--only NAME] [--threads T] [--seconds N]
                     every state of a few rows within bounds, each checked
  power [--times N] [--seed S] [--minutes M] [--threads T] [--only serve|commands]
        [--lie all|folders|log|file] [--pillarbox FILE] [--folder FOLDER]
                     power losses of the shipped serve: unflushed data may be lost
  planted [--only TEXT] [--histories N]
                     faults planted in a copy of the sources, each of which a check must find
with the feature `processes`:
  kill [--times N] [--seed S] [--only LANE] [--binaries FOLDER]
                     the binaries, killed under load, at random and at named points
  faults [--cases N] [--seed S] [--binaries FOLDER]
                     every kind of network and table fault, over sockets";

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
