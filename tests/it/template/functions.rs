//! The four functions: one build, when each runs, and for how long.

use std::{collections::BTreeSet, time::Duration};

use pillarbox::domain::Timestamp;
use serde_json::{Value, json};
use test_support::cloudwatch::{MetricAlarm, MetricStore};

use super::{BOX, FUNCTIONS, PULLING, TemplateStack, shapes};

/// A claim on a row lasts this long, longer than any attempt may.
const LEASE: u64 = 150;

#[test]
fn four_functions_come_from_one_build_and_the_handler_sets_each_role() {
    let stack = TemplateStack::with(&PULLING);
    let functions = stack.of_type("AWS::Serverless::Function");
    assert_eq!(
        functions
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        FUNCTIONS.map(|(id, _)| id).into()
    );
    for (id, role) in FUNCTIONS {
        let (resource, properties) = (&functions[id], stack.properties(id));
        assert_eq!(properties["Handler"], role);
        assert_eq!(properties["Runtime"], "provided.al2023");
        assert_eq!(properties["Architectures"], json!(["arm64"]));
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(
            resource["Metadata"]["BuildProperties"],
            json!({"Binary": "bootstrap"})
        );
        // What differs would be built once more.
        assert_eq!(resource["Metadata"], functions["Receive"]["Metadata"]);
        assert_eq!(properties["CodeUri"], ".");
    }
    assert_eq!(
        TemplateStack::with(&[("Architecture", "x86_64")]).properties("Sweep")["Architectures"],
        json!(["x86_64"])
    );
}

#[test]
fn every_function_ends_before_a_lease_does() {
    let stack = TemplateStack::with(&PULLING);
    let timeouts = FUNCTIONS.map(|(id, _)| stack.properties(id)["Timeout"].as_u64().unwrap());
    assert_eq!(timeouts, [5, 60, 120, 120]);
    assert!(timeouts.iter().all(|timeout| *timeout < LEASE));
}

#[test]
fn reconcile_is_deployed_only_if_it_has_a_sender_to_reconcile() {
    for (parameters, there) in [
        (&[][..], false),
        (&[("HmrcBoxes", BOX)], false),
        (&[("Reconcile", "on")], true),
        (&[("Reconcile", "on"), ("Pay", "off")], false),
        (
            &[("Reconcile", "on"), ("Pay", "off"), ("HmrcBoxes", BOX)],
            true,
        ),
        (
            &[("Reconcile", "on"), ("Hmrc", "off"), ("HmrcBoxes", BOX)],
            true,
        ),
    ] {
        assert_eq!(
            TemplateStack::with(parameters)
                .resources()
                .contains_key("Reconciler"),
            there,
            "{parameters:?}"
        );
    }
}

#[test]
fn the_mapping_takes_new_recorded_rows_and_can_not_block_its_shard() {
    let mapping = &TemplateStack::with(&[]).properties("Process")["Events"];
    let pattern =
        json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"state": {"S": ["recorded"]}}}});
    let written = mapping["Stored"]["Properties"]["FilterCriteria"]["Filters"][0]["Pattern"]
        .as_str()
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(written).unwrap(), pattern);
    let expected = json!({"Stored": {"Type": "DynamoDB", "Properties": {
        "Stream": "<Table.StreamArn>",
        "StartingPosition": "TRIM_HORIZON",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 25,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRetryAttempts": 5,
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": true,
        "FilterCriteria": {"Filters": [{"Pattern": written}]},
        "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": "<Failures.Arn>"}},
    }}});
    assert_eq!(mapping, &expected);
}

