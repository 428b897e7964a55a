//! Metrics in CloudWatch's embedded metric format, one JSON object a line.
//!
//! Lambda forwards the lines unchanged, and CloudWatch extracts the metrics from them: no API call
//! and no permission are needed. The CloudWatch user guide specifies the format.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use crate::{domain::Timestamp, telemetry::ReconcileRecord};

/// The namespace of every metric.
const NAMESPACE: &str = "Pillarbox";

/// Writes the metrics of runs to a log that CloudWatch reads.
pub struct MetricsWriter {
    function: String,
    out: Mutex<Box<dyn Write + Send>>,
}

impl MetricsWriter {
    /// A writer to `out`. `function` is a dimension of every metric, since an account may hold
    /// several stacks.
    pub fn new(function: String, out: Box<dyn Write + Send>) -> Self {
        Self {
            function,
            out: Mutex::new(out),
        }
    }

    pub(super) fn write(&self, records: &[ReconcileRecord], now: Timestamp) {
        let text = lines(records, &self.function, now);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written leaves no place to report that.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// One line for each record. Their dimensions are the source and `function`.
fn lines(records: &[ReconcileRecord], function: &str, now: Timestamp) -> String {
    records
        .iter()
        .map(|record| format!("{}\n", line(record, function, now)))
        .collect()
}

fn line(row: &ReconcileRecord, function: &str, now: Timestamp) -> Value {
    let metrics = metrics(row);
    let named: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
        .collect();
    let mut line = Map::new();
    // Lambda filters by the level in the line.
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
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["FunctionName", "Source"]],
        "Metrics": named});
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.as_millis(), "CloudWatchMetrics": [directive]}),
    );
    Value::Object(line)
}

/// Name, unit and value of each metric that is known.
fn metrics(row: &ReconcileRecord) -> Vec<(&'static str, &'static str, u64)> {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let all = [
        ("PulledMissed", "Count", Some(count(row.recorded))),
        ("MissingEvents", "Count", row.newly_missing.map(count)),
        (
            "OldestUnacknowledgedSeconds",
            "Seconds",
            row.oldest_unacknowledged.map(|age| age.as_secs()),
        ),
        (
            "SilentSeconds",
            "Seconds",
            row.silent.map(|age| age.as_secs()),
        ),
        ("PullFailures", "Count", Some(count(row.errors))),
    ];
    all.into_iter()
        .filter_map(|(name, unit, value)| Some((name, unit, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(source: &str) -> ReconcileRecord {
        ReconcileRecord {
            request_id: None,
            source: source.to_owned(),
            ended: "completed",
            reason: None,
            seen: 0,
            recorded: 0,
            duplicates: 0,
            held: 0,
            acknowledged: 0,
            missing: 0,
            newly_missing: None,
            errors: 0,
            oldest_unacknowledged: None,
            silent: None,
        }
    }

    #[test]
    fn each_row_is_one_line_that_cloudwatch_takes_metrics_from() {
        let hmrc = ReconcileRecord {
            seen: 9,
            recorded: 3,
            duplicates: 6,
            oldest_unacknowledged: Some(Duration::from_millis(61_999)),
            silent: Some(Duration::from_secs(7)),
            ..row("hmrc")
        };
        let pay = ReconcileRecord {
            newly_missing: Some(2),
            errors: 1,
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
