//! The AWS commands of the runbook, checked against botocore's models of the services.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::run_script;
use test_support::{repository, runbook::RunbookText};

/// The environment of MiniStack, which contains botocore.
const PYTHON: &str = "target/tools/ministack/bin/python";

#[test]
fn every_aws_command_in_the_runbook_is_valid() {
    let variables = [
        ("TABLE", "table"),
        ("KEY", "pay:m1"),
        ("VERSION", "7"),
        ("RECEIPT", "AQEB"),
        ("DOMAIN", "callbacks.service.gov.uk"),
    ];
    let variables = BTreeMap::from(variables.map(|(name, value)| (name, value.to_owned())));
    let calls = RunbookText::read().run(Path::new("true"), &variables);
    let calls: Vec<_> = calls
        .iter()
        .filter(|call| call.program == "aws")
        .map(|call| json!([call.section, call.arguments]))
        .collect();
    assert!(calls.len() > 50);
    assert_eq!(find_errors(&json!(calls)), "");

    for (wrong, expected) in [
        (
            vec!["lambda", "update-alia"],
            "unknown operation update-alia",
        ),
        (
            vec!["sqs", "purge-queue", "--queue", "u"],
            "unknown option --queue",
        ),
        (
            vec!["lambda", "get-function", "--query", "A.[B"],
            "invalid query A.[B",
        ),
        (vec!["kms", "describe-key"], "missing option --key-id"),
        (
            vec!["logs", "tail", "--log-group-name", "g"],
            "unknown operation tail",
        ),
    ] {
        let found = find_errors(&json!([["a", wrong]]));
        assert!(found.contains(expected), "{wrong:?}: {found}");
    }
}

/// The errors in these calls, one a line.
fn find_errors(calls: &Value) -> String {
    run_script(&repository(PYTHON), "aws_commands.py", calls)
}
