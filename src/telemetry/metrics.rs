//! Metrics in CloudWatch's embedded metric format: members of a log line that is written anyway.
//!
//! Lambda forwards the lines unchanged, and CloudWatch extracts the metrics from them: no API call
//! and no permission are needed. The CloudWatch user guide specifies the format.
//!
//! [`METRICS`] lists every metric. The types allow only the function and a configured source as
//! dimensions, because CloudWatch charges for each set of dimensions, and a sender's text must not
//! create one.

use std::{
    fmt::{Display, Write as _},
    io::Write,
    sync::{Mutex, PoisonError},
};

use MetricFrequency::{Continuous, Occasional};

use super::ReconcileRecord;
use crate::{
    domain::{SourceName, Timestamp},
    text::push_json,
};

/// The namespace of every metric.
pub const NAMESPACE: &str = "Pillarbox";

/// The field of a log event that holds metrics, which only JSON lines show.
pub(super) const FIELD: &str = "embedded_metrics";

/// The field of a log event that names a metric of the function, to count one occurrence.
pub const COUNTED_FIELD: &str = "metric";

/// The values of one metric that a line may hold: the limit of the format.
const MAX_VALUES: usize = 100;

/// A metric: its name, unit and dimensions, and what determines its price.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricDefinition {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as CloudWatch names it.
    pub unit: &'static str,
    /// Its dimensions.
    pub dimensions: &'static [&'static str],
    /// The statistics that are meaningful for it.
    pub statistics: &'static [&'static str],
    /// The roles of the functions that write it, and how often each does.
    pub writers: &'static [(&'static str, MetricFrequency)],
    /// The smallest set that it belongs to.
    pub set: MetricSet,
}

/// How often a metric has a value, which decides its price: CloudWatch charges for each hour in
/// which it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricFrequency {
    /// In every hour of a working stack.
    Continuous,
    /// Only in unusual conditions.
    Occasional,
}

/// Which metrics a function writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricSet {
    /// Those of the alarms that page an operator.
    Minimal,
    /// Every metric.
    #[default]
    All,
}

impl MetricSet {
    /// Reads `minimal` or `all`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "minimal" => Some(Self::Minimal),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// The function whose metrics are written, and which of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionMetrics {
    /// Its name, a dimension of every metric, since an account may hold several stacks.
    pub function: String,
    /// The metrics that it writes.
    pub set: MetricSet,
}

impl FunctionMetrics {
    /// Every metric of `function`.
    pub fn all(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            set: MetricSet::All,
        }
    }
}

const BY_FUNCTION: &[&str] = &["FunctionName"];
const BY_SOURCE: &[&str] = &["FunctionName", "Source"];

const SUM: &[&str] = &["Sum"];
const MAXIMUM: &[&str] = &["Maximum"];
const PERCENTILES: &[&str] = &["p50", "p99"];

const RECEIVE: &[(&str, MetricFrequency)] = &[("receive", Continuous)];
const RECEIVE_RARELY: &[(&str, MetricFrequency)] = &[("receive", Occasional)];
const DELIVER: &[(&str, MetricFrequency)] = &[("process", Continuous), ("sweep", Occasional)];
const DELIVER_RARELY: &[(&str, MetricFrequency)] =
    &[("process", Occasional), ("sweep", Occasional)];
const HOLD_RARELY: &[(&str, MetricFrequency)] = &[
    ("receive", Occasional),
    ("process", Occasional),
    ("sweep", Occasional),
];
const SWEEP: &[(&str, MetricFrequency)] = &[("sweep", Continuous)];
const SWEEP_RARELY: &[(&str, MetricFrequency)] = &[("sweep", Occasional)];
const RECONCILE: &[(&str, MetricFrequency)] = &[("reconcile", Continuous)];
const RECONCILE_RARELY: &[(&str, MetricFrequency)] = &[("reconcile", Occasional)];
const SECRETS_RARELY: &[(&str, MetricFrequency)] =
    &[("receive", Occasional), ("reconcile", Occasional)];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $unit:literal, $dimensions:expr, $statistics:expr,
        $writers:expr, $set:ident;)*) => {
        $(pub(crate) static $constant: MetricDefinition = MetricDefinition {
            name: $name,
            unit: $unit,
            dimensions: $dimensions,
            statistics: $statistics,
            writers: $writers,
            set: MetricSet::$set,
        };)*

        /// Every metric.
        pub static METRICS: &[&MetricDefinition] = &[$(&$constant),*];
    };
}

