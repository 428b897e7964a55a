//! Builds the DynamoDB emulator, which the tests start as a process.
//!
//! It is a separate package with a lock file, because it links another SQLite. Cargo runs this
//! script early, in parallel with everything else that it compiles, and both share its job server,
//! so the build never waits for the emulator alone.

use std::{env, path::Path, process::Command};

fn main() {
    for input in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
        println!("cargo::rerun-if-changed=dynamodb/{input}");
    }
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out. The emulator has its own profile.
    let out = variable("OUT_DIR");
    let target = Path::new(&out)
        .ancestors()
        .nth(4)
        .expect("the target directory")
        .join("dynamodb-emulator");
    let built = Command::new(variable("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--manifest-path",
            "dynamodb/Cargo.toml",
        ])
        .arg("--target-dir")
        .arg(&target)
        // The settings of Clippy and of a cross build apply to the tests only.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo runs");
    assert!(
        built.success(),
        "cannot build the emulator in tests/dynamodb"
    );
    let emulator = target.join("debug/dynamodb-emulator");
    println!("cargo::rustc-env=DYNAMODB_EMULATOR={}", emulator.display());
}

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo sets them for build scripts"
)]
fn variable(name: &str) -> String {
    env::var(name).expect("set by Cargo")
}
