//! Reads the metrics in a log line as CloudWatch reads its embedded metric format.

use pillarbox::domain::Timestamp;
use serde_json::Value;

use super::{MetricSeries, MetricStore};

/// Puts the metrics of a line into the store, and returns the number of values. `at` maps the time
/// of the line, so that a test can move it.
///
/// # Panics
/// If CloudWatch would drop the metrics of the line silently.
pub fn read_line(
    line: &str,
    store: &mut MetricStore,
    at: impl Fn(Timestamp) -> Timestamp,
) -> usize {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return 0;
    };
    let Some(metadata) = line.get("_aws") else {
        return 0;
    };
    let time = metadata["Timestamp"].as_i64().expect("milliseconds");
    let time = at(Timestamp::from_millis(time));
    let mut count = 0;
    for directive in metadata["CloudWatchMetrics"]
        .as_array()
        .expect("directives")
    {
        let namespace = text(&directive["Namespace"]);
        for dimensions in directive["Dimensions"].as_array().expect("dimension sets") {
            let names = dimensions
                .as_array()
                .expect("a dimension set")
                .iter()
                .map(text);
            let dimensions = names
                .map(|name| (name.to_owned(), text(&line[name]).to_owned()))
                .collect();
            for metric in directive["Metrics"].as_array().expect("metrics") {
                let (name, unit) = (text(&metric["Name"]), text(&metric["Unit"]));
                let series = MetricSeries {
                    namespace: namespace.to_owned(),
                    metric: name.to_owned(),
                    dimensions: Clone::clone(&dimensions),
                };
                for value in values(&line[name]) {
                    store.put(series.clone(), time, value, unit);
                    count += 1;
                }
            }
        }
    }
    count
}

/// One number, or up to a hundred.
fn values(member: &Value) -> Vec<f64> {
    let number = |value: &Value| {
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{value} is not a number"))
    };
    match member {
        Value::Array(values) => {
            assert!((1..=100).contains(&values.len()), "{member}");
            values.iter().map(number).collect()
        }
        value => vec![number(value)],
    }
}

fn text(value: &Value) -> &str {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not text"));
    assert!((1..=1024).contains(&text.len()), "{text}");
    text
}
