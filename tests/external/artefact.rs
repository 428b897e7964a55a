//! The shipped artefacts: `bootstrap` as cargo and as `cargo lambda` build it for release. Each is
//! small and contains no code of the command line, the server or SQLite.
//!
//! The test takes minutes. `.ci/local-invoke` builds the artefacts of `cargo lambda` before it.

use std::{
    fs,
    process::{Command, Stdio},
};

use test_support::repository;

/// The limit of the binary. It is close to the present size, because a cold start loads all of it.
const MAX_BYTES: usize = 6_220_000;
/// The limit of the archive that is uploaded.
const MAX_ZIPPED_BYTES: usize = 2_880_000;

/// Crates that the Lambda must not contain: those of `pillarbox-cli`, and a second TLS stack.
const FORBIDDEN_CRATES: [&str; 14] = [
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

/// Text that a forbidden crate leaves in a binary: its strings, and the paths of its sources.
const FORBIDDEN_TEXT: [&str; 9] = [
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
fn the_lambda_depends_on_no_crate_of_the_command_line() {
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
    for name in FORBIDDEN_CRATES {
        assert!(!names.contains(&name), "the Lambda depends on {name}");
    }
}

#[test]
fn every_artefact_is_small_and_contains_no_code_of_the_command_line() {
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
            panic!("{} is missing: run .ci/local-invoke first", file.display())
        });
        for text in FORBIDDEN_TEXT {
            assert!(
                !contains(&bytes, text),
                "{folder}: the artefact contains {text}"
            );
        }
        for path in local_folders() {
            assert!(
                !contains(&bytes, &path),
                "{folder}: the artefact contains {path}"
            );
        }
        assert!(
            contains(&bytes, "AWS_LAMBDA_RUNTIME_API") && contains(&bytes, "/cargo/registry/src/"),
            "{folder}: the search finds text that every artefact contains"
        );
        let zipped = miniz_oxide::deflate::compress_to_vec(&bytes, 9).len();
        assert!(
            bytes.len() <= MAX_BYTES && zipped <= MAX_ZIPPED_BYTES,
            "{folder}: {} bytes, {zipped} zipped",
            bytes.len()
        );
        println!("{folder}: {} bytes, {zipped} zipped", bytes.len());
    }
}

/// The folders of this machine. No artefact contains them, so that every machine builds the same
/// bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "where cargo keeps its sources depends on the machine"
)]
fn local_folders() -> [String; 2] {
    let home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let root = repository(".").canonicalize().unwrap();
    [home, root.display().to_string()].map(|folder| format!("{folder}/"))
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}
