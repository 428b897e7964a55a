//! The runbook's commands of AWS, against botocore's own models of the services.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use test_support::{repository, runbook::RunbookText};

/// MiniStack's environment has it, too.
const PYTHON: &str = "target/tools/ministack/bin/python";

#[test]
fn every_command_of_aws_in_the_runbook_is_one_of_its_service() {
    let person = [
        ("TABLE", "table"),
        ("KEY", "pay:m1"),
        ("VERSION", "7"),
        ("RECEIPT", "AQEB"),
        ("DOMAIN", "callbacks.service.gov.uk"),
    ];
    let variables = BTreeMap::from(person.map(|(name, value)| (name, value.to_owned())));
    let calls = RunbookText::read().run(Path::new("true"), &variables);
    let calls: Vec<_> = calls
        .iter()
        .filter(|call| call.program == "aws")
        .map(|call| json!([call.section, call.arguments]))
        .collect();
    assert!(calls.len() > 50);
    assert_eq!(unknown(&json!(calls)), "");

    for (wrong, expected) in [
        (vec!["lambda", "update-alia"], "no operation update-alia"),
        (
            vec!["sqs", "purge-queue", "--queue", "u"],
            "no option --queue",
        ),
        (
            vec!["lambda", "get-function", "--query", "A.[B"],
            "the query A.[B",
        ),
        (vec!["kms", "describe-key"], "without --key-id"),
        (
            vec!["logs", "tail", "--log-group-name", "g"],
            "no operation tail",
        ),
    ] {
        let found = unknown(&json!([["a", wrong]]));
        assert!(found.contains(expected), "{wrong:?}: {found}");
    }
}

/// What the services do not know of these calls, a line each.
fn unknown(calls: &serde_json::Value) -> String {
    let mut python = Command::new(repository(PYTHON))
        .arg(repository("tests/external/aws_commands.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(calls.to_string().as_bytes()).unwrap();
    drop(input);
    let ended = python.wait_with_output().unwrap();
    assert!(ended.status.success());
    String::from_utf8(ended.stdout).unwrap()
}
