//! Rows -> metrics in CloudWatch's embedded metric format, one JSON object a line. Pure.
//!
//! Lambda passes the lines on as they are, and CloudWatch takes the metrics out of them: nothing has to be called, and
//! no permission is needed. The format is the one that the CloudWatch user guide specifies.

use serde_json::{Map, Value, json};

use super::ReconcileRecord;
use crate::domain::Timestamp;

/// What all metrics of this program stand under.
const NAMESPACE: &str = "Pillarbox";

/// One line a row, each with its line feed. Metrics are told apart by source, and by `function`: there may be several
/// stacks in an account.
pub(super) fn lines(rows: &[ReconcileRecord], function: &str, now: Timestamp) -> String {
    rows.iter()
        .map(|row| format!("{}\n", line(row, function, now)))
        .collect()
}

fn line(row: &ReconcileRecord, function: &str, now: Timestamp) -> Value {
    let metrics = metrics(row);
    let named: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
        .collect();
    let mut line = Map::new();
    // Lambda takes the level from the line, and would drop one that it takes for less than is wanted.
    line.insert("timestamp".to_owned(), now.to_string().into());
    line.insert("level".to_owned(), "INFO".into());
    line.insert("message".to_owned(), "metrics".into());
    line.insert("FunctionName".to_owned(), function.into());
    line.insert("Source".to_owned(), row.source.as_str().into());
    line.extend(
        metrics
            .into_iter()
            .map(|(name, _, value)| (name.to_owned(), value.into())),
    );
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["FunctionName", "Source"]], "Metrics": named});
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.as_millis(), "CloudWatchMetrics": [directive]}),
    );
    Value::Object(line)
}

/// What is known of a row: name, unit, value. What is not known has no value, rather than a wrong one.
fn metrics(row: &ReconcileRecord) -> Vec<(&'static str, &'static str, u64)> {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let all = [
        ("PulledMissed", "Count", Some(count(row.numbers.recorded))),
        ("MissingEvents", "Count", row.newly_missing.map(count)),
        (
            "OldestUnacknowledgedSeconds",
            "Seconds",
            row.oldest.map(|age| age.as_secs()),
        ),
        (
            "SilentSeconds",
            "Seconds",
            row.silent.map(|age| age.as_secs()),
        ),
        ("PullFailures", "Count", Some(count(row.failures))),
    ];
    all.into_iter()
        .filter_map(|(name, unit, value)| Some((name, unit, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reconcile::ReconcileStats;

    fn row(source: &str) -> ReconcileRecord {
        ReconcileRecord {
            source: source.to_owned(),
            ended: "whole",
            failed: None,
            numbers: ReconcileStats::default(),
            failures: 0,
            newly_missing: None,
            oldest: None,
            silent: None,
        }
    }

    #[test]
    fn each_row_is_one_line_that_cloudwatch_takes_metrics_from() {
        let hmrc = ReconcileRecord {
            numbers: ReconcileStats {
                seen: 9,
                recorded: 3,
                duplicates: 6,
                ..ReconcileStats::default()
            },
            oldest: Some(Duration::from_millis(61_999)),
            silent: Some(Duration::from_secs(7)),
            ..row("hmrc")
        };
        let pay = ReconcileRecord {
            newly_missing: Some(2),
            failures: 1,
            ..row("pay")
        };
        let expected = concat!(
            r#"{"FunctionName":"pillarbox-Reconciler-1","OldestUnacknowledgedSeconds":61,"PullFailures":0,"PulledMissed":3,"#,
            r#""SilentSeconds":7,"Source":"hmrc","_aws":{"CloudWatchMetrics":[{"Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"PulledMissed","Unit":"Count"},{"Name":"OldestUnacknowledgedSeconds","Unit":"Seconds"},"#,
            r#"{"Name":"SilentSeconds","Unit":"Seconds"},{"Name":"PullFailures","Unit":"Count"}],"Namespace":"Pillarbox"}],"#,
            r#""Timestamp":1772446531480},"level":"INFO","message":"metrics","timestamp":"2026-03-02T10:15:31.480Z"}"#,
            "\n",
            r#"{"FunctionName":"pillarbox-Reconciler-1","MissingEvents":2,"PullFailures":1,"PulledMissed":0,"Source":"pay","#,
            r#""_aws":{"CloudWatchMetrics":[{"Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"PulledMissed","Unit":"Count"},{"Name":"MissingEvents","Unit":"Count"},"#,
            r#"{"Name":"PullFailures","Unit":"Count"}],"Namespace":"Pillarbox"}],"#,
            r#""Timestamp":1772446531480},"level":"INFO","message":"metrics","timestamp":"2026-03-02T10:15:31.480Z"}"#,
            "\n",
        );
        let now = Timestamp::from_millis(1_772_446_531_480);
        assert_eq!(lines(&[hmrc, pay], "pillarbox-Reconciler-1", now), expected);
    }
}
