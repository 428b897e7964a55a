//! The metrics of `serve`, in Prometheus' text format.
//!
//! They are the metrics of the function, under the same names ([`prometheus_name`]). On every
//! platform, `telemetry` turns the record of a request, an attempt or a reconcile run into samples.
//! The only label is the `SourceName` of a configured source, so that no text of a sender can
//! become a label. Counting is an atomic addition, so neither counting nor a scrape delays a
//! request.

mod answer_times;
mod counted_failures;
mod gauges;
mod names;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use prometheus_client::{
    encoding::prometheus_text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use answer_times::AnswerTimes;
pub(crate) use counted_failures::CountedFailures;
use gauges::GaugeReader;
pub use names::prometheus_name;
use names::{MetricKind, is_by_source, registered_name};
use pillarbox::{
    domain::{Clock, SourceName},
    inbox::DeliveryInbox,
    telemetry::{
        AttemptRecord, METRICS, MetricDefinition, MetricSample, MetricValue, ReconcileRecord,
        RequestRecord,
    },
};

/// The bounds of answer times in seconds. GOV.UK Pay gives up after 3 s, and recording fails after
/// 2.3 s.
const ANSWER_SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 3.0,
];
/// The bounds of delivery delays in seconds, up to the budget of retries.
const DELAY_SECONDS: [f64; 13] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 259_200.0,
];

/// The gauges that a reconcile run sets; the others are of the inbox.
const RECONCILE_GAUGES: [&str; 1] = ["OldestUnacknowledgedSeconds"];