metrics! {
    RECEIVED = "Received", "Count", BY_SOURCE, SUM, RECEIVE, Minimal;
    RECORDED = "Recorded", "Count", BY_SOURCE, SUM, RECEIVE, All;
    DUPLICATE = "Duplicate", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    HELD = "Held", "Count", BY_SOURCE, SUM, HOLD_RARELY, All;
    CONFLICT = "Conflict", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    INVALID_SIGNATURE = "InvalidSignature", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, Minimal;
    NO_SECRET = "NoSecret", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    TOO_LARGE = "TooLarge", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    INBOX_UNAVAILABLE = "InboxUnavailable", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    OTHER_REFUSED = "OtherRefused", "Count", BY_SOURCE, SUM, RECEIVE_RARELY, All;
    ANSWER_TIME = "AnswerTime", "Milliseconds", BY_SOURCE, PERCENTILES, RECEIVE, All;
    RETRIED = "Retried", "Count", BY_SOURCE, SUM, DELIVER_RARELY, All;
    DEAD = "Dead", "Count", BY_SOURCE, SUM, DELIVER_RARELY, All;
    DELIVERED = "Delivered", "Count", BY_FUNCTION, SUM, DELIVER, All;
    REPEAT = "Repeat", "Count", BY_FUNCTION, SUM, DELIVER_RARELY, All;
    DELIVERY_DELAY = "DeliveryDelay", "Milliseconds", BY_FUNCTION, PERCENTILES, DELIVER, All;
    SWEEP_RUN = "SweepRun", "Count", BY_FUNCTION, SUM, SWEEP, Minimal;
    SILENCE_HOURS = "SilenceHours", "None", BY_SOURCE, MAXIMUM, SWEEP, All;
    OLDEST_OPEN_SECONDS = "OldestOpenSeconds", "Seconds", BY_FUNCTION, MAXIMUM, SWEEP_RARELY, All;
    OPEN_ROWS = "OpenRows", "Count", BY_FUNCTION, MAXIMUM, SWEEP_RARELY, All;
    DEAD_ROWS = "DeadRows", "Count", BY_FUNCTION, MAXIMUM, SWEEP_RARELY, All;
    HELD_ROWS = "HeldRows", "Count", BY_FUNCTION, MAXIMUM, SWEEP_RARELY, All;
    CONFLICT_ROWS = "ConflictRows", "Count", BY_FUNCTION, MAXIMUM, SWEEP_RARELY, All;
    SECRET_READ_FAILURE =
        "SecretReadFailure", "Count", BY_FUNCTION, SUM, SECRETS_RARELY, Minimal;
    SECRET_REFUSED = "SecretRefused", "Count", BY_FUNCTION, SUM, SECRETS_RARELY, Minimal;
    RECONCILE_RUN = "ReconcileRun", "Count", BY_FUNCTION, SUM, RECONCILE, All;
    PULLED_MISSED = "PulledMissed", "Count", BY_SOURCE, SUM, RECONCILE_RARELY, All;
    MISSING_EVENTS = "MissingEvents", "Count", BY_SOURCE, SUM, RECONCILE_RARELY, All;
    OLDEST_UNACKNOWLEDGED = "OldestUnacknowledgedSeconds", "Seconds", BY_SOURCE, MAXIMUM,
        RECONCILE_RARELY, All;
    PULL_FAILURES = "PullFailures", "Count", BY_SOURCE, SUM, RECONCILE_RARELY, All;
}

/// The metrics of one line, written as JSON.
pub(crate) struct EmbeddedMetrics {
    /// The dimensions and the values: members of the line.
    members: String,
    /// The names and the units.
    named: String,
    dimensions: &'static [&'static str],
    set: MetricSet,
}

