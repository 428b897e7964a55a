//! The shipped binaries, observed from outside. `kill` and `faults` share this module.
//!
//! The binaries run unchanged. Senders post to them over sockets, a proxy in front of the table
//! observes each call and its effect, and destinations observe each event. All of these events are
//! one history, which the checker checks. Only [`recorder`] infers events that cannot be observed.

pub(crate) mod destination;
pub(crate) mod environment;
pub(crate) mod fault_plan;
pub(crate) mod lateness;
pub(crate) mod outcome;
pub(crate) mod point;
pub(crate) mod recorder;
pub(crate) mod rows;
pub(crate) mod senders;
pub(crate) mod table_calls;

use std::path::PathBuf;

use crate::arguments::CommandArguments;

/// Selects the binaries in the folder `--binaries`, or those of the profile `dev`.
pub(crate) fn choose_binaries(arguments: &CommandArguments) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).map(PathBuf::from);
    let folder = match arguments.text("binaries") {
        Some(folder) => PathBuf::from(folder),
        None => target.unwrap_or_default().join("debug"),
    };
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    for name in ["pillarbox-under-test", "bootstrap-under-test"] {
        if !folder.join(name).exists() {
            return Err(format!(
                "{name} is not in {}: run `cargo build -p pillarbox-tests --bins`, or name another \
                 folder with --binaries",
                folder.display()
            ));
        }
    }
    test_support::use_binaries_in(folder);
    Ok(())
}

/// A runtime with I/O, which also measures its own delays.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.spawn(lateness::measure());
    Ok(runtime)
}
