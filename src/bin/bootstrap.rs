//! `bootstrap`: the one Lambda binary. Its role comes from `PILLARBOX_ROLE` or the handler's name.

use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox::lambda::main()
}