impl EmbeddedMetrics {
    /// Metrics of a function.
    pub(crate) fn of_function(of: &FunctionMetrics) -> Self {
        let mut members = String::from(r#""FunctionName":"#);
        push_json(&mut members, &of.function);
        Self {
            members,
            named: String::new(),
            dimensions: BY_FUNCTION,
            set: of.set,
        }
    }

    /// Metrics of a source in a function.
    pub(crate) fn of_source(function: &FunctionMetrics, source: &SourceName) -> Self {
        let mut metrics = Self::of_function(function);
        metrics.members.push_str(r#","Source":"#);
        push_json(&mut metrics.members, source.as_str());
        metrics.dimensions = BY_SOURCE;
        metrics
    }

    /// Adds one value. A metric with other dimensions, or of a larger set, is left out.
    pub(crate) fn add(&mut self, metric: &MetricDefinition, value: u64) {
        self.insert(metric, value);
    }

    /// Adds one value unless it is zero: a metric costs for each hour in which it has a value.
    pub(crate) fn add_unless_zero(&mut self, metric: &MetricDefinition, value: u64) {
        if value > 0 {
            self.add(metric, value);
        }
    }

    /// Adds the values of several events, as many as a line may hold.
    pub(crate) fn add_all(&mut self, metric: &MetricDefinition, values: &[u64]) {
        let values = values.iter().take(MAX_VALUES).map(u64::to_string);
        self.insert(
            metric,
            format_args!("[{}]", values.collect::<Vec<_>>().join(",")),
        );
    }

    fn insert(&mut self, metric: &MetricDefinition, value: impl Display) {
        debug_assert_eq!(metric.dimensions, self.dimensions, "{}", metric.name);
        if metric.dimensions == self.dimensions && metric.set <= self.set {
            let separator = if self.named.is_empty() { "" } else { "," };
            let MetricDefinition { name, unit, .. } = metric;
            // Writing to a string cannot fail.
            let _ = write!(self.members, r#","{name}":{value}"#);
            let _ = write!(
                self.named,
                r#"{separator}{{"Name":"{name}","Unit":"{unit}"}}"#
            );
        }
    }

    /// The members of a JSON object, up to the timestamp, which [`close`] adds; `None` if there is
    /// no metric.
    pub(crate) fn open_members(self) -> Option<String> {
        let Self {
            members,
            named,
            dimensions,
            ..
        } = self;
        if named.is_empty() {
            return None;
        }
        let dimensions = dimensions.join(r#"",""#);
        Some(format!(
            concat!(
                r#"{},"_aws":{{"CloudWatchMetrics":[{{"Namespace":"{}","#,
                r#""Dimensions":[["{}"]],"Metrics":[{}]}}],"Timestamp":"#
            ),
            members, NAMESPACE, dimensions, named
        ))
    }
}

/// Ends members with the time of their line.
pub(super) fn close(open_members: &str, now: Timestamp) -> String {
    format!("{open_members}{}}}", now.as_millis())
}

/// The members that count one occurrence of the metric `name` in `function`; `None` if there is no
/// such metric, or the function does not write it.
pub(super) fn count_one(name: &str, function: &FunctionMetrics) -> Option<String> {
    let metric = METRICS.iter().find(|metric| metric.name == name)?;
    let mut metrics = EmbeddedMetrics::of_function(function);
    metrics.add(metric, 1);
    metrics.open_members()
}

/// Writes the metrics of reconcile runs to a log that CloudWatch reads, one line for each.
pub struct MetricsWriter {
    function: FunctionMetrics,
    out: Mutex<Box<dyn Write + Send>>,
}

impl MetricsWriter {
    /// A writer of the metrics of `function` to `out`.
    pub fn new(function: FunctionMetrics, out: Box<dyn Write + Send>) -> Self {
        Self {
            function,
            out: Mutex::new(out),
        }
    }

    pub(crate) fn write(&self, records: &[ReconcileRecord], now: Timestamp) {
        let text = lines(records, &self.function, now);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A failed write cannot be logged.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// One line for each record that has metrics.
fn lines(records: &[ReconcileRecord], function: &FunctionMetrics, now: Timestamp) -> String {
    let lines = records.iter().filter_map(|record| {
        let members = of_run(record, function)?.open_members()?;
        // Lambda filters by the level in the line.
        let head = format!(r#"{{"timestamp":"{now}","level":"INFO","message":"metrics""#);
        Some(format!("{head},{}}}\n", close(&members, now)))
    });
    lines.collect()
}

fn of_run(record: &ReconcileRecord, function: &FunctionMetrics) -> Option<EmbeddedMetrics> {
    let source = SourceName::new(&record.source)?;
    let mut metrics = EmbeddedMetrics::of_source(function, &source);
    for sample in record.samples() {
        metrics.add_unless_zero(sample.metric, sample.in_unit());
    }
    Some(metrics)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(source: &str) -> ReconcileRecord {
        ReconcileRecord {
            source: source.to_owned(),
            ..ReconcileRecord::default()
        }
    }

    #[test]
    fn each_record_with_metrics_is_one_line_in_the_embedded_metric_format() {
        let hmrc = ReconcileRecord {
            seen: 9,
            recorded: 3,
            missed_by_push: 3,
            duplicates: 6,
            oldest_unacknowledged: Some(Duration::from_millis(61_999)),
            ..record("hmrc")
        };
        let pay = ReconcileRecord {
            newly_missing: Some(2),
            errors: 1,
            ..record("pay")
        };
        let expected = concat!(
            r#"{"timestamp":"2026-03-02T10:15:31.480Z","level":"INFO","message":"metrics","#,
            r#""FunctionName":"pillarbox-Reconciler-1","Source":"hmrc","PulledMissed":3,"#,
            r#""OldestUnacknowledgedSeconds":61,"_aws":{"CloudWatchMetrics":["#,
            r#"{"Namespace":"Pillarbox","Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"PulledMissed","Unit":"Count"},"#,
            r#"{"Name":"OldestUnacknowledgedSeconds","Unit":"Seconds"}]}],"#,
            r#""Timestamp":1772446531480}}"#,
            "\n",
            r#"{"timestamp":"2026-03-02T10:15:31.480Z","level":"INFO","message":"metrics","#,
            r#""FunctionName":"pillarbox-Reconciler-1","Source":"pay","MissingEvents":2,"#,
            r#""PullFailures":1,"_aws":{"CloudWatchMetrics":["#,
            r#"{"Namespace":"Pillarbox","Dimensions":[["FunctionName","Source"]],"#,
            r#""Metrics":[{"Name":"MissingEvents","Unit":"Count"},"#,
            r#"{"Name":"PullFailures","Unit":"Count"}]}],"#,
            r#""Timestamp":1772446531480}}"#,
            "\n",
        );
        let now = Timestamp::from_millis(1_772_446_531_480);
        let function = FunctionMetrics::all("pillarbox-Reconciler-1");
        let calm = record("hmrc"); // writes nothing
        assert_eq!(lines(&[hmrc, calm, pay], &function, now), expected);
    }

    #[test]
    fn a_function_with_the_minimal_set_writes_no_other_metric() {
        let source = SourceName::new("pay").unwrap();
        for (set, written) in [
            (MetricSet::All, r#""Received":1,"Recorded":1"#),
            (MetricSet::Minimal, r#""Received":1,"_aws""#),
        ] {
            let function = FunctionMetrics {
                function: "f".to_owned(),
                set,
            };
            let mut metrics = EmbeddedMetrics::of_source(&function, &source);
            metrics.add(&RECEIVED, 1);
            metrics.add(&RECORDED, 1);
            let members = metrics.open_members().unwrap();
            assert!(members.contains(written), "{members}");
        }
    }

    #[test]
    fn only_a_known_metric_counts_an_occurrence() {
        let function = FunctionMetrics::all("f");
        assert!(count_one("SecretRefused", &function).is_some());
        assert!(count_one("NoSuchMetric", &function).is_none());
    }
}
