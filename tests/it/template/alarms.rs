//! Alarms on series that exist, and the dashboard.

use std::collections::{BTreeMap, BTreeSet};

use pillarbox::telemetry::{METRICS, NAMESPACE};
use serde_json::{Value, json};
use test_support::{repository, runbook::Runbook};

use super::{BOX, Stack, shapes, stacks};

/// The series that exist: namespace, metric, dimensions, unit. An alarm on any other could never
/// fire.
const SERIES: &[(&str, &str, &[&str], Option<&str>)] = &[
    ("AWS/ApiGateway", "5xx", &["ApiId", "Stage"], Some("Count")),
    (
        "AWS/ApiGateway",
        "5XXError",
        &["ApiName", "Stage"],
        Some("Count"),
    ),
    (
        "AWS/ApiGateway",
        "Latency",
        &["ApiId", "Stage"],
        Some("Milliseconds"),
    ),
    (
        "AWS/ApiGateway",
        "Latency",
        &["ApiName", "Stage"],
        Some("Milliseconds"),
    ),
    ("AWS/Lambda", "Errors", &["FunctionName"], Some("Count")),
    ("AWS/Lambda", "Throttles", &["FunctionName"], Some("Count")),
    (
        "AWS/Lambda",
        "IteratorAge",
        &["FunctionName"],
        Some("Milliseconds"),
    ),
    (
        "AWS/Lambda",
        "ConcurrentExecutions",
        &["FunctionName"],
        Some("Count"),
    ),
    (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        &["TableName"],
        Some("Count"),
    ),
    (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        &["TableName", "GlobalSecondaryIndexName"],
        Some("Count"),
    ),
    (
        "AWS/DynamoDB",
        "SystemErrors",
        &["TableName", "Operation"],
        Some("Count"),
    ),
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &["QueueName"],
        Some("Count"),
    ),
    (
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        &["QueueName"],
        Some("Seconds"),
    ),
    (
        "Pillarbox",
        "PullFailures",
        &["FunctionName", "Source"],
        Some("Count"),
    ),
    (
        "Pillarbox",
        "MissingEvents",
        &["FunctionName", "Source"],
        Some("Count"),
    ),
    (
        "Pillarbox",
        "OldestUnacknowledgedSeconds",
        &["FunctionName", "Source"],
        Some("Seconds"),
    ),
    (
        "AWS/CertificateManager",
        "DaysToExpiry",
        &["CertificateArn"],
        None,
    ),
];

/// The series that an alarm watches.
fn watched(alarm: &Value) -> Vec<(String, String, Vec<String>, Option<String>)> {
    let properties = &alarm["Properties"];
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let series = |metric: &Value, unit: &Value| {
        let dimensions = metric["Dimensions"].as_array().unwrap().iter();
        let names = dimensions
            .map(|dimension| word(&dimension["Name"]).unwrap())
            .collect();
        (
            word(&metric["Namespace"]).unwrap(),
            word(&metric["MetricName"]).unwrap(),
            names,
            word(unit),
        )
    };
    match properties.get("Metrics") {
        None => vec![series(properties, &properties["Unit"])],
        Some(metrics) => {
            let stats = metrics
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|metric| metric.get("MetricStat"));
            stats
                .map(|stat| series(&stat["Metric"], &stat["Unit"]))
                .collect()
        }
    }
}

#[test]
fn every_alarm_watches_a_series_that_exists_and_every_series_is_watched() {
    let mut met = BTreeSet::new();
    for stack in stacks() {
        for (id, alarm) in stack.of_type("AWS::CloudWatch::Alarm") {
            let watched = watched(&alarm);
            assert_eq!(watched.len(), 1, "{id}");
            let (namespace, metric, dimensions, unit) = &watched[0];
            let known = SERIES.iter().position(|(space, name, names, of)| {
                (space, name, names.to_vec(), of.as_deref())
                    == (
                        &namespace.as_str(),
                        &metric.as_str(),
                        dimensions.iter().map(String::as_str).collect(),
                        unit.as_deref(),
                    )
            });
            met.insert(known.unwrap_or_else(|| panic!("{id}: {watched:?} is no series")));
        }
    }
    assert_eq!(met.len(), SERIES.len());
}

