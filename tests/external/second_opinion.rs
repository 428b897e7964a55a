//! The contract of an inbox, kept by a table of MiniStack's: another reading of what DynamoDB does.

use std::{fs, process::Command};

use test_support::{ministack::Ministack, repository};

/// The number of names in the macro that makes a test of each.
fn contract_tests() -> usize {
    let source = fs::read_to_string(repository("src/inbox/contract.rs")).unwrap();
    let (_, names) = source.split_once("@each $fresh,\n").unwrap();
    let (names, _) = names.split_once(");").unwrap();
    names.split_whitespace().count()
}

#[test]
fn the_table_keeps_its_contract_by_another_s_reading_of_dynamodb_too() {
    let ministack = Ministack::start();
    let mut tests = Command::new(env!("CARGO"));
    tests.args([
        "test",
        "--locked",
        "--quiet",
        // As the test command builds it, so that nothing is compiled a second time.
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
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    let whole = format!("{} passed", contract_tests());
    assert!(said.contains(&whole), "the whole contract, {whole}: {said}");
}
