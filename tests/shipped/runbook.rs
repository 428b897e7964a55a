//! The runbook's commands, as a shell runs them: those of `pillarbox` on a table, those of the AWS
//! command line against what it knows (`external` queries botocore itself).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock};

use test_support::{
    binary,
    cloudformation::TemplateStack,
    runbook::{RunbookCall, RunbookText},
    table,
};

/// Service, operation and options of each command of AWS in the runbook.
const AWS: &[(&str, &str, &[&str])] = &[
    ("acm", "describe-certificate", &["--certificate-arn"]),
    ("cloudformation", "detect-stack-drift", &["--stack-name"]),
    ("logs", "describe-log-groups", &["--log-group-name-prefix"]),
    (
        "cloudformation",
        "describe-stack-resource",
        &["--logical-resource-id", "--stack-name"],
    ),
    ("cloudformation", "describe-stacks", &["--stack-name"]),
    (
        "cloudwatch",
        "describe-alarms",
        &["--alarm-name-prefix", "--state-value"],
    ),
    (
        "cloudwatch",
        "get-metric-statistics",
        &[
            "--dimensions",
            "--end-time",
            "--metric-name",
            "--namespace",
            "--period",
            "--start-time",
            "--statistics",
        ],
    ),
    ("dynamodb", "describe-table", &["--table-name"]),
    (
        "dynamodb",
        "update-table",
        &["--table-name", "--warm-throughput"],
    ),
    ("kms", "cancel-key-deletion", &["--key-id"]),
    ("kms", "describe-key", &["--key-id"]),
    ("kms", "enable-key", &["--key-id"]),
    ("lambda", "get-account-settings", &[]),
    ("lambda", "get-alias", &["--function-name", "--name"]),
    ("lambda", "get-function-concurrency", &["--function-name"]),
    ("lambda", "invoke", &["--function-name", "--payload"]),
    ("lambda", "list-event-source-mappings", &["--function-name"]),
    ("lambda", "list-versions-by-function", &["--function-name"]),
    (
        "lambda",
        "update-alias",
        &["--function-name", "--function-version", "--name"],
    ),
    (
        "lambda",
        "update-event-source-mapping",
        &["--enabled", "--uuid"],
    ),
    (
        "logs",
        "filter-log-events",
        &["--filter-pattern", "--log-group-name", "--start-time"],
    ),
    ("scheduler", "get-schedule", &["--name"]),
    ("secretsmanager", "describe-secret", &["--secret-id"]),
    ("secretsmanager", "restore-secret", &["--secret-id"]),
    (
        "service-quotas",
        "request-service-quota-increase",
        &["--desired-value", "--quota-code", "--service-code"],
    ),
    (
        "sqs",
        "delete-message",
        &["--queue-url", "--receipt-handle"],
    ),
    (
        "sqs",
        "receive-message",
        &[
            "--max-number-of-messages",
            "--queue-url",
            "--visibility-timeout",
        ],
    ),
];

/// What every command of AWS takes.
const GLOBAL: [&str; 3] = ["--query", "--output", "--cli-binary-format"];

fn options(call: &RunbookCall) -> BTreeSet<&str> {
    let words = call.arguments.iter().map(String::as_str);
    words.filter(|word| word.starts_with("--")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbook_is_one_that_its_program_understands() {
    let inbox = table::fresh("runbook").await;
    let now = SystemClock.now().minus(Duration::from_secs(60));
    let key = table::store(&inbox, "one", "payment-1", "card_payment_captured", now).await;
    let variables: BTreeMap<_, _> = table::variables()
        .into_iter()
        .chain([
            ("TABLE", inbox.table().to_owned()),
            ("KEY", key.to_string()),
            ("VERSION", "7".to_owned()),
            ("RECEIPT", "AQEB".to_owned()),
            ("DOMAIN", "callbacks.service.gov.uk".to_owned()),
        ])
        .collect();
    let calls = RunbookText::read().run(&binary("pillarbox-under-test"), &variables);

    let stack = TemplateStack::with(&[]);
    let resources = &stack.template()["Resources"];
    // What SAM makes for the events of a function.
    let of_events: BTreeSet<_> = resources
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(id, resource)| Some((id, resource["Properties"]["Events"].as_object()?)))
        .flat_map(|(id, events)| events.keys().map(move |event| format!("{id}{event}")))
        .collect();
    let mut used = BTreeMap::<_, BTreeSet<_>>::new();
    for call in &calls {
        let section = &call.section;
        if call.program != "aws" {
            assert_ne!(call.code, 2, "{section}: {:?}", call.arguments);
            continue;
        }
        let operation = (call.arguments[0].as_str(), call.arguments[1].as_str());
        used.entry(operation).or_default().extend(options(call));
        let mut words = call.arguments.iter();
        if words.any(|word| word == "--logical-resource-id") {
            let id = words.next().unwrap();
            let is_made = resources.get(id).is_some() || of_events.contains(id);
            assert!(is_made, "{section}: the template makes no {id}");
        }
    }
    let expected: BTreeMap<_, BTreeSet<_>> = AWS
        .iter()
        .map(|(service, operation, options)| {
            ((*service, *operation), options.iter().copied().collect())
        })
        .collect();
    for options in used.values_mut() {
        options.retain(|option| !GLOBAL.contains(option));
    }
    assert_eq!(used, expected);
}
