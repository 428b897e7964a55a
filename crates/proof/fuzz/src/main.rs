//! Every fuzz target in one binary: `FUZZ_TARGET` names the one to run, and libFuzzer reads the
//! arguments. With `FUZZ_SEEDS=FOLDER`, it writes each target's seeds below that folder, prints the
//! targets' names and ends.
#![no_main]

mod columns;
mod connection;

use std::{env, fs, path::Path, process, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use proof::fuzz::{FuzzTarget, LIBRARY_TARGETS};

/// The targets that need the command line's package.
const SERVER_TARGETS: [FuzzTarget; 2] = [
    FuzzTarget {
        name: "connection",
        run: connection::run,
        seeds: connection::seeds,
    },
    FuzzTarget {
        name: "sqlite_columns",
        run: columns::run,
        seeds: columns::seeds,
    },
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
