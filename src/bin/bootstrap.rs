//! `bootstrap`: the one Lambda binary. `PILLARBOX_ROLE` or the handler's name sets its role.

use std::process::ExitCode;

fn main() -> ExitCode {
    pillarbox::lambda::main()
}