#[test]
fn every_series_of_ours_is_one_that_the_program_writes() {
    for (namespace, name, dimensions, unit) in SERIES {
        if *namespace != NAMESPACE {
            continue;
        }
        let written = METRICS.iter().find(|metric| metric.name == *name);
        let written = written.unwrap_or_else(|| panic!("{name} is never written"));
        assert_eq!(
            (written.dimensions, Some(written.unit)),
            (*dimensions, *unit)
        );
    }
}

#[test]
fn the_document_of_metrics_lists_those_that_the_program_writes_and_no_others() {
    let document = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<String> = rows
        .map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" | "))
        .collect();
    let written: BTreeSet<String> = METRICS
        .iter()
        .map(|metric| {
            let dimensions = metric.dimensions.join(", ");
            format!("| `{}` | {} | {dimensions}", metric.name, metric.unit)
        })
        .collect();
    assert_eq!(documented, written);
}

#[test]
fn every_alarm_describes_what_failed_and_names_the_runbook() {
    let run_book = "https://example.gov.uk/runbook";
    let mut names = BTreeSet::new();
    for shape in shapes() {
        let stack = Stack::with(&[&shape[..], &[("RunBookURL", run_book)]].concat());
        let given = shape
            .iter()
            .find(|(name, _)| *name == "NotificationTopicArn")
            .map(|(_, arn)| json!(arn));
        let topic = given.unwrap_or_else(|| stack.resolve(&json!({"Ref": "AlarmTopic"})).unwrap());
        for (id, alarm) in stack.of_type("AWS::CloudWatch::Alarm") {
            let properties = &alarm["Properties"];
            let description = properties["AlarmDescription"].as_str().unwrap();
            let name = properties["AlarmName"].as_str().unwrap();
            let heading = name.strip_prefix("pillarbox-").unwrap();
            assert!(
                description.ends_with(&format!(" Runbook: {run_book}#{heading}")),
                "{id}"
            );
            assert!(description.contains("First "), "{id} says no first step");
            assert!(description.len() <= 1024, "{id}");
            let missing = if id == "CertificateExpiring" {
                "breaching"
            } else {
                "notBreaching"
            };
            assert_eq!(properties["TreatMissingData"], missing, "{id}");
            assert_eq!(properties["AlarmActions"], json!([topic]), "{id}");
            names.insert((id, name.to_owned()));
        }
    }
    let distinct: BTreeSet<_> = names.iter().map(|(_, name)| name).collect();
    assert_eq!(distinct.len(), names.len());
}

/// What each section of the runbook answers.
const ANSWERS: [&str; 5] = [
    "**Means:**",
    "**Affects:**",
    "**Be sure:**",
    "**Do:**",
    "**Do not** ",
];

#[test]
fn the_runbook_has_a_section_for_each_alarm_and_none_for_another() {
    let runbook = Runbook::read();
    let sections: BTreeMap<_, _> = runbook.alarms().collect();
    assert_eq!(
        sections.len(),
        runbook.alarms().count(),
        "a heading is there twice"
    );
    let alarms: BTreeSet<_> = stacks()
        .iter()
        .flat_map(|stack| stack.of_type("AWS::CloudWatch::Alarm").into_values())
        .map(|alarm| {
            alarm["Properties"]["AlarmName"].as_str().unwrap()["pillarbox-".len()..].into()
        })
        .collect();
    let headings: BTreeSet<String> = sections.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(headings, alarms);
    for (name, text) in sections {
        // A section may be that of another alarm, with what differs.
        if text.starts_with("As [") {
            let linked = text[4..].split(']').next().unwrap();
            assert!(alarms.contains(linked) && linked != name, "{name}");
            continue;
        }
        let mut rest = text;
        for answer in ANSWERS {
            let (_, after) = rest
                .split_once(answer)
                .unwrap_or_else(|| panic!("{name} has no {answer}"));
            rest = after;
        }
    }
}

