//! A metric alarm of an expanded template, and its states.

use std::{collections::BTreeMap, fmt, time::Duration};

use pillarbox::domain::Timestamp;
use serde_json::Value;

use super::{
    EVALUATION_INTERVAL, MathExpression, MetricSeries, MetricStatistic, MetricStore,
    expression::PeriodValues,
};

/// The periods that CloudWatch reads beyond the evaluation periods, in case some are missing. AWS
/// documents no number; its example has two.
const EXTRA_PERIODS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    Ok,
    Alarm,
    InsufficientData,
}

impl fmt::Display for AlarmState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        })
    }
}

/// How a period without a datapoint counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingData {
    Breaching,
    NotBreaching,
    Ignore,
    Missing,
}

#[derive(Clone, Debug)]
struct MetricQuery {
    series: MetricSeries,
    unit: Option<String>,
    statistic: MetricStatistic,
}

#[derive(Clone, Debug)]
enum AlarmInput {
    Metric(MetricQuery),
    Math {
        queries: BTreeMap<String, MetricQuery>,
        /// In the order in which each can be evaluated.
        expressions: Vec<(String, MathExpression)>,
        returned: String,
    },
}

/// An alarm.
#[derive(Clone, Debug)]
pub struct MetricAlarm {
    /// Its logical id in the template.
    pub id: String,
    pub name: String,
    pub description: String,
    input: AlarmInput,
    period: Duration,
    evaluation_periods: usize,
    datapoints_to_alarm: usize,
    comparison: String,
    threshold: f64,
    missing: MissingData,
}

/// The properties that this reader knows, or that do not affect the state of an alarm.
const PROPERTIES: &[&str] = &[
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "AlarmName",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Tags",
    "Threshold",
    "TreatMissingData",
    "Unit",
];

impl MetricAlarm {
    /// Reads the properties of an alarm whose functions are resolved.
    ///
    /// # Panics
    /// If CloudWatch would refuse them, or this reader does not know one of them.
    pub fn read(id: &str, properties: &Value) -> Self {
        for name in properties.as_object().unwrap().keys() {
            assert!(PROPERTIES.contains(&name.as_str()), "{id}: {name}");
        }
        let text = |name: &str| properties[name].as_str().unwrap_or_default().to_owned();
        let evaluation_periods = count(&properties["EvaluationPeriods"]).unwrap();
        let (input, period) = match properties.get("Metrics") {
            Some(metrics) => math(id, metrics.as_array().unwrap()),
            None => {
                let statistic = ["Statistic", "ExtendedStatistic"]
                    .iter()
                    .find_map(|name| properties[*name].as_str());
                let query = query(properties, properties, statistic.unwrap());
                (AlarmInput::Metric(query), &properties["Period"])
            }
        };
        let period = Duration::from_secs(count(period).unwrap() as u64);
        let alarm = Self {
            id: id.to_owned(),
            name: text("AlarmName"),
            description: text("AlarmDescription"),
            input,
            period,
            evaluation_periods,
            datapoints_to_alarm: count(&properties["DatapointsToAlarm"])
                .unwrap_or(evaluation_periods),
            comparison: text("ComparisonOperator"),
            threshold: number(&properties["Threshold"]).unwrap(),
            missing: match text("TreatMissingData").as_str() {
                "breaching" => MissingData::Breaching,
                "notBreaching" => MissingData::NotBreaching,
                "ignore" => MissingData::Ignore,
                "missing" | "" => MissingData::Missing,
                other => panic!("{id}: {other}"),
            },
        };
        let window = period.as_secs() * evaluation_periods as u64;
        assert!(
            window <= 24 * 60 * 60,
            "{id}: a longer window is evaluated only once an hour"
        );
        assert!(period.as_secs().is_multiple_of(60), "{id}");
        assert!(
            (1..=evaluation_periods).contains(&alarm.datapoints_to_alarm),
            "{id}"
        );
        alarm
    }

    /// The series that the alarm reads.
    pub fn watched(&self) -> Vec<&MetricSeries> {
        match &self.input {
            AlarmInput::Metric(query) => vec![&query.series],
            AlarmInput::Math { queries, .. } => {
                queries.values().map(|query| &query.series).collect()
            }
        }
    }

