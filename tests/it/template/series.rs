//! The series that alarms and the dashboard may name: ours, from the table of metrics, and those of
//! AWS. Any other would never have a value.

use std::collections::BTreeSet;

use pillarbox::telemetry::{METRICS, NAMESPACE};

/// A series and one statistic of it. `None` for a unit that is not named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesStatistic {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) dimensions: Vec<String>,
    pub(crate) statistic: String,
    pub(crate) unit: Option<String>,
}

type KnownSeries = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    Option<&'static str>,
);

const SUM: &[&str] = &["Sum"];
const MAXIMUM: &[&str] = &["Maximum"];
const PERCENTILES: &[&str] = &["p50", "p99"];
const API: &[&str] = &["ApiId", "Stage"];
const REST_API: &[&str] = &["ApiName", "Stage"];
const FUNCTION: &[&str] = &["FunctionName"];

/// AWS's own: namespace, metric, dimensions, statistics that mean something, unit.
const OF_AWS: &[KnownSeries] = &[
    ("AWS/ApiGateway", "5xx", API, SUM, Some("Count")),
    (
        "AWS/ApiGateway",
        "Latency",
        API,
        PERCENTILES,
        Some("Milliseconds"),
    ),
    ("AWS/ApiGateway", "5XXError", REST_API, SUM, Some("Count")),
    (
        "AWS/ApiGateway",
        "Latency",
        REST_API,
        PERCENTILES,
        Some("Milliseconds"),
    ),
    ("AWS/Lambda", "Url5xxCount", FUNCTION, SUM, Some("Count")),
    (
        "AWS/Lambda",
        "UrlRequestLatency",
        FUNCTION,
        PERCENTILES,
        Some("Milliseconds"),
    ),
    ("AWS/Lambda", "Errors", FUNCTION, SUM, Some("Count")),
    ("AWS/Lambda", "Throttles", FUNCTION, SUM, Some("Count")),
    (
        "AWS/Lambda",
        "IteratorAge",
        FUNCTION,
        MAXIMUM,
        Some("Milliseconds"),
    ),
    (
        "AWS/Lambda",
        "ConcurrentExecutions",
        FUNCTION,
        MAXIMUM,
        Some("Count"),
    ),
    (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        &["TableName"],
        SUM,
        Some("Count"),
    ),
    (
        "AWS/DynamoDB",
        "WriteThrottleEvents",
        &["TableName", "GlobalSecondaryIndexName"],
        SUM,
        Some("Count"),
    ),
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &["QueueName"],
        MAXIMUM,
        Some("Count"),
    ),
    ("AWS/Lambda", "Invocations", FUNCTION, SUM, Some("Count")),
    (
        "AWS/Logs",
        "IncomingLogEvents",
        &["LogGroupName"],
        SUM,
        None,
    ),
    (
        "AWS/CertificateManager",
        "DaysToExpiry",
        &["CertificateArn"],
        &["Minimum"],
        None,
    ),
];

fn is_known(
    series: &SeriesStatistic,
    (namespace, name, dimensions, statistics, unit): &KnownSeries,
    unit_is_named: bool,
) -> bool {
    (series.namespace.as_str(), series.name.as_str()) == (namespace, name)
        && series.dimensions == *dimensions
        && statistics.contains(&series.statistic.as_str())
        && (!unit_is_named || series.unit.as_deref() == *unit)
}

fn ours() -> impl Iterator<Item = KnownSeries> {
    METRICS.iter().map(|metric| {
        let unit = Some(metric.unit);
        (
            NAMESPACE,
            metric.name,
            metric.dimensions,
            metric.statistics,
            unit,
        )
    })
}

/// Fails unless the series exists. A widget of a dashboard names no unit.
pub(crate) fn assert_exists(series: &SeriesStatistic, unit_is_named: bool, place: &str) {
    let mut known = OF_AWS.iter().copied().chain(ours());
    assert!(
        known.any(|known| is_known(series, &known, unit_is_named)),
        "{place}: invalid series {series:?}"
    );
}

/// Fails if a series of AWS is known here and named nowhere.
pub(crate) fn assert_all_of_aws_are_in(named: &BTreeSet<SeriesStatistic>) {
    for known in OF_AWS {
        let is_named = named.iter().any(|series| is_known(series, known, false));
        assert!(is_named, "{known:?} is named nowhere");
    }
}