#[test]
fn alarms_go_to_an_encrypted_topic_of_the_stack_unless_one_is_given() {
    let topic = ["AlarmEmailSubscription", "AlarmTopic", "AlarmTopicPolicy"];
    let given = (
        "NotificationTopicArn",
        "arn:aws:sns:eu-west-2:123456789012:alarms",
    );
    for (parameters, made) in [
        (&[][..], &topic[1..]),
        (&[("MinimalAlarms", "true")], &topic[1..]),
        (&[("AlarmEmail", "team@example.gov.uk")], &topic),
        (&[given], &[]),
        (&[("CreateAlarms", "false")], &[]),
    ] {
        let stack = Stack::with(parameters);
        assert_eq!(stack.refusals(), Vec::<String>::new(), "{parameters:?}");
        let found = stack.resources();
        let found: Vec<_> = topic
            .into_iter()
            .filter(|id| found.contains_key(*id))
            .collect();
        assert_eq!(found, made, "{parameters:?}");
    }
    let stack = Stack::with(&[("AlarmEmail", "team@example.gov.uk")]);
    assert_eq!(
        stack.properties("AlarmTopic"),
        json!({"KmsMasterKeyId": "<Key.Arn>"})
    );
    let subscription = stack.properties("AlarmEmailSubscription");
    assert_eq!(
        (&subscription["Protocol"], &subscription["Endpoint"]),
        (&json!("email"), &json!("team@example.gov.uk"))
    );
    let policy = &stack.properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"][0];
    assert_eq!(
        policy["Principal"],
        json!({"Service": "cloudwatch.amazonaws.com"})
    );
    assert_eq!(policy["Action"], "sns:Publish");
    assert_eq!(
        policy["Condition"],
        json!({"StringEquals": {"aws:SourceAccount": "123456789012"}})
    );
}

#[test]
fn alarms_can_be_reduced_to_those_that_page_or_to_none() {
    let alarms =
        |given: &[(&str, &str)]| Stack::with(given).of_type("AWS::CloudWatch::Alarm").len();
    let (all, minimal) = (alarms(&[]), alarms(&[("MinimalAlarms", "true")]));
    assert_eq!((all, minimal), (16, 8));
    assert_eq!(alarms(&[("CreateAlarms", "false")]), 0);
    assert!(
        !Stack::with(&[("MinimalAlarms", "true")])
            .resources()
            .contains_key("Dashboard")
    );
}

#[test]
fn our_own_metrics_are_watched_for_each_source_that_is_pulled_from() {
    for (parameters, expected) in [
        (&[][..], &[][..]),
        (
            &[("Reconcile", "on")],
            &[("pay", "MissingEvents"), ("pay", "PullFailures")],
        ),
        (
            &[("Reconcile", "on"), ("HmrcBoxes", BOX), ("Pay", "off")],
            &[
                ("hmrc", "OldestUnacknowledgedSeconds"),
                ("hmrc", "PullFailures"),
            ],
        ),
        (
            &[("Reconcile", "on"), ("HmrcBoxes", BOX)],
            &[
                ("hmrc", "OldestUnacknowledgedSeconds"),
                ("hmrc", "PullFailures"),
                ("pay", "MissingEvents"),
                ("pay", "PullFailures"),
            ],
        ),
        (&[("Reconcile", "on"), ("MinimalAlarms", "true")], &[]),
    ] {
        let stack = Stack::with(parameters);
        let mut found = BTreeSet::new();
        for (id, alarm) in stack.of_type("AWS::CloudWatch::Alarm") {
            let properties = &alarm["Properties"];
            if properties["Namespace"] != "Pillarbox" {
                continue;
            }
            let value = |index: usize| {
                properties["Dimensions"][index]["Value"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            };
            // Another stack in the same account has the same sources.
            let reconciler = stack
                .resolve(&serde_json::json!({"Ref": "Reconciler"}))
                .unwrap();
            assert_eq!(reconciler.as_str(), Some(value(0).as_str()), "{id}");
            found.insert((
                value(1),
                properties["MetricName"].as_str().unwrap().to_owned(),
            ));
        }
        let expected = expected
            .iter()
            .map(|(source, metric)| ((*source).to_owned(), (*metric).to_owned()));
        assert_eq!(found, expected.collect(), "{parameters:?}");
    }
}

#[test]
fn the_dashboard_is_json_whatever_the_front() {
    for front in ["http-api", "rest-waf", "function-url"] {
        let dashboard = Stack::with(&[("FrontDoor", front)]).properties("Dashboard");
        let body: Value =
            serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
        assert_eq!(body["widgets"].as_array().unwrap().len(), 8, "{front}");
    }
}
