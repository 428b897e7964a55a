//! The contract of an inbox, kept by a table of MiniStack's: another reading of what DynamoDB does.

use std::{fs, io, process::Command};

use test_support::{ministack::MiniStackProcess, repository};

/// The number of promises in the contract, each of which is a public function.
fn contract_tests() -> usize {
    let promises = |file: io::Result<fs::DirEntry>| {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        source.matches("\npub async fn ").count()
    };
    let files = fs::read_dir(repository("src/inbox/contract")).unwrap();
    files.map(promises).sum()
}

#[test]
fn the_table_keeps_its_contract_by_another_s_reading_of_dynamodb_too() {
    let ministack = MiniStackProcess::start();
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
    let stdout = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{stdout}");
    let whole = format!("{} passed", contract_tests());
    assert!(
        stdout.contains(&whole),
        "the whole contract, {whole}: {stdout}"
    );
}
