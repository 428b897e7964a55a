//! Builds the emulator of DynamoDB, which the tests start as a process.
//!
//! It is a package with a lock file of its own, because it links another SQLite, and the slowest
//! part of the tests to build. Cargo runs this script at once, beside everything else that it
//! compiles, and the two share its job server, so the build never waits for the emulator alone.

use std::{env, path::Path, process::Command};

fn main() {
    for input in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
        println!("cargo::rerun-if-changed=dynamodb/{input}");
    }
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE/out; the profile of the tests makes no difference
    // here.
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
        // Clippy and a cross build are about the tests, not about this.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo runs");
    assert!(
        built.success(),
        "the emulator in tests/dynamodb is not built"
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
