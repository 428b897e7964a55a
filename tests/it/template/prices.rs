//! What the metrics and the alarms cost, from the table of metrics and the template, and that
//! docs/metrics.md states the same figures.

#![allow(
    clippy::float_arithmetic,
    reason = "prices are compared and printed, and nothing depends on a rounding"
)]

use std::collections::BTreeSet;

use pillarbox::telemetry::{METRICS, MetricDefinition, MetricFrequency, MetricSet};
use test_support::repository;

use super::{PULLING, TemplateStack, alarms};

/// USD a month in eu-west-2, for a metric that has a value in every hour.
const METRIC: f64 = 0.30;
/// The same for each metric that an alarm reads.
const ALARM: f64 = 0.10;
/// The share of hours in which something is unusual.
const UNUSUAL: f64 = 0.05;
/// The sources of the template.
const SOURCES: u32 = 2;

/// How many series a metric makes, of those that `frequency` describes.
fn series(metric: &MetricDefinition, frequency: MetricFrequency) -> u32 {
    let writers = metric.writers.iter().filter(|(_, of)| *of == frequency);
    let writers = u32::try_from(writers.count()).unwrap();
    let is_by_source = metric.dimensions.contains(&"Source");
    writers * if is_by_source { SOURCES } else { 1 }
}

/// The series of a set that always have a value, and those that seldom do.
fn count(set: MetricSet) -> (u32, u32) {
    let metrics = || METRICS.iter().filter(|metric| metric.set <= set);
    let sum = |frequency| metrics().map(|metric| series(metric, frequency)).sum();
    (
        sum(MetricFrequency::Continuous),
        sum(MetricFrequency::Occasional),
    )
}

fn price_of_metrics(set: MetricSet) -> f64 {
    let (continuous, occasional) = count(set);
    METRIC * (f64::from(continuous) + UNUSUAL * f64::from(occasional))
}

/// The metrics that the alarms of a stack read, each as often as an alarm reads it.
fn alarm_metrics(given: &[(&str, &str)]) -> u32 {
    let stack = TemplateStack::with(given);
    let alarms = alarms::by_name(&stack).into_values();
    u32::try_from(
        alarms
            .map(|alarm| alarms::watched(&alarm).len())
            .sum::<usize>(),
    )
    .unwrap()
}

#[test]
fn all_metrics_of_two_sources_cost_at_most_six_dollars_a_month_and_minimal_alarms_two() {
    let all = price_of_metrics(MetricSet::All);
    assert!(all <= 6.0, "{all}");
    let minimal = price_of_metrics(MetricSet::Minimal)
        + ALARM * f64::from(alarm_metrics(&[("MinimalAlarms", "true")]));
    assert!(minimal <= 2.0, "{minimal}");
}

#[test]
fn the_document_lists_every_metric_and_no_other() {
    let document = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<String> = rows
        .map(|row| row.split(" | ").take(5).collect::<Vec<_>>().join(" | "))
        .collect();
    let written = METRICS.iter().map(|metric| {
        let (dimensions, statistics) = (metric.dimensions.join(", "), metric.statistics.join(", "));
        let writers = metric
            .writers
            .iter()
            .map(|(role, frequency)| match frequency {
                MetricFrequency::Continuous => format!("**{role}**"),
                MetricFrequency::Occasional => (*role).to_owned(),
            });
        let writers = writers.collect::<Vec<_>>().join(", ");
        format!(
            "| `{}` | {} | {dimensions} | {statistics} | {writers}",
            metric.name, metric.unit
        )
    });
    assert_eq!(documented, written.collect());
}

#[test]
fn the_document_states_these_prices() {
    let document = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let mut rows = Vec::new();
    for (name, set, parameters) in [
        (
            "with `MinimalAlarms=true`",
            MetricSet::Minimal,
            &[("MinimalAlarms", "true")][..],
        ),
        ("the default", MetricSet::All, &[]),
        (
            "with `Reconcile` and both silence alarms",
            MetricSet::All,
            &{
                let silence = [("HmrcSilenceHours", "96"), ("PaySilenceHours", "24")];
                [PULLING, silence].concat()
            },
        ),
    ] {
        let ((continuous, occasional), alarms) = (count(set), alarm_metrics(parameters));
        let (metrics, read) = (price_of_metrics(set), ALARM * f64::from(alarms));
        let worst = METRIC * f64::from(continuous + occasional) + read;
        rows.push(format!(
            "| {name} | {continuous} | {occasional} | ${metrics:.2} | {alarms} | ${read:.2} | \
             ${:.2} | ${worst:.2} |",
            metrics + read
        ));
    }
    let missing: Vec<_> = rows.iter().filter(|row| !document.contains(*row)).collect();
    assert_eq!(
        missing,
        Vec::<&String>::new(),
        "docs/metrics.md has other prices"
    );
}
