//! `pillarbox`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox::entry::cli::main()
}
