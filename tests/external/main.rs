//! Tests that need more than Rust and a C compiler: Python, a browser, MiniStack, release builds.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not recognise the helpers of a test as test code"
)]

mod artefact;
mod as_sent;
mod browser;
mod consumer;
mod ministack;
mod proxies;
mod replicas;
mod runbook;
mod second_opinion;
mod stack;
mod task_role;
mod translated;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// The path of a program, or `None` if it is not installed.
fn find_program(name: &str) -> Option<PathBuf> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .output()
        .unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    (!path.is_empty()).then(|| PathBuf::from(path.trim()))
}

/// Runs a script of this folder with JSON on its standard input, and returns its standard output.
fn run_script(python: &Path, script: &str, input: &Value) -> String {
    let mut child = Command::new(python)
        .arg(test_support::repository("tests/external").join(script))
        .env("AWS_DEFAULT_REGION", "eu-west-2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run .ci/run", python.display()));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{script}: {}", ended.status);
    String::from_utf8(ended.stdout).unwrap()
}