#[test]
fn the_schedules_repeat_nothing_before_its_time() {
    let stack = TemplateStack::with(&PULLING);
    for (id, role, event, rate) in [
        ("Sweep", "sweep", "EveryMinute", "rate(1 minute)"),
        (
            "Reconciler",
            "reconcile",
            "EveryFiveMinutes",
            "rate(5 minutes)",
        ),
    ] {
        let properties = stack.properties(id);
        let schedule = &properties["Events"][event];
        assert_eq!(schedule["Type"], "ScheduleV2");
        assert_eq!(schedule["Properties"]["ScheduleExpression"], rate);
        // The function distinguishes its events by their fields.
        assert_eq!(
            schedule["Properties"]["Input"],
            json!({"role": role}).to_string()
        );
        assert_eq!(
            schedule["Properties"]["RetryPolicy"],
            json!({"MaximumRetryAttempts": 0})
        );
        // A name of SAM's choice would be the same in every stack of an account.
        assert_eq!(schedule["Properties"]["OmitName"], true);
        assert_eq!(properties["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
        // A message would say no more than the schedule does, and raise a second alarm.
        assert!(properties["DeadLetterQueue"].is_null());
    }
}

#[test]
fn concurrency_is_reserved_only_with_a_parameter() {
    let default = TemplateStack::with(&PULLING);
    let capped = TemplateStack::with(&shapes()[3]);
    for (id, _) in FUNCTIONS {
        assert!(
            default
                .properties(id)
                .get("ReservedConcurrentExecutions")
                .is_none(),
            "{id}"
        );
        assert!(
            capped.properties(id)["ReservedConcurrentExecutions"].is_string(),
            "{id}"
        );
    }
}

#[test]
fn parameters_that_change_what_receive_does_publish_a_version_of_it() {
    let described = |stack: &TemplateStack| {
        stack.properties("Receive")["VersionDescription"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let default = TemplateStack::with(&[]);
    assert!(described(&default).len() <= 256);
    for change in [
        ("Hmrc", "off"),
        ("Pay", "off"),
        ("PayLive", "true"),
        ("Reconcile", "on"),
        ("RetentionDays", "100"),
        ("AcceptanceDays", "50"),
        ("Shards", "32"),
        ("DestinationKind", "log"),
        ("LogLevel", "DEBUG"),
        ("Tracing", "Active"),
        ("MinimalAlarms", "true"),
    ] {
        assert_ne!(
            described(&TemplateStack::with(&[change])),
            described(&default),
            "{change:?}"
        );
    }
}

/// What a version of receive is made from.
fn published(stack: &TemplateStack) -> Value {
    let mut properties = stack.properties("Receive");
    for unrelated in ["VersionDescription", "DeploymentPreference"] {
        properties.as_object_mut().unwrap().remove(unrelated);
    }
    properties
}

#[test]
fn a_version_is_described_anew_only_if_receive_is_given_something_else() {
    let changes = [
        ("Hmrc", "off"),
        ("Pay", "off"),
        ("PayLive", "true"),
        ("Reconcile", "on"),
        ("HmrcBoxes", BOX),
        ("HmrcEnvironment", "production"),
        ("RetentionDays", "100"),
        ("AcceptanceDays", "50"),
        ("Shards", "32"),
        ("DestinationKind", "log"),
        ("LogLevel", "DEBUG"),
        ("Tracing", "Active"),
        ("CreateAlarms", "false"),
        ("MinimalAlarms", "true"),
        ("FrontDoor", "rest-waf"),
    ];
    let bases: [&[(&str, &str)]; 5] = [
        &[],
        &[("Pay", "off")],
        &[("Hmrc", "off")],
        &[("Reconcile", "on")],
        &[("Reconcile", "on"), ("Hmrc", "off")],
    ];
    for base in bases {
        let before = TemplateStack::with(base);
        for change in changes {
            let after = TemplateStack::with(&[base, &[change]].concat());
            let [old, new] = [&before, &after]
                .map(|stack| stack.properties("Receive")["VersionDescription"].clone());
            assert!(
                old == new || published(&before) != published(&after),
                "{base:?} {change:?}: {old} {new}"
            );
        }
    }
}

#[test]
fn only_a_gradual_deployment_looks_at_alarms() {
    let preference = |given: &[(&str, &str)]| {
        TemplateStack::with(given).properties("Receive")["DeploymentPreference"].clone()
    };
    assert_eq!(
        preference(&[]),
        json!({"Enabled": "false", "Type": "AllAtOnce", "Alarms": []})
    );
    let canary = ("LambdaDeploymentPreference", "Canary10Percent5Minutes");
    assert_eq!(preference(&[canary])["Enabled"], "true");
    let alarms = [
        "DeploymentFailing",
        "HmrcAllSignaturesFailing",
        "PayAllSignaturesFailing",
    ];
    for (off, expected) in [
        (&[][..], &alarms[..]),
        (&[("Pay", "off")], &alarms[..2]),
        (&[("MinimalAlarms", "true")], &alarms),
        (&[("FrontDoor", "function-url")], &alarms),
    ] {
        let stack = TemplateStack::with(&[&[canary], off].concat());
        let names = expected
            .iter()
            .map(|id| stack.resolve(&json!({"Ref": id})).unwrap());
        assert_eq!(
            stack.properties("Receive")["DeploymentPreference"]["Alarms"],
            names.collect::<Value>()
        );
    }
    assert_eq!(
        preference(&[canary, ("CreateAlarms", "false")])["Alarms"],
        json!([])
    );
}

/// The front that senders use is the one watched, and within the shortest first step (a minute).
#[test]
fn a_gradual_deployment_is_rolled_back_in_time_when_its_front_answers_5xx_or_refuses() {
    for (front, metric) in [
        ("http-api", "5xx"),
        ("rest-waf", "5XXError"),
        ("function-url", "Url5xxCount"),
    ] {
        let stack = TemplateStack::with(&[
            ("FrontDoor", front),
            ("LambdaDeploymentPreference", "Linear10PercentEvery1Minute"),
        ]);
        let alarm = stack.properties("DeploymentFailing");
        assert_eq!(
            (&alarm["EvaluationPeriods"], &alarm["Threshold"]),
            (&json!(1), &json!(1))
        );
        let stats: Vec<&Value> = alarm["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|metric| !metric["MetricStat"].is_null())
            .map(|metric| &metric["MetricStat"])
            .collect();
        assert!(
            stats
                .iter()
                .all(|stat| stat["Period"] == 60 && stat["Stat"] == "Sum")
        );
        let names: Vec<&Value> = stats
            .iter()
            .map(|stat| &stat["Metric"]["MetricName"])
            .collect();
        assert_eq!(names, [metric, "InvalidSignature", "InvalidSignature"]);
        let of_stack = stack.properties("ReceiverFailing");
        assert_eq!(
            stats[0]["Metric"]["Dimensions"], of_stack["Dimensions"],
            "{front}"
        );
    }
}

#[test]
fn a_single_5xx_or_three_refused_signatures_in_a_minute_end_a_gradual_deployment() {
    let stack = TemplateStack::with(&[("LambdaDeploymentPreference", "Canary10Percent5Minutes")]);
    let alarm = MetricAlarm::read("DeploymentFailing", &stack.properties("DeploymentFailing"));
    let minute = Timestamp::from_millis(1_772_409_600_000);
    for (values, fires) in [
        ([0, 0, 0], false),
        ([1, 0, 0], true),
        ([0, 2, 0], false),
        ([0, 3, 0], true),
        ([0, 0, 3], true),
        ([0, 2, 1], true),
    ] {
        let mut store = MetricStore::default();
        for (series, count) in alarm.watched().into_iter().zip(values) {
            for _ in 0..count {
                store.put(series.clone(), minute, 1.0, "Count");
            }
        }
        let end = minute.plus(Duration::from_secs(60));
        assert_eq!(
            alarm.breaches(&store, end),
            fires,
            "5xx, HMRC, Pay: {values:?}"
        );
    }
}
