//! What is shipped: `bootstrap` as cargo and as `cargo lambda` build it for release, small and
//! without the local parts. Takes minutes (`--features tool-checks`), and `.ci/local-invoke` before
//! it.

use std::{
    fs,
    process::{Command, Stdio},
};

use test_support::repository;

/// A little above its size, so that growth is noticed: a cold start loads all of it.
const LARGEST: usize = 6_220_000;
/// What is uploaded.
const LARGEST_ZIPPED: usize = 2_880_000;

/// Crates that only the local parts need, and those of a second TLS stack.
const FOREIGN: [&str; 14] = [
    "rusqlite",
    "libsqlite3-sys",
    "clap",
    "clap_builder",
    "clap_complete",
    "axum",
    "askama",
    "anstream",
    "terminal_size",
    "aws-config",
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl-sys",
    "native-tls",
];

/// What would be in the file if one of the local parts were: texts of theirs, and the paths of
/// their sources.
const TRACES: [&str; 9] = [
    "sqlite3_",
    "SQLite format 3",
    "sqlite_master",
    "/rusqlite-",
    "/clap_builder-",
    "/axum-",
    "/askama-",
    "<!DOCTYPE html>",
    "/aws-lc-",
];

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(repository("."))
        .args(arguments)
        .env_remove("CARGO_TARGET_DIR");
    let ran = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(ran.status.success(), "cargo {}", arguments.join(" "));
    ran.stdout
}

#[test]
fn the_lambda_depends_on_nothing_of_the_local_parts() {
    let tree = [
        "tree",
        "--locked",
        "--package",
        "pillarbox",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    let tree = String::from_utf8(cargo(&tree)).unwrap();
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        names.contains(&"lambda_runtime") && names.contains(&"aws-sdk-dynamodb"),
        "{tree}"
    );
    for foreign in FOREIGN {
        assert!(!names.contains(&foreign), "the Lambda depends on {foreign}");
    }
}

#[test]
fn every_artefact_is_small_and_holds_nothing_of_the_local_parts() {
    // With the local parts compiled and then dropped by the linker; `cargo lambda` doesn't compile
    // them.
    cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--bin",
        "bootstrap",
    ]);
    let built = [
        "release",
        "lambda-x86_64/bootstrap",
        "lambda-aarch64/bootstrap",
    ];
    for folder in built {
        let file = repository("target").join(folder).join("bootstrap");
        let bytes = fs::read(&file).unwrap_or_else(|_| {
            panic!(
                "{} is not there: .ci/local-invoke builds it",
                file.display()
            )
        });
        for trace in TRACES {
            assert!(
                !holds(&bytes, trace),
                "{folder}: {trace} is in the artefact"
            );
        }
        for machine in machine_folders() {
            assert!(!holds(&bytes, &machine), "{folder}: {machine} is in it");
        }
        assert!(
            holds(&bytes, "AWS_LAMBDA_RUNTIME_API") && holds(&bytes, "/cargo/registry/src/"),
            "it is looked at at all"
        );
        let zipped = miniz_oxide::deflate::compress_to_vec(&bytes, 9).len();
        assert!(
            bytes.len() <= LARGEST && zipped <= LARGEST_ZIPPED,
            "{folder}: {} bytes, {zipped} zipped",
            bytes.len()
        );
        println!("{folder}: {} bytes, {zipped} zipped", bytes.len());
    }
}

/// The folders of this machine. An artefact names none of them, so that machines build equal ones.
#[expect(
    clippy::disallowed_methods,
    reason = "where cargo keeps its sources depends on the machine"
)]
fn machine_folders() -> [String; 2] {
    let home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let root = repository(".").canonicalize().unwrap();
    [home, root.display().to_string()].map(|folder| format!("{folder}/"))
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}
