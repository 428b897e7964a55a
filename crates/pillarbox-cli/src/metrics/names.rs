//! The names of metrics on CloudWatch -> their names and kinds in Prometheus' format.
//!
//! Both formats have one table, [`METRICS`](pillarbox::telemetry::METRICS), and one meaning. The
//! rule for the names is here alone, and `docs/metrics.md` lists its results.

use std::fmt::Write as _;

use pillarbox::telemetry::MetricDefinition;

/// Metrics that CloudWatch has for a whole function, because a line of its log has one source, and
/// that `serve` has for each source.
const ALSO_BY_SOURCE: [&str; 3] = ["Delivered", "DeliveryDelay", "Repeat"];

/// The kind of a metric in Prometheus' format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// Events, counted since the start.
    Counter,
    /// A state at one time.
    Gauge,
    /// A duration for each event.
    Histogram,
}

impl MetricKind {
    /// A time in milliseconds belongs to an event; rows, and ages in seconds or hours, are a state.
    pub(super) fn of(metric: &MetricDefinition) -> Self {
        let is_state = ["Rows", "Seconds", "Hours"]
            .iter()
            .any(|unit| metric.name.ends_with(unit));
        match metric.unit {
            "Milliseconds" => Self::Histogram,
            _ if is_state => Self::Gauge,
            _ => Self::Counter,
        }
    }
}

/// The name under which a metric is registered: in snake case, the unit last. The format adds
/// `_total` to a counter.
pub(super) fn registered_name(metric: &MetricDefinition) -> String {
    let mut name = "pillarbox".to_owned();
    for character in metric.name.chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    if MetricKind::of(metric) == MetricKind::Histogram {
        name.push_str("_seconds");
    }
    name
}

/// Whether each source has a series.
pub(super) fn is_by_source(metric: &MetricDefinition) -> bool {
    metric.dimensions.contains(&"Source") || ALSO_BY_SOURCE.contains(&metric.name)
}

/// A metric as a query names it: `pillarbox_received_total{source}`.
pub fn prometheus_name(metric: &MetricDefinition) -> String {
    let mut name = registered_name(metric);
    if MetricKind::of(metric) == MetricKind::Counter {
        name.push_str("_total");
    }
    if is_by_source(metric) {
        let _ = write!(name, "{{source}}");
    }
    name
}
