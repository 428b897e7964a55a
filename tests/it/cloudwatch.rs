//! The evaluator of alarms, held to the tables and rules that AWS documents.

use std::{collections::BTreeMap, time::Duration};

use pillarbox::domain::Timestamp;
use serde_json::{Value, json};
use test_support::cloudwatch::{
    AlarmState::{self, Alarm, InsufficientData, Ok},
    AlarmWatch, MathExpression, MetricAlarm, MetricStatistic, MetricStore, read_line, series,
};

const START: Timestamp = Timestamp::from_millis(1_772_409_600_000);

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

/// An alarm on the sum of errors in five minutes, above nought, with other properties.
fn alarm(other: &Value) -> MetricAlarm {
    let mut properties = json!({
        "AlarmName": "errors", "Namespace": "Tests", "MetricName": "Errors", "Statistic": "Sum",
        "Dimensions": [{"Name": "FunctionName", "Value": "f"}], "Unit": "Count", "Period": 300,
        "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0,
    });
    for (name, value) in other.as_object().unwrap() {
        properties[name] = value.clone();
    }
    MetricAlarm::read("Errors", &properties)
}

/// Datapoints as AWS writes them: `0` does not breach, `X` does, `-` is missing.
fn datapoints(notation: &str) -> Vec<Option<f64>> {
    let each = notation.split(' ').map(|one| match one {
        "0" => Some(0.0),
        "X" => Some(1.0),
        "-" => None,
        other => panic!("{other}"),
    });
    each.collect()
}

