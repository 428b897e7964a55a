//! Metrics in CloudWatch's embedded metric format: members of a log line that is written anyway.
//!
//! Lambda forwards the lines unchanged, and CloudWatch extracts the metrics from them: no API call
//! and no permission are needed. The CloudWatch user guide specifies the format.
//!
//! [`METRICS`] is every metric there is. Its dimensions are the function and a configured source,
//! by type, so that no text of a sender can become one: each set of them has a price.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::ReconcileRecord;
use crate::domain::{SourceName, Timestamp};

/// The namespace of every metric.
pub const NAMESPACE: &str = "Pillarbox";

/// The field of a log event that holds metrics, which only JSON lines show.
pub(super) const FIELD: &str = "embedded_metrics";

/// The values of one metric that a line may hold: the limit of the format.
const MAX_VALUES: usize = 100;

/// A metric: its name, unit and dimensions.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, in CloudWatch's word.
    pub unit: &'static str,
    /// Its dimensions.
    pub dimensions: &'static [&'static str],
}

const BY_FUNCTION: &[&str] = &["FunctionName"];
const BY_SOURCE: &[&str] = &["FunctionName", "Source"];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $unit:literal, $dimensions:expr;)*) => {
        $(pub(crate) static $constant: Metric =
            Metric { name: $name, unit: $unit, dimensions: $dimensions };)*

        /// Every metric.
        pub static METRICS: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    RECEIVED = "Received", "Count", BY_SOURCE;
    RECORDED = "Recorded", "Count", BY_SOURCE;
    DUPLICATE = "Duplicate", "Count", BY_SOURCE;
    HELD = "Held", "Count", BY_SOURCE;
    CONFLICT = "Conflict", "Count", BY_SOURCE;
    INVALID_SIGNATURE = "InvalidSignature", "Count", BY_SOURCE;
    NO_SECRET = "NoSecret", "Count", BY_SOURCE;
    INBOX_UNAVAILABLE = "InboxUnavailable", "Count", BY_SOURCE;
    OTHER_REFUSED = "OtherRefused", "Count", BY_SOURCE;
    ANSWER_TIME = "AnswerTime", "Milliseconds", BY_SOURCE;
    RETRIED = "Retried", "Count", BY_SOURCE;
    DEAD = "Dead", "Count", BY_SOURCE;
    DELIVERED = "Delivered", "Count", BY_FUNCTION;
    REPEAT = "Repeat", "Count", BY_FUNCTION;
    DELIVERY_DELAY = "DeliveryDelay", "Milliseconds", BY_FUNCTION;
    SWEEP_RUN = "SweepRun", "Count", BY_FUNCTION;
    PULLED_MISSED = "PulledMissed", "Count", BY_SOURCE;
    MISSING_EVENTS = "MissingEvents", "Count", BY_SOURCE;
    OLDEST_UNACKNOWLEDGED = "OldestUnacknowledgedSeconds", "Seconds", BY_SOURCE;
    SILENT = "SilentSeconds", "Seconds", BY_SOURCE;
    PULL_FAILURES = "PullFailures", "Count", BY_SOURCE;
}

/// The metrics of one line.
pub(crate) struct EmbeddedMetrics {
    members: Map<String, Value>,
    named: Vec<Value>,
    dimensions: &'static [&'static str],
}

impl EmbeddedMetrics {
    /// Metrics of a function.
    pub(crate) fn of_function(function: &str) -> Self {
        let mut members = Map::new();
        members.insert("FunctionName".to_owned(), function.into());
        Self {
            members,
            named: Vec::new(),
            dimensions: BY_FUNCTION,
        }
    }

    /// Metrics of a source in a function.
    pub(crate) fn of_source(function: &str, source: &SourceName) -> Self {
        let mut metrics = Self::of_function(function);
        let members = &mut metrics.members;
        members.insert("Source".to_owned(), source.as_str().into());
        metrics.dimensions = BY_SOURCE;
        metrics
    }

    /// Adds one value. A metric with other dimensions is left out.
    pub(crate) fn add(&mut self, metric: &Metric, value: u64) {
        self.insert(metric, value.into());
    }

