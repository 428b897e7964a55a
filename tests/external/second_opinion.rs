//! The contract of an inbox, kept by a table of MiniStack's: another reading of what DynamoDB does.

use std::process::Command;

use test_support::ministack::Ministack;

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
    assert!(said.contains("31 passed"), "the whole contract: {said}");
}