/// Columns: the treatments `missing`, `ignore`, `breaching`, `notBreaching`; `None` retains the
/// state.
type Row = (usize, &'static str, [Option<AlarmState>; 4]);

const TABLES: &[Row] = &[
    // Three of three.
    (3, "0 - X - X", [Some(Ok); 4]),
    (3, "0 - - - -", [Some(Ok); 4]),
    (
        3,
        "- - - - -",
        [Some(InsufficientData), None, Some(Alarm), Some(Ok)],
    ),
    (3, "0 X X - X", [Some(Alarm); 4]),
    (3, "- - X - -", [Some(Alarm), None, Some(Alarm), Some(Ok)]),
    // Not immediately: the next datapoint might not breach.
    (3, "- - - - X", [None, None, Some(Alarm), Some(Ok)]),
    (3, "- - - X -", [None, None, Some(Alarm), Some(Ok)]),
    (3, "- - - X 0", [Some(Ok); 4]),
    // Two of three.
    (2, "0 - X - X", [Some(Alarm); 4]),
    (2, "0 0 X 0 X", [Some(Alarm); 4]),
    (2, "X X 0 0 0", [Some(Ok); 4]),
    (2, "0 - X - -", [Some(Ok), Some(Ok), Some(Alarm), Some(Ok)]),
    (2, "- - - - 0", [Some(Ok), Some(Ok), Some(Alarm), Some(Ok)]),
    (2, "- - - X -", [Some(Alarm), None, Some(Alarm), Some(Ok)]),
    (2, "- X - - X", [Some(Alarm); 4]),
    // One of three.
    (1, "- - - - X", [Some(Alarm); 4]),
    (1, "X - - - 0", [Some(Alarm); 4]),
    (1, "0 - - 0 0", [Some(Ok); 4]),
];

#[test]
fn missing_data_and_m_of_n_are_judged_as_in_the_tables_of_aws() {
    let treatments = ["missing", "ignore", "breaching", "notBreaching"];
    for (to_alarm, notation, expected) in TABLES {
        for (treatment, expected) in treatments.iter().zip(expected) {
            let alarm = alarm(
                &json!({"EvaluationPeriods": 3, "DatapointsToAlarm": to_alarm,
                "TreatMissingData": treatment}),
            );
            for current in [Ok, Alarm, InsufficientData] {
                assert_eq!(
                    alarm.judge(&datapoints(notation), current),
                    expected.unwrap_or(current),
                    "{to_alarm} of 3, {notation}, {treatment}, from {current}"
                );
            }
        }
    }
}

#[test]
fn without_datapoints_to_alarm_every_evaluation_period_must_breach() {
    let alarm = alarm(&json!({"EvaluationPeriods": 2}));
    assert_eq!(alarm.judge(&datapoints("0 0 0 X"), Ok), Ok);
    assert_eq!(alarm.judge(&datapoints("0 0 X X"), Ok), Alarm);
}

#[test]
fn a_threshold_is_compared_by_its_operator() {
    for (operator, expected) in [
        ("GreaterThanThreshold", [Ok, Ok, Alarm]),
        ("GreaterThanOrEqualToThreshold", [Ok, Alarm, Alarm]),
        ("LessThanThreshold", [Alarm, Ok, Ok]),
        ("LessThanOrEqualToThreshold", [Alarm, Alarm, Ok]),
    ] {
        let alarm = alarm(&json!({"ComparisonOperator": operator, "Threshold": 30}));
        for (value, expected) in [29.0, 30.0, 31.0].into_iter().zip(expected) {
            assert_eq!(
                alarm.judge(&[Some(value)], Ok),
                expected,
                "{operator} {value}"
            );
        }
    }
}

#[test]
fn a_statistic_is_of_all_values_of_the_period_and_missing_without_any() {
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    for (name, values, expected) in [
        ("Sum", &[3.0, 1.0, 2.0][..], Some(6.0)),
        ("Maximum", &[3.0, 1.0, 2.0], Some(3.0)),
        ("Minimum", &[3.0, 1.0, 2.0], Some(1.0)),
        ("Average", &[3.0, 1.0, 2.0], Some(2.0)),
        ("SampleCount", &[3.0, 1.0, 2.0], Some(3.0)),
        ("p99", &hundred, Some(99.0)),
        ("p50", &hundred, Some(50.0)),
        ("p99", &[7.0], Some(7.0)),
        ("Sum", &[], None),
        ("SampleCount", &[], None),
    ] {
        assert_eq!(
            MetricStatistic::parse(name).of(values),
            expected,
            "{name} {values:?}"
        );
    }
}

#[test]
fn a_metric_counts_for_an_alarm_on_its_very_name_dimensions_and_unit() {
    let errors = series("Tests", "Errors", &[("FunctionName", "f")]);
    for (found, unit, expected) in [
        (errors.clone(), "Count", Alarm),
        (errors.clone(), "None", Ok),
        (
            series("Other", "Errors", &[("FunctionName", "f")]),
            "Count",
            Ok,
        ),
        (
            series("Tests", "Error", &[("FunctionName", "f")]),
            "Count",
            Ok,
        ),
        (
            series("Tests", "Errors", &[("FunctionName", "g")]),
            "Count",
            Ok,
        ),
        (series("Tests", "Errors", &[]), "Count", Ok),
        (
            series(
                "Tests",
                "Errors",
                &[("FunctionName", "f"), ("Source", "pay")],
            ),
            "Count",
            Ok,
        ),
    ] {
        let mut store = MetricStore::default();
        store.put(found.clone(), at(10), 1.0, unit);
        let alarm = alarm(&json!({"TreatMissingData": "notBreaching"}));
        assert_eq!(
            alarm.evaluate(&store, at(60), Ok),
            expected,
            "{found:?} {unit}"
        );
    }
    let mut store = MetricStore::default();
    store.put(errors, at(10), 1.0, "None");
    let mut any_unit = alarm(&json!({})).clone();
    assert_eq!(any_unit.evaluate(&store, at(60), Ok), InsufficientData);
    any_unit = alarm(&json!({"Unit": null}));
    assert_eq!(any_unit.evaluate(&store, at(60), Ok), Alarm);
}

/// Five-minute periods move on with each minute, and an alarm stays while its last datapoint is in
/// the evaluation range.
#[test]
fn an_alarm_is_evaluated_every_minute_and_its_changes_are_kept() {
    let errors = series("Tests", "Errors", &[("FunctionName", "f")]);
    let mut store = MetricStore::default();
    store.put(errors.clone(), at(90), 1.0, "Count");
    store.put(errors, at(20 * 60), 0.0, "Count");
    let alarm = alarm(&json!({"TreatMissingData": "notBreaching"}));
    let mut watch = AlarmWatch::new([alarm], START);
    watch.advance(&store, at(119));
    assert_eq!(watch.firing().len(), 0);
    watch.advance(&store, at(2 * 60));
    assert_eq!(watch.firing()[0].id, "Errors");
    watch.advance(&store, at(60 * 60));
    let changes: Vec<_> = watch
        .transitions
        .iter()
        .map(|change| (change.at.since(START).as_secs() / 60, change.to))
        .collect();
    assert_eq!(changes, [(1, Ok), (2, Alarm), (17, Ok)]);
}

#[test]
fn metric_math_is_read_with_the_usual_precedence_and_both_operands_must_be_there() {
    let known: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::from([
        ("a".to_owned(), vec![Some(6.0), Some(1.0), None, Some(0.0)]),
        ("b".to_owned(), vec![Some(3.0), None, Some(2.0), Some(0.0)]),
    ]);
    for (expression, expected) in [
        ("100 * a / 4", [Some(150.0), Some(25.0), None, Some(0.0)]),
        ("a + b * 2", [Some(12.0), None, None, Some(0.0)]),
        ("(a + b) * 2", [Some(18.0), None, None, Some(0.0)]),
        ("a - b - 1", [Some(2.0), None, None, Some(-1.0)]),
        ("-a", [Some(-6.0), Some(-1.0), None, Some(0.0)]),
        ("a / b", [Some(2.0), None, None, None]),
        ("FILL(b, 0)", [Some(3.0), Some(0.0), Some(2.0), Some(0.0)]),
        ("a + FILL(b, 0)", [Some(9.0), Some(1.0), None, Some(0.0)]),
        ("a >= 6", [Some(1.0), Some(0.0), None, Some(0.0)]),
        ("a > 0 AND b > 0", [Some(1.0), None, None, Some(0.0)]),
        (
            "a > 0 || FILL(b, 9) == 9",
            [Some(1.0), Some(1.0), None, Some(0.0)],
        ),
        ("IF(a > 0, a, b)", [Some(6.0), Some(1.0), None, Some(0.0)]),
        ("IF(a > 1, a)", [Some(6.0), None, None, None]),
        ("SUM([a, b])", [Some(9.0), Some(1.0), Some(2.0), Some(0.0)]),
        ("MAX([a, b])", [Some(6.0), Some(1.0), Some(2.0), Some(0.0)]),
    ] {
        let found = MathExpression::parse(expression).evaluate(&known, 4);
        assert_eq!(found, expected, "{expression}");
    }
    for wrong in ["", "a +", "a b", "(a", "IF(a", "A", "a % b", "1.2.3"] {
        let read = std::panic::catch_unwind(|| MathExpression::parse(wrong));
        assert!(read.is_err(), "{wrong}: {read:?}");
    }
}

#[test]
fn an_alarm_on_metric_math_compares_the_one_value_that_is_returned() {
    let metric = |id: &str, metric: &str| {
        json!({"Id": id, "ReturnData": false, "MetricStat": {
            "Metric": {"Namespace": "Tests", "MetricName": metric, "Dimensions": []},
            "Stat": "Sum", "Unit": "Count", "Period": 300}})
    };
    let properties = json!({
        "AlarmName": "all-refused", "EvaluationPeriods": 1, "Threshold": 100,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "TreatMissingData": "notBreaching",
        "Metrics": [
            {"Id": "enough", "Expression": "IF(received >= 3, share, 0)"},
            {"Id": "share", "Expression": "100 * refused / received", "ReturnData": false},
            metric("received", "Received"), metric("refused", "Refused"),
        ],
    });
    let alarm = MetricAlarm::read("AllRefused", &properties);
    for (received, refused, expected) in [(2, 2, Ok), (3, 2, Ok), (3, 3, Alarm), (4, 3, Ok)] {
        let mut store = MetricStore::default();
        for (metric, count) in [("Received", received), ("Refused", refused)] {
            for second in 0..count {
                store.put(series("Tests", metric, &[]), at(second), 1.0, "Count");
            }
        }
        let state = alarm.evaluate(&store, at(60), Ok);
        assert_eq!(state, expected, "{refused} of {received}");
    }
}

#[test]
fn a_line_is_read_as_the_embedded_metric_format_has_it() {
    let line = json!({"message": "invocation completed", "FunctionName": "f", "Delivered": 2,
        "DeliveryDelay": [5, 7], "_aws": {"Timestamp": START.as_millis(), "CloudWatchMetrics": [
            {"Namespace": "Tests", "Dimensions": [["FunctionName"], []], "Metrics": [
                {"Name": "Delivered", "Unit": "Count"},
                {"Name": "DeliveryDelay", "Unit": "Milliseconds"}]}]}});
    let mut store = MetricStore::default();
    let later = |time: Timestamp| time.plus(Duration::from_secs(60));
    assert_eq!(read_line(&line.to_string(), &mut store, later), 6);
    let minute = (at(120), Duration::from_secs(60));
    for dimensions in [&[("FunctionName", "f")][..], &[]] {
        let delay = series("Tests", "DeliveryDelay", dimensions);
        assert_eq!(
            store.values(&delay, Some("Milliseconds"), minute),
            [5.0, 7.0]
        );
    }
    for other in ["", "text", "{}", r#"{"level":"INFO","Delivered":1}"#] {
        assert_eq!(read_line(other, &mut store, later), 0, "{other}");
    }
}
