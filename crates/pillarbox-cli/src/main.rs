//! `pillarbox`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox_cli::commands::main()
}
