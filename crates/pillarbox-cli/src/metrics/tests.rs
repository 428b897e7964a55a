//! Scrapes, which have the same metrics as CloudWatch.

use std::{collections::BTreeSet, time::Duration};

use tracing_subscriber::prelude::*;

use super::*;

/// A source name with the greatest length and unusual characters.
const ODD_NAME: &str = "a--0-abcdefghijklmnopqrstuvwxyz-";

fn name(source: &str) -> SourceName {
    SourceName::new(source).unwrap()
}

/// The lines of a scrape that show a value.
fn values(metrics: &ServeMetrics) -> Vec<String> {
    let (media_type, text) = metrics.expose();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Fails unless a scrape has these lines.
fn assert_shown(metrics: &ServeMetrics, lines: &[&str]) {
    let shown = values(metrics);
    for line in lines {
        assert!(shown.contains(&(*line).to_owned()), "{line}: {shown:#?}");
    }
}

#[test]
fn a_name_is_that_of_cloudwatch_in_snake_case_with_its_unit_last() {
    let metric = |name: &str| *METRICS.iter().find(|metric| metric.name == name).unwrap();
    for (cloudwatch, prometheus) in [
        ("Received", "pillarbox_received_total{source}"),
        (
            "InvalidSignature",
            "pillarbox_invalid_signature_total{source}",
        ),
        ("AnswerTime", "pillarbox_answer_time_seconds{source}"),
        ("DeliveryDelay", "pillarbox_delivery_delay_seconds{source}"),
        ("SweepRun", "pillarbox_sweep_run_total"),
        ("SilenceHours", "pillarbox_silence_hours{source}"),
        ("DeadRows", "pillarbox_dead_rows"),
        (
            "OldestUnacknowledgedSeconds",
            "pillarbox_oldest_unacknowledged_seconds{source}",
        ),
    ] {
        assert_eq!(prometheus_name(metric(cloudwatch)), prometheus);
    }
}

#[test]
fn a_scrape_has_every_metric_of_cloudwatch_under_its_name_and_no_other() {
    let metrics = ServeMetrics::new();
    assert_eq!(values(&metrics), Vec::<String>::new());
    metrics.declare(&[name("pay")]);
    for metric in METRICS {
        let sample = match metric.unit {
            "Milliseconds" => MetricSample::time(metric, Duration::from_millis(1)),
            _ => MetricSample::count(metric, 1),
        };
        metrics.add(Some(&name("pay")), &[sample]);
    }
    let shown: BTreeSet<String> = values(&metrics)
        .iter()
        .map(|line| {
            let (series, _) = line.split_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name);
            let of_source = if labels.contains("source=\"pay\"") {
                "{source}"
            } else {
                ""
            };
            format!("{name}{of_source}")
        })
        .collect();
    let expected = METRICS.iter().map(|metric| prometheus_name(metric));
    assert_eq!(shown, expected.collect());
}

#[test]
fn counters_are_zero_for_each_source_before_the_first_event() {
    let metrics = ServeMetrics::new();
    metrics.declare(&[name("pay"), name(ODD_NAME)]);
    let lines = [
        "pillarbox_dead_total{source=\"pay\"} 0",
        "pillarbox_dead_total{source=\"a--0-abcdefghijklmnopqrstuvwxyz-\"} 0",
        "pillarbox_answer_time_seconds_count{source=\"pay\"} 0",
        "pillarbox_sweep_run_total 0",
    ];
    assert_shown(&metrics, &lines);
}

#[test]
fn answer_times_are_counted_in_buckets_at_the_senders_limits() {
    let metrics = ServeMetrics::new();
    for millis in [1, 2_400, 2_700, 9_000] {
        let mut record = RequestRecord::default();
        record.source = Some(name("pay"));
        record.outcome = "recorded";
        record.took = Some(Duration::from_millis(millis));
        metrics.count_request(&record);
    }
    let lines = [
        "pillarbox_received_total{source=\"pay\"} 4",
        "pillarbox_recorded_total{source=\"pay\"} 4",
        "pillarbox_answer_time_seconds_bucket{source=\"pay\",le=\"2.5\"} 2",
        "pillarbox_answer_time_seconds_bucket{source=\"pay\",le=\"3\"} 3",
        "pillarbox_answer_time_seconds_bucket{source=\"pay\",le=\"+Inf\"} 4",
    ];
    assert_shown(&metrics, &lines);
}

#[test]
fn only_log_events_that_name_a_metric_are_counted() {
    let metrics = ServeMetrics::new();
    metrics.declare(&[]);
    let layer = CountedFailures(Arc::clone(&metrics));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::error!(
            source = "pay",
            metric = "SecretRefused",
            "a secret cannot be used"
        );
        tracing::error!(metric = None::<&str>, "a secret cannot be used");
        tracing::error!(
            metric = "NoSuchMetric",
            reason = "SecretReadFailure",
            "any other"
        );
    });
    let lines = [
        "pillarbox_secret_refused_total 1",
        "pillarbox_secret_read_failure_total 0",
    ];
    assert_shown(&metrics, &lines);
}

#[test]
fn the_metrics_document_has_both_names_of_each_metric() {
    let document = include_str!("../../../../docs/metrics.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<(String, String)> = rows
        .map(|row| {
            let code: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
            let [cloudwatch, .., prometheus] = code[..] else {
                panic!("{row}")
            };
            (cloudwatch.to_owned(), prometheus.to_owned())
        })
        .collect();
    let names = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), prometheus_name(metric)));
    assert_eq!(documented, names.collect());
}

#[test]
fn answer_times_are_read_from_a_scrape() {
    let metrics = ServeMetrics::new();
    metrics.declare(&[name("pay")]);
    let times = [1, 4, 4, 40, 2_400, 9_000];
    for millis in times {
        let mut record = RequestRecord::default();
        record.source = Some(name("pay"));
        record.took = Some(Duration::from_millis(millis));
        metrics.count_request(&record);
    }
    let [pay] = &metrics.answer_times()[..] else {
        panic!("one source");
    };
    assert_eq!((pay.source.as_str(), pay.answers()), ("pay", 6));
    let counted = pay.buckets.iter().filter(|(_, count)| *count > 0);
    let counted: Vec<_> = counted
        .map(|(bound, count)| (bound.as_str(), *count))
        .collect();
    assert_eq!(
        counted,
        [
            ("0.001", 1),
            ("0.005", 2),
            ("0.05", 1),
            ("2.5", 1),
            ("+Inf", 1)
        ]
    );
}