/// No label, or the source.
type MetricLabels = Vec<(&'static str, String)>;
type HistogramFamily = Family<MetricLabels, Histogram, fn() -> Histogram>;

/// The metrics of one process.
pub struct ServeMetrics {
    registry: Registry,
    counters: HashMap<&'static str, Family<MetricLabels, Counter>>,
    gauges: HashMap<&'static str, Family<MetricLabels, Gauge>>,
    histograms: HashMap<&'static str, HistogramFamily>,
    inbox: OnceLock<GaugeReader>,
}

impl ServeMetrics {
    /// Creates metrics without values.
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::default(),
            counters: HashMap::new(),
            gauges: HashMap::new(),
            histograms: HashMap::new(),
            inbox: OnceLock::new(),
        };
        for metric in METRICS {
            metrics.register(metric);
        }
        Arc::new(metrics)
    }

    /// Sets the counters and histograms of each of `sources` to 0, so that the first event shows as
    /// an increase.
    pub fn declare(&self, sources: &[SourceName]) {
        let by_source: Vec<MetricLabels> = sources.iter().map(|name| labels(Some(name))).collect();
        for metric in METRICS {
            let labels = match is_by_source(metric) {
                true => &by_source[..],
                false => &[MetricLabels::new()],
            };
            for labels in labels {
                if let Some(counter) = self.counters.get(metric.name) {
                    drop(counter.get_or_create(labels));
                }
                if let Some(histogram) = self.histograms.get(metric.name) {
                    drop(histogram.get_or_create(labels));
                }
            }
        }
    }

    /// Adds the gauges of `inbox` to every scrape.
    pub fn watch<I: DeliveryInbox>(
        &self,
        inbox: &Arc<I>,
        sources: &[SourceName],
        clock: Arc<dyn Clock>,
    ) {
        let reader = GaugeReader::new(inbox, sources.into(), clock);
        // Called once a process; a second inbox would not be the one that is served.
        let _ = self.inbox.set(reader);
    }

    fn register(&mut self, metric: &'static MetricDefinition) {
        let name = registered_name(metric);
        let help = format!("{} on CloudWatch; see docs/metrics.md", metric.name);
        match MetricKind::of(metric) {
            MetricKind::Counter => {
                let family = Family::<MetricLabels, Counter>::default();
                self.registry.register(name, help, family.clone());
                self.counters.insert(metric.name, family);
            }
            MetricKind::Gauge => {
                let family = Family::<MetricLabels, Gauge>::default();
                self.registry.register(name, help, family.clone());
                self.gauges.insert(metric.name, family);
            }
            MetricKind::Histogram => {
                let histogram: fn() -> Histogram = match metric.name {
                    "AnswerTime" => || Histogram::new(ANSWER_SECONDS),
                    _ => || Histogram::new(DELAY_SECONDS),
                };
                let family = HistogramFamily::new_with_constructor(histogram);
                self.registry.register(name, help, family.clone());
                self.histograms.insert(metric.name, family);
            }
        }
    }

    /// Counts a request.
    pub fn count_request(&self, record: &RequestRecord) {
        self.add(record.source.as_ref(), &record.samples());
    }

    /// Counts an attempt to deliver.
    pub fn count_attempt(&self, record: &AttemptRecord) {
        self.add(
            SourceName::new(record.key.source()).as_ref(),
            &record.samples(),
        );
    }

    /// Counts a reconcile run and what it found.
    pub fn count_run(&self, record: &ReconcileRecord) {
        self.add(None, &[MetricSample::RUN]);
        self.add(SourceName::new(&record.source).as_ref(), &record.samples());
    }

    /// Adds to counters and histograms, and sets gauges.
    pub fn add(&self, source: Option<&SourceName>, samples: &[MetricSample]) {
        for sample in samples {
            let name = sample.metric.name;
            let labels = labels(source.filter(|_| is_by_source(sample.metric)));
            if let Some(counter) = self.counters.get(name) {
                counter.get_or_create(&labels).inc_by(sample.in_unit());
            }
            if let Some(gauge) = self.gauges.get(name) {
                let value = i64::try_from(sample.in_unit()).unwrap_or(i64::MAX);
                gauge.get_or_create(&labels).set(value);
            }
            if let (Some(histogram), MetricValue::Time(time)) =
                (self.histograms.get(name), sample.value)
            {
                histogram.get_or_create(&labels).observe(time.as_secs_f64());
            }
        }
    }

    fn forget_gauges(&self) {
        let of_inbox = |(name, _): &(&&str, _)| !RECONCILE_GAUGES.contains(*name);
        self.gauges
            .iter()
            .filter(of_inbox)
            .for_each(|(_, gauge)| gauge.clear());
    }

    /// The values for a scrape, and the media type of the text.
    pub async fn scrape(&self) -> (&'static str, String) {
        if let Some(inbox) = self.inbox.get() {
            inbox.refresh(self).await;
        }
        self.expose()
    }

    /// How long the answers to each source's requests took, since the process started.
    pub fn answer_times(&self) -> Vec<AnswerTimes> {
        AnswerTimes::read(&self.expose().1)
    }

    fn expose(&self) -> (&'static str, String) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        (prometheus_text::CONTENT_TYPE, text)
    }
}

/// The metrics that count refused requests.
const REFUSED: [&str; 5] = [
    "InvalidSignature",
    "NoSecret",
    "TooLarge",
    "InboxUnavailable",
    "OtherRefused",
];

/// The number of refused requests in the text of a scrape; `None` if the text has no such counter.
pub fn refused_requests(scraped: &str) -> Option<u64> {
    let metrics = METRICS
        .iter()
        .filter(|metric| REFUSED.contains(&metric.name));
    let names: Vec<String> = metrics
        .map(|metric| format!("{}_total{{", registered_name(metric)))
        .collect();
    let values = scraped.lines().filter_map(|line| {
        names.iter().find(|name| line.starts_with(name.as_str()))?;
        let (_, value) = line.rsplit_once(' ')?;
        value.parse::<u64>().ok()
    });
    values.reduce(|sum, value| sum.saturating_add(value))
}

fn labels(source: Option<&SourceName>) -> MetricLabels {
    source
        .map(|source| vec![("source", source.as_str().to_owned())])
        .unwrap_or_default()
}
