//! Datapoints by series, and their statistics.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pillarbox::domain::Timestamp;

/// The identity of a metric in CloudWatch, without its unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricSeries {
    pub namespace: String,
    pub metric: String,
    pub dimensions: BTreeMap<String, String>,
}

pub fn series(namespace: &str, metric: &str, dimensions: &[(&str, &str)]) -> MetricSeries {
    let dimensions = dimensions.iter();
    MetricSeries {
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: dimensions
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

#[derive(Clone, Debug)]
struct MetricDatapoint {
    at: Timestamp,
    value: f64,
    unit: String,
}

/// Every datapoint so far.
#[derive(Clone, Debug, Default)]
pub struct MetricStore(BTreeMap<MetricSeries, Vec<MetricDatapoint>>);

impl MetricStore {
    pub fn put(&mut self, series: MetricSeries, at: Timestamp, value: f64, unit: &str) {
        let points = self.0.entry(series).or_default();
        let place = points.partition_point(|point| point.at <= at);
        let point = MetricDatapoint {
            at,
            value,
            unit: unit.to_owned(),
        };
        points.insert(place, point);
    }

    /// Every series that has a datapoint.
    pub fn series(&self) -> BTreeSet<&MetricSeries> {
        self.0.keys().collect()
    }

    /// The values of a series in the period that ends before `end`, oldest first. With a unit, only
    /// those in that unit.
    pub fn values(
        &self,
        series: &MetricSeries,
        unit: Option<&str>,
        (end, period): (Timestamp, Duration),
    ) -> Vec<f64> {
        let Some(points) = self.0.get(series) else {
            return Vec::new();
        };
        let begin = end.minus(period);
        let first = points.partition_point(|point| point.at < begin);
        let last = points.partition_point(|point| point.at < end);
        let within = points[first..last].iter();
        let matching = within.filter(|point| unit.is_none_or(|unit| point.unit == unit));
        matching.map(|point| point.value).collect()
    }
}

/// A statistic over the values of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricStatistic {
    Sum,
    Maximum,
    Minimum,
    Average,
    SampleCount,
    /// With its percentage.
    Percentile(f64),
}

impl MetricStatistic {
    pub fn parse(name: &str) -> Self {
        match name {
            "Sum" => Self::Sum,
            "Maximum" => Self::Maximum,
            "Minimum" => Self::Minimum,
            "Average" => Self::Average,
            "SampleCount" => Self::SampleCount,
            _ => {
                let percent = name
                    .strip_prefix('p')
                    .and_then(|digits| digits.parse().ok());
                Self::Percentile(percent.unwrap_or_else(|| panic!("invalid statistic {name}")))
            }
        }
    }

    /// The datapoint of these values; `None` if there are none, because it is missing.
    pub fn of(self, values: &[f64]) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        Some(match self {
            Self::Sum => sum,
            Self::Maximum => values.iter().copied().fold(f64::MIN, f64::max),
            Self::Minimum => values.iter().copied().fold(f64::MAX, f64::min),
            Self::Average => sum / count,
            Self::SampleCount => count,
            Self::Percentile(percent) => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                let rank = (percent / 100.0 * count).ceil().clamp(1.0, count);
                sorted[rank as usize - 1]
            }
        })
    }
}
