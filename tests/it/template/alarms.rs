//! Alarms: on series that exist, one for each way in which a notification can get stuck.

use std::collections::{BTreeMap, BTreeSet};

use pillarbox::telemetry::{METRICS, MetricSet, NAMESPACE};
use serde_json::{Value, json};
use test_support::runbook::RunbookText;

use super::{BOX, TemplateStack, series, series::SeriesStatistic, shapes, stacks};

/// Every alarm by the end of its name, with its severity and what missing data means.
const ALARMS: [(&str, &str, &str); 27] = [
    ("receiver-failing", "page", "notBreaching"),
    ("deployment-failing", "none", "notBreaching"),
    ("too-slow-for-pay", "page", "notBreaching"),
    ("hmrc-all-signatures-failing", "page", "notBreaching"),
    ("hmrc-some-signatures-failing", "ticket", "notBreaching"),
    ("pay-all-signatures-failing", "page", "notBreaching"),
    ("pay-some-signatures-failing", "ticket", "notBreaching"),
    ("secret-unreadable", "page", "notBreaching"),
    ("hmrc-silent", "ticket", "breaching"),
    ("pay-silent", "ticket", "breaching"),
    ("receive-throttled", "ticket", "notBreaching"),
    ("receive-near-cap", "ticket", "notBreaching"),
    ("table-throttled", "ticket", "notBreaching"),
    ("logs-missing", "ticket", "notBreaching"),
    ("certificate-expiring", "ticket", "breaching"),
    ("sweeper-dead", "page", "breaching"),
    ("oldest-open", "ticket", "notBreaching"),
    ("dead", "ticket", "notBreaching"),
    ("held", "ticket", "notBreaching"),
    ("conflict", "ticket", "notBreaching"),
    ("stream-behind", "ticket", "notBreaching"),
    ("failures-waiting", "ticket", "notBreaching"),
    ("reconcile-never-ran", "ticket", "breaching"),
    ("hmrc-pull-failing", "ticket", "notBreaching"),
    ("hmrc-box-behind", "ticket", "notBreaching"),
    ("pay-pull-failing", "ticket", "notBreaching"),
    ("pay-events-missing", "ticket", "notBreaching"),
];