    /// Adds the values of several events, as many as a line may hold.
    pub(crate) fn add_all(&mut self, metric: &Metric, values: &[u64]) {
        let values = &values[..values.len().min(MAX_VALUES)];
        self.insert(metric, values.into());
    }

    fn insert(&mut self, metric: &Metric, value: Value) {
        debug_assert_eq!(metric.dimensions, self.dimensions, "{}", metric.name);
        if metric.dimensions == self.dimensions {
            let name = json!({"Name": metric.name, "Unit": metric.unit});
            self.named.push(name);
            self.members.insert(metric.name.to_owned(), value);
        }
    }

    /// The members of a JSON object, up to the timestamp, which [`close`] adds; `None` if there is
    /// no metric.
    pub(crate) fn open_members(self) -> Option<String> {
        if self.named.is_empty() {
            return None;
        }
        let directive = json!([{"Namespace": NAMESPACE, "Dimensions": [self.dimensions],
            "Metrics": self.named}]);
        let members = Value::Object(self.members).to_string();
        let members = members.strip_prefix('{')?.strip_suffix('}')?;
        Some(format!(
            r#"{members},"_aws":{{"CloudWatchMetrics":{directive},"Timestamp":"#
        ))
    }
}

/// Ends members with the time of their line.
pub(super) fn close(open_members: &str, now: Timestamp) -> String {
    format!("{open_members}{}}}", now.as_millis())
}

/// Writes the metrics of reconcile runs to a log that CloudWatch reads, one line for each.
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

    pub(crate) fn write(&self, records: &[ReconcileRecord], now: Timestamp) {
        let text = lines(records, &self.function, now);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written leaves no place to report that.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// One line for each record. The metrics are told apart by source and by `function`.
fn lines(records: &[ReconcileRecord], function: &str, now: Timestamp) -> String {
    let lines = records.iter().filter_map(|record| {
        let members = of_run(record, function)?.open_members()?;
        // Lambda filters by the level in the line.
        let head = format!(r#"{{"timestamp":"{now}","level":"INFO","message":"metrics""#);
        Some(format!("{head},{}}}\n", close(&members, now)))
    });
    lines.collect()
}

fn of_run(record: &ReconcileRecord, function: &str) -> Option<EmbeddedMetrics> {
    let source = SourceName::new(&record.source)?;
    let mut metrics = EmbeddedMetrics::of_source(function, &source);
    for sample in record.samples() {
        metrics.add(sample.metric, sample.in_unit());
    }
    Some(metrics)
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
            r#"{"timestamp":"2026-03-02T10:15:31.480Z","level":"INFO","message":"metrics","#,
            r#""FunctionName":"pillarbox-Reconciler-1","OldestUnacknowledgedSeconds":61,"PullFailures":0,"PulledMissed":3,"#,
            r#""SilentSeconds":7,"Source":"hmrc","_aws":{"CloudWatchMetrics":[{"Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"PulledMissed","Unit":"Count"},{"Name":"OldestUnacknowledgedSeconds","Unit":"Seconds"},"#,
            r#"{"Name":"SilentSeconds","Unit":"Seconds"},{"Name":"PullFailures","Unit":"Count"}],"Namespace":"Pillarbox"}],"#,
            r#""Timestamp":1772446531480}}"#,
            "\n",
            r#"{"timestamp":"2026-03-02T10:15:31.480Z","level":"INFO","message":"metrics","#,
            r#""FunctionName":"pillarbox-Reconciler-1","MissingEvents":2,"PullFailures":1,"PulledMissed":0,"Source":"pay","#,
            r#""_aws":{"CloudWatchMetrics":[{"Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"PulledMissed","Unit":"Count"},{"Name":"MissingEvents","Unit":"Count"},"#,
            r#"{"Name":"PullFailures","Unit":"Count"}],"Namespace":"Pillarbox"}],"#,
            r#""Timestamp":1772446531480}}"#,
            "\n",
        );
        let now = Timestamp::from_millis(1_772_446_531_480);
        assert_eq!(lines(&[hmrc, pay], "pillarbox-Reconciler-1", now), expected);
    }
}
