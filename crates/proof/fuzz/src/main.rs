//! All fuzz targets in one binary. `FUZZ_TARGET` selects the target, and libFuzzer parses the
//! arguments. With `FUZZ_SEEDS=FOLDER`, the binary instead writes the seeds of each target to that
//! folder, prints the names of the targets and exits.
#![no_main]

mod columns;
mod connection;

use std::{env, fs, path::Path, process, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use proof::fuzz::{FuzzTarget, LIBRARY_TARGETS};

/// The targets that need the package `pillarbox-cli`.
const SERVER_TARGETS: [FuzzTarget; 2] = [
    FuzzTarget::new("connection", connection::run, connection::seeds),
    FuzzTarget::new("sqlite_columns", columns::run, columns::seeds),
];

static TARGET: OnceLock<FuzzTarget> = OnceLock::new();

fn targets() -> impl Iterator<Item = FuzzTarget> {
    LIBRARY_TARGETS.into_iter().chain(SERVER_TARGETS)
}

fn begin() {
    if let Ok(folder) = env::var("FUZZ_SEEDS") {
        for target in targets() {
            write_seeds(Path::new(&folder), &target);
            println!("{}", target.name);
        }
        process::exit(0);
    }
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = targets().find(|target| target.name == name) else {
        eprintln!("set FUZZ_TARGET to the name of a target");
        process::exit(2);
    };
    let _ = TARGET.set(target);
}

fn write_seeds(folder: &Path, target: &FuzzTarget) {
    let folder = folder.join(target.name);
    fs::create_dir_all(&folder).expect("the folder can be created");
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        let path = folder.join(format!("seed-{number:02}"));
        fs::write(path, seed).expect("the seed can be written");
    }
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(bytes);
    }
});