    /// The periods of the evaluation range that ends at `now`, oldest first.
    pub fn datapoints(&self, store: &MetricStore, now: Timestamp) -> PeriodValues {
        let range = self.evaluation_periods + EXTRA_PERIODS;
        let values = |query: &MetricQuery| -> PeriodValues {
            let ends = (0..range).rev().map(|before| {
                let before = u32::try_from(before).unwrap();
                now.minus(self.period * before)
            });
            let unit = query.unit.as_deref();
            let each = ends.map(|end| store.values(&query.series, unit, (end, self.period)));
            each.map(|values| query.statistic.of(&values)).collect()
        };
        match &self.input {
            AlarmInput::Metric(query) => values(query),
            AlarmInput::Math {
                queries,
                expressions,
                returned,
            } => {
                let known = queries
                    .iter()
                    .map(|(id, query)| (id.clone(), values(query)));
                let mut known: BTreeMap<String, PeriodValues> = known.collect();
                for (id, expression) in expressions {
                    let values = expression.evaluate(&known, range);
                    known.insert(id.clone(), values);
                }
                known.remove(returned).unwrap()
            }
        }
    }

    /// Whether the latest period has a datapoint that breaches the threshold.
    pub fn breaches(&self, store: &MetricStore, now: Timestamp) -> bool {
        let latest = self.datapoints(store, now).last().copied().flatten();
        latest.is_some_and(|value| self.is_breaching(value))
    }

    /// Its state at `now`, after `current`.
    pub fn evaluate(&self, store: &MetricStore, now: Timestamp, current: AlarmState) -> AlarmState {
        self.judge(&self.datapoints(store, now), current)
    }

    /// Its state after `current`, with these datapoints in the evaluation range, oldest first.
    pub fn judge(&self, datapoints: &[Option<f64>], current: AlarmState) -> AlarmState {
        let breaching: Vec<Option<bool>> = datapoints
            .iter()
            .map(|value| value.map(|value| self.is_breaching(value)))
            .collect();
        let real: Vec<bool> = breaching.iter().copied().flatten().collect();
        let needed = self.evaluation_periods;
        let alarm_if = |holds: bool| {
            if holds {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            }
        };
        let count = |real: &[bool]| real.iter().filter(|is_breaching| **is_breaching).count();
        if real.len() >= needed {
            let recent = &real[real.len() - needed..];
            return alarm_if(count(recent) >= self.datapoints_to_alarm);
        }
        let filled = needed - real.len();
        match self.missing {
            MissingData::Breaching => {
                return alarm_if(count(&real) + filled >= self.datapoints_to_alarm);
            }
            _ if count(&real) >= self.datapoints_to_alarm => return AlarmState::Alarm,
            MissingData::NotBreaching => return AlarmState::Ok,
            MissingData::Ignore | MissingData::Missing => {}
        }
        if real.iter().any(|is_breaching| !is_breaching) {
            return AlarmState::Ok;
        }
        // The oldest breaching datapoint decides, once it is as old as the datapoints to alarm.
        let age = breaching.iter().position(Option::is_some);
        let age = age.map(|position| breaching.len() - position);
        match (self.missing, age) {
            (MissingData::Ignore, _) => current,
            (_, None) => AlarmState::InsufficientData,
            (_, Some(age)) if age >= self.datapoints_to_alarm => AlarmState::Alarm,
            (_, Some(_)) => current,
        }
    }

    fn is_breaching(&self, value: f64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > self.threshold,
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            "LessThanOrEqualToThreshold" => value <= self.threshold,
            other => panic!("{}: unknown comparison {other}", self.id),
        }
    }
}

fn query(metric: &Value, unit: &Value, statistic: &str) -> MetricQuery {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dimensions = metric["Dimensions"].as_array().unwrap().iter();
    MetricQuery {
        series: MetricSeries {
            namespace: text(&metric["Namespace"]),
            metric: text(&metric["MetricName"]),
            dimensions: dimensions
                .map(|dimension| (text(&dimension["Name"]), text(&dimension["Value"])))
                .collect(),
        },
        unit: unit["Unit"].as_str().map(str::to_owned),
        statistic: MetricStatistic::parse(statistic),
    }
}

