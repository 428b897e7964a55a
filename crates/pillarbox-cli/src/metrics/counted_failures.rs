//! Failures that are counted where they are logged.
//!
//! A module that knows no metrics, such as the keyring, names one in the field `metric` of its log
//! event. On Lambda the line holds the metric; here a layer beside the log counts it.

use std::{fmt, sync::Arc};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::ServeMetrics;
use pillarbox::telemetry::{COUNTED_FIELD, METRICS, MetricSample};

/// A layer that counts log events.
pub(crate) struct CountedFailures(pub(crate) Arc<ServeMetrics>);

impl<S: Subscriber> Layer<S> for CountedFailures {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut MetricVisitor(&self.0));
    }
}

struct MetricVisitor<'a>(&'a ServeMetrics);

impl Visit for MetricVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == COUNTED_FIELD
            && let Some(metric) = METRICS.iter().find(|metric| metric.name == value)
        {
            self.0.add(None, &[MetricSample::count(metric, 1)]);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
