//! What the log lines of one notification, and the metrics in them, cost beside the rest of what
//! it costs. docs/metrics.md states the same figures.

#![allow(
    clippy::float_arithmetic,
    reason = "prices are compared and printed, and nothing depends on a rounding"
)]

use std::sync::Arc;

use pillarbox::telemetry::{FunctionMetrics, LogFormat, LogLayer};
use serde_json::Value;

use test_support::{
    fronts::{LambdaFront, batch},
    function::{DeployedFunction, post},
    log_buffer::{LogBuffer, listen_with},
    message::{hmrc, pay},
    repository,
    server::{FixedClock, NOW},
};

/// USD for each byte of the logs in eu-west-2.
const BYTE: f64 = 0.5985e-9;
/// USD for a million notifications, as docs/deploy.md states it: rows of 1 KB at most, and longer.
const PRICES: [(&str, f64); 4] = [
    ("HMRC, row of 1 KB at most", 6.48),
    ("GOV.UK Pay, row of 1 KB at most", 7.22),
    ("HMRC, row of 1 to 2 KB", 8.71),
    ("GOV.UK Pay, row of 1 to 2 KB", 9.45),
];
/// The length of both lines of a notification, and that of the metrics in them, at most.
const LINES: usize = 1_450;
const METRICS: usize = 680;
/// As long as CloudFormation makes it of a stack's name.
const FUNCTION: &str = "pillarbox-production-Receive-1ABCDEFGHIJKL";

/// The line without its metrics.
fn without_metrics(line: &Value) -> Value {
    let mut line = line.clone();
    let fields = line.as_object_mut().unwrap();
    fields.retain(|name, _| name.starts_with(|c: char| c.is_ascii_lowercase()));
    line
}

fn bytes(line: &Value) -> usize {
    line.to_string().len() + 1
}

/// The share of this number of bytes in the price of a notification, in percent.
fn share(bytes: usize, price: f64) -> f64 {
    100.0 * bytes as f64 * BYTE * 1e6 / price
}

#[tokio::test]
async fn a_notification_writes_two_lines_of_a_bounded_length() {
    let mut deployed = DeployedFunction::new();
    let metrics = FunctionMetrics::all(FUNCTION);
    deployed.function = deployed.function.with_metrics(metrics, Vec::new());
    let kept = LogBuffer::default();
    let lines = LogLayer::direct(kept.clone(), LogFormat::Json, Arc::new(FixedClock));
    let _listening = listen_with(lines);
    for source in [hmrc(), pay()] {
        let id = "50dca3fc-c37c-4f03-b719-63571333624c";
        deployed
            .send(
                LambdaFront::HttpApi,
                &post(&source, source.message(id, NOW)),
            )
            .await;
        let key = format!("{}:{id}", source.name);
        let records = batch(&[(key.as_str(), "recorded")]);
        deployed.invoke(&records).await.unwrap();
        let lines = kept.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let all: usize = lines.iter().map(bytes).sum();
        let plain: usize = lines
            .iter()
            .map(without_metrics)
            .map(|line| bytes(&line))
            .sum();
        assert!(all <= LINES && all - plain <= METRICS, "{all} {plain}");
    }
}

#[test]
fn the_metrics_in_the_lines_are_less_than_a_tenth_of_what_a_notification_costs() {
    let document = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    for (case, price) in PRICES {
        let metrics = share(METRICS, price);
        assert!(metrics <= 10.0, "{case}: {metrics}");
        let lines = share(LINES, price);
        let row = format!("| {case} | ${price:.2} | {lines:.1} % | {metrics:.1} % |");
        assert!(document.contains(&row), "{row}");
    }
}