/// Metric math, and the period of all its metrics.
fn math<'a>(alarm: &str, metrics: &'a [Value]) -> (AlarmInput, &'a Value) {
    let (mut queries, mut expressions, mut period) = (BTreeMap::new(), Vec::new(), None);
    let mut returned = Vec::new();
    for metric in metrics {
        let id = metric["Id"].as_str().unwrap().to_owned();
        if metric.get("ReturnData") != Some(&Value::Bool(false)) {
            returned.push(id.clone());
        }
        if let Some(expression) = metric["Expression"].as_str() {
            expressions.push((id, MathExpression::parse(expression)));
            continue;
        }
        let stat = &metric["MetricStat"];
        assert!(
            period.is_none_or(|period: &Value| *period == stat["Period"]),
            "{alarm}"
        );
        period = Some(&stat["Period"]);
        queries.insert(
            id,
            query(&stat["Metric"], stat, stat["Stat"].as_str().unwrap()),
        );
    }
    assert_eq!(returned.len(), 1, "{alarm}: exactly one metric is compared");
    let order = order(alarm, &queries, expressions);
    let input = AlarmInput::Math {
        queries,
        expressions: order,
        returned: returned.remove(0),
    };
    (input, period.unwrap())
}

/// Sorts the expressions so that each follows those that it names.
fn order(
    alarm: &str,
    queries: &BTreeMap<String, MetricQuery>,
    mut left: Vec<(String, MathExpression)>,
) -> Vec<(String, MathExpression)> {
    let mut order: Vec<(String, MathExpression)> = Vec::new();
    while !left.is_empty() {
        let is_known =
            |id: &str| queries.contains_key(id) || order.iter().any(|(before, _)| before == id);
        let next = left
            .iter()
            .position(|(_, expression)| expression.names().all(is_known));
        let next = next.unwrap_or_else(|| panic!("{alarm}: {left:?} name no metric"));
        let next = left.remove(next);
        order.push(next);
    }
    order
}

/// A number, which a template can also hold as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn count(value: &Value) -> Option<usize> {
    number(value).map(|number| number as usize)
}

/// The change of an alarm to another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmTransition {
    pub at: Timestamp,
    /// The alarm's logical id.
    pub id: String,
    pub to: AlarmState,
}

/// Several alarms, evaluated minute by minute.
#[derive(Clone, Debug)]
pub struct AlarmWatch {
    alarms: Vec<(MetricAlarm, AlarmState)>,
    now: Timestamp,
    pub transitions: Vec<AlarmTransition>,
}

impl AlarmWatch {
    /// Starts with all alarms in the state in which CloudWatch creates them.
    pub fn new(alarms: impl IntoIterator<Item = MetricAlarm>, now: Timestamp) -> Self {
        let alarms = alarms.into_iter();
        Self {
            alarms: alarms
                .map(|alarm| (alarm, AlarmState::InsufficientData))
                .collect(),
            now,
            transitions: Vec::new(),
        }
    }

    /// Evaluates every alarm once a minute until `end`.
    pub fn advance(&mut self, store: &MetricStore, end: Timestamp) {
        loop {
            let next = self.now.plus(EVALUATION_INTERVAL);
            if next > end {
                return;
            }
            self.now = next;
            for (alarm, state) in &mut self.alarms {
                let to = alarm.evaluate(store, next, *state);
                if to != *state {
                    *state = to;
                    self.transitions.push(AlarmTransition {
                        at: next,
                        id: alarm.id.clone(),
                        to,
                    });
                }
            }
        }
    }

    /// The alarms in the state `ALARM`.
    pub fn firing(&self) -> Vec<&MetricAlarm> {
        let firing = self.alarms.iter();
        firing
            .filter(|(_, state)| *state == AlarmState::Alarm)
            .map(|(alarm, _)| alarm)
            .collect()
    }

    pub fn alarms(&self) -> impl Iterator<Item = &MetricAlarm> {
        self.alarms.iter().map(|(alarm, _)| alarm)
    }
}
