//! The contract of an inbox, tested on a table of MiniStack: a second implementation of DynamoDB.

use std::{fs, io, process::Command};

use test_support::{ministack::MiniStackProcess, repository};

/// Counts the tests of the contract: its public functions.
fn count_contract_tests() -> usize {
    let count = |file: io::Result<fs::DirEntry>| {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        source.matches("\npub async fn ").count()
    };
    let files = fs::read_dir(repository("src/inbox/contract")).unwrap();
    files.map(count).sum()
}

#[test]
fn the_inbox_keeps_its_contract_on_a_table_of_ministack() {
    let ministack = MiniStackProcess::start();
    let mut tests = Command::new(env!("CARGO"));
    tests.args([
        "test",
        "--locked",
        "--quiet",
        // The same packages as in the test command, so that cargo compiles nothing again.
        "--workspace",
        "--lib",
        "inbox::dynamodb::tests::keeps_the_contract",
        "--",
        "--nocapture",
    ]);
    let ran = tests
        .env("PILLARBOX_TEST_DYNAMODB", ministack.url())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{stdout}");
    let expected = format!("{} passed", count_contract_tests());
    assert!(stdout.contains(&expected), "expected {expected}: {stdout}");
}