fn word(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// The value of each dimension of a metric, by name.
fn dimensions(metric: &Value) -> Vec<(String, String)> {
    let dimensions = metric["Dimensions"].as_array().unwrap().iter();
    dimensions
        .map(|one| (word(&one["Name"]).unwrap(), word(&one["Value"]).unwrap()))
        .collect()
}

/// The metrics that an alarm watches, each with its statistic and its unit.
fn metrics(alarm: &Value) -> Vec<(Value, String, Option<String>)> {
    let properties = &alarm["Properties"];
    let Some(metrics) = properties["Metrics"].as_array() else {
        let statistic = word(&properties["Statistic"]).or(word(&properties["ExtendedStatistic"]));
        return vec![(
            properties.clone(),
            statistic.unwrap(),
            word(&properties["Unit"]),
        )];
    };
    let stats = metrics.iter().filter_map(|metric| metric.get("MetricStat"));
    stats
        .map(|stat| {
            (
                stat["Metric"].clone(),
                word(&stat["Stat"]).unwrap(),
                word(&stat["Unit"]),
            )
        })
        .collect()
}

pub(super) fn watched(alarm: &Value) -> Vec<SeriesStatistic> {
    let series = |(metric, statistic, unit): (Value, String, Option<String>)| SeriesStatistic {
        namespace: word(&metric["Namespace"]).unwrap(),
        name: word(&metric["MetricName"]).unwrap(),
        dimensions: dimensions(&metric)
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        statistic,
        unit,
    };
    metrics(alarm).into_iter().map(series).collect()
}

/// The alarms of a stack by the end of their names.
pub(super) fn by_name(stack: &TemplateStack) -> BTreeMap<String, Value> {
    let alarms = stack.of_type("AWS::CloudWatch::Alarm").into_values();
    alarms
        .map(|alarm| {
            let name = alarm["Properties"]["AlarmName"].as_str().unwrap();
            (name.strip_prefix("pillarbox-").unwrap().to_owned(), alarm)
        })
        .collect()
}

#[test]
fn every_alarm_watches_series_that_exist() {
    for stack in stacks() {
        for (name, alarm) in by_name(&stack) {
            for series in watched(&alarm) {
                series::assert_exists(&series, true, &name);
            }
        }
    }
}

/// Every identifier of an expression has its metric, and only the expression is watched.
#[test]
fn every_expression_of_an_alarm_is_about_its_metrics() {
    const FUNCTIONS: [&str; 5] = ["IF", "FILL", "SUM", "AND", "OR"];
    for stack in stacks() {
        for (name, alarm) in by_name(&stack) {
            let Some(metrics) = alarm["Properties"]["Metrics"].as_array() else {
                continue;
            };
            let expression = metrics[0]["Expression"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric());
            let used: BTreeSet<_> = words
                .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
                .filter(|word| !FUNCTIONS.contains(word))
                .collect();
            let ids = metrics[1..].iter().map(|metric| {
                assert_eq!(metric["ReturnData"], false, "{name}");
                metric["Id"].as_str().unwrap()
            });
            assert_eq!(used, ids.collect(), "{name}: {expression}");
            assert!(!used.contains(metrics[0]["Id"].as_str().unwrap()), "{name}");
            let periods: BTreeSet<_> = metrics[1..]
                .iter()
                .map(|metric| metric["MetricStat"]["Period"].as_u64().unwrap())
                .collect();
            assert_eq!(periods.len(), 1, "{name}");
        }
    }
}

/// A metric that nothing looks at is money for nothing.
#[test]
fn every_metric_of_ours_is_in_an_alarm_or_on_the_dashboard_or_documented_as_for_queries() {
    const FOR_QUERIES: [&str; 2] = ["Repeat", "PulledMissed"];
    let stacks = stacks();
    let alarms = stacks
        .iter()
        .flat_map(by_name)
        .flat_map(|(_, alarm)| watched(&alarm));
    let widgets = stacks.iter().flat_map(super::dashboard::shown);
    let named: BTreeSet<SeriesStatistic> =
        alarms.chain(widgets.map(|(series, _)| series)).collect();
    for metric in METRICS {
        let is_named = named
            .iter()
            .any(|series| series.namespace == NAMESPACE && series.name == metric.name);
        assert_eq!(
            is_named,
            !FOR_QUERIES.contains(&metric.name),
            "{}",
            metric.name
        );
    }
    series::assert_all_of_aws_are_in(&named);
}

/// The role whose function a metric belongs to, and the source: a series of another function, or of
/// a source that is not configured, has no value.
#[test]
fn every_alarm_on_a_metric_of_ours_names_a_function_that_writes_it_and_a_configured_source() {
    for stack in stacks() {
        let document = super::configuration::document(&stack);
        for (name, alarm) in by_name(&stack) {
            for (metric, _, _) in metrics(&alarm) {
                let Some(known) = METRICS.iter().find(|known| {
                    metric["Namespace"] == NAMESPACE && metric["MetricName"] == known.name
                }) else {
                    continue;
                };
                for (dimension, value) in dimensions(&metric) {
                    let exists = match dimension.as_str() {
                        "Source" => document.contains(&format!("[sources.{value}]")),
                        _ => super::FUNCTIONS.iter().any(|(id, role)| {
                            stack.resources().contains_key(*id)
                                && json!(value) == stack.resolve(&json!({"Ref": id})).unwrap()
                                && known.writers.iter().any(|(writer, _)| writer == role)
                        }),
                    };
                    assert!(exists, "{name}: {dimension} {value}");
                }
            }
        }
    }
}

#[test]
fn every_alarm_says_what_failed_how_urgent_it_is_and_where_the_runbook_describes_it() {
    let run_book = "https://example.gov.uk/runbook";
    let mut met = BTreeSet::new();
    for shape in shapes() {
        let stack = TemplateStack::with(&[&shape[..], &[("RunBookURL", run_book)]].concat());
        let given = shape
            .iter()
            .find(|(name, _)| *name == "NotificationTopicArn")
            .map(|(_, arn)| json!(arn));
        let topic = given.unwrap_or_else(|| stack.resolve(&json!({"Ref": "AlarmTopic"})).unwrap());
        for (name, alarm) in by_name(&stack) {
            let properties = &alarm["Properties"];
            let known = ALARMS.iter().find(|(known, _, _)| *known == name);
            let (_, severity, missing) = known.unwrap_or_else(|| panic!("{name} is unknown"));
            let description = properties["AlarmDescription"].as_str().unwrap();
            let end = format!("Severity: {severity}. Runbook: {run_book}#{name}");
            assert!(description.ends_with(&end), "{name}: {description}");
            assert!(description.contains("First "), "{name} names no first step");
            assert!(description.len() <= 1024, "{name}");
            assert_eq!(properties["TreatMissingData"], *missing, "{name}");
            // `deployment-failing` has no action: only CodeDeploy reads it.
            let actions = (*severity != "none").then(|| json!([topic]));
            assert_eq!(properties.get("AlarmActions"), actions.as_ref(), "{name}");
            met.insert(name);
        }
    }
    assert_eq!(met, ALARMS.map(|(name, _, _)| name.to_owned()).into());
}

/// What each section of the runbook answers, in this order.
const ANSWERS: [&str; 5] = [
    "**Means:**",
    "**Affects:**",
    "**Be sure:**",
    "**Do:**",
    "**Do not** ",
];

#[test]
fn the_runbook_has_a_section_for_each_alarm_and_none_for_another() {
    let runbook = RunbookText::read();
    let sections: Vec<_> = runbook.alarms().collect();
    let headings: BTreeSet<_> = sections.iter().map(|(name, _)| *name).collect();
    assert_eq!(headings, ALARMS.map(|(name, _, _)| name).into());
    assert_eq!(headings.len(), sections.len(), "a heading is there twice");
    for (name, text) in sections {
        // A section may be that of another alarm, with what differs.
        if let Some((linked, _)) = text
            .strip_prefix("As [")
            .and_then(|rest| rest.split_once(']'))
        {
            assert!(headings.contains(linked) && linked != name, "{name}");
            continue;
        }
        ANSWERS.iter().fold(text, |rest, answer| {
            let found = rest.split_once(answer);
            found.unwrap_or_else(|| panic!("{name} lacks {answer}")).1
        });
    }
}

#[test]
fn without_a_page_of_the_team_the_runbook_is_the_one_in_the_repository() {
    for alarm in TemplateStack::with(&[])
        .of_type("AWS::CloudWatch::Alarm")
        .values()
    {
        let description = alarm["Properties"]["AlarmDescription"].as_str().unwrap();
        assert!(
            description.contains("Runbook: docs/runbook.md#"),
            "{description}"
        );
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
        let stack = TemplateStack::with(parameters);
        assert_eq!(stack.refusals(), Vec::<String>::new(), "{parameters:?}");
        let found = stack.resources();
        let found: Vec<_> = topic
            .into_iter()
            .filter(|id| found.contains_key(*id))
            .collect();
        assert_eq!(found, made, "{parameters:?}");
    }
    let stack = TemplateStack::with(&[("AlarmEmail", "team@example.gov.uk")]);
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
    let names = |given: &[(&str, &str)]| -> BTreeSet<String> {
        by_name(&TemplateStack::with(given)).into_keys().collect()
    };
    let pages = ALARMS.iter().filter(|(_, severity, _)| *severity == "page");
    let pages: BTreeSet<_> = pages.map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(names(&[("MinimalAlarms", "true")]), pages);
    assert_eq!(names(&[("CreateAlarms", "false")]).len(), 0);
    assert!(names(&[]).is_superset(&pages));
    assert_eq!(names(&[]).len(), 16);
    assert!(
        !TemplateStack::with(&[("MinimalAlarms", "true")])
            .resources()
            .contains_key("Dashboard")
    );
}

/// With less than all metrics an alarm on one of the others would never fire, or always.
#[test]
fn the_functions_write_every_metric_that_an_alarm_of_their_stack_watches() {
    for (parameters, word) in [
        (&[][..], "all"),
        (&[("MinimalAlarms", "true")], "minimal"),
        (&[("CreateAlarms", "false")], "minimal"),
    ] {
        let stack = TemplateStack::with(parameters);
        for (id, _) in super::FUNCTIONS.iter().take(3) {
            let variables = &stack.properties(id)["Environment"]["Variables"];
            assert_eq!(variables["PILLARBOX_METRICS"], word, "{id}");
        }
        let set = MetricSet::parse(word).unwrap();
        for (name, alarm) in by_name(&stack) {
            for series in watched(&alarm) {
                let metric = METRICS.iter().find(|metric| metric.name == series.name);
                let is_ours = series.namespace == NAMESPACE;
                assert!(!is_ours || metric.unwrap().set <= set, "{name}: {series:?}");
            }
        }
    }
}

#[test]
fn silence_is_an_alarm_only_for_the_sources_whose_hours_the_team_has_chosen() {
    for (parameters, expected) in [
        (&[][..], &[][..]),
        (&[("HmrcSilenceHours", "72")], &[("hmrc-silent", "72")]),
        (
            &[("HmrcSilenceHours", "72"), ("PaySilenceHours", "24")],
            &[("hmrc-silent", "72"), ("pay-silent", "24")],
        ),
        (&[("PaySilenceHours", "24"), ("Pay", "off")], &[]),
        (&[("PaySilenceHours", "24"), ("MinimalAlarms", "true")], &[]),
    ] {
        let alarms = by_name(&TemplateStack::with(parameters));
        let found: Vec<_> = alarms
            .iter()
            .filter(|(name, _)| name.ends_with("-silent"))
            .map(|(name, alarm)| {
                let hours = alarm["Properties"]["Threshold"].as_str().unwrap();
                (name.as_str(), hours)
            })
            .collect();
        assert_eq!(found, expected, "{parameters:?}");
    }
}

#[test]
fn reconciling_is_watched_for_each_source_that_is_pulled_from() {
    let of_hmrc = ["hmrc-box-behind", "hmrc-pull-failing"];
    let of_pay = ["pay-events-missing", "pay-pull-failing"];
    let run = ["reconcile-never-ran"];
    for (parameters, expected) in [
        (&[][..], vec![]),
        (&[("Reconcile", "on")], [&of_pay[..], &run].concat()),
        (
            &[("Reconcile", "on"), ("HmrcBoxes", BOX), ("Pay", "off")],
            [&of_hmrc[..], &run].concat(),
        ),
        (
            &[("Reconcile", "on"), ("HmrcBoxes", BOX)],
            [&of_hmrc[..], &of_pay, &run].concat(),
        ),
        (&[("Reconcile", "on"), ("MinimalAlarms", "true")], vec![]),
    ] {
        let stack = TemplateStack::with(parameters);
        let base = by_name(&TemplateStack::with(&[
            (
                "MinimalAlarms",
                if stack.condition("Ticket") {
                    "false"
                } else {
                    "true"
                },
            ),
            (
                "Pay",
                if stack.condition("UsePay") {
                    "on"
                } else {
                    "off"
                },
            ),
        ]));
        let found = by_name(&stack)
            .into_keys()
            .filter(|name| !base.contains_key(name));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{parameters:?}");
    }
}
