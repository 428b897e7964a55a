//! Charts of arrivals and their present states, and of answer times, each with its figures as a
//! table.
//!
//! The rows of a local file are in order of arrival, so arrivals are counted by bisection; open,
//! dead and held rows are in the pending index. A table has no such order, so the page names the
//! metrics in CloudWatch instead. Answer times are those that this process has measured.

use std::time::Duration;

use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    state::{ConsoleState, SharedConsoleState},
};
use crate::{metrics::AnswerTimes, sqlite::ArrivalCount};
use pillarbox::{domain::Timestamp, inbox::InboxError};

/// The space for bars, in units of the drawing.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 160;

#[derive(Template)]
#[template(path = "charts.html")]
struct ChartsPage {
    frame: PageFrame,
    /// `None` on a table.
    arrivals: Option<Vec<BarChart>>,
    /// `None` in a process that answers no sender.
    answers: Option<Vec<AnswerChart>>,
}

/// Bars that share a scale.
struct BarChart {
    id: &'static str,
    title: &'static str,
    /// The meaning of the names of the bars.
    unit: &'static str,
    /// The highest bar.
    top: u64,
    bars: Vec<ChartBar>,
}

/// The arrivals of one span.
struct ChartBar {
    name: String,
    /// Whether its name is shown below it. There is room for a few.
    is_named: bool,
    count: ArrivalCount,
    finished: u64,
    x: u64,
    width: u64,
    parts: Vec<BarPart>,
}

/// A part of a bar, in the colour of its class.
struct BarPart {
    class: &'static str,
    y: u64,
    height: u64,
}

/// The answer times of one source.
struct AnswerChart {
    source: String,
    /// How long its sender waits for an answer, in words.
    limit: Option<String>,
    answers: u64,
    steps: Vec<AnswerStep>,
}

struct AnswerStep {
    name: String,
    count: u64,
    /// Whether the sender may have given up.
    is_late: bool,
    y: u64,
    width: u64,
}

/// `GET /charts`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    let now = state.settings.clock.now();
    let hours = TimeSpans::ending(now, Duration::from_secs(60 * 60), 24);
    let days = TimeSpans::ending(now, Duration::from_secs(24 * 60 * 60), 30);
    let (hours, days) = (
        hours.chart(&state, "hours", "The last 24 hours", "Hour from, UTC"),
        days.chart(&state, "days", "The last 30 days", "Day, UTC"),
    );
    let arrivals = match (hours.await?, days.await?) {
        (Some(hours), Some(days)) => Some(vec![hours, days]),
        _ => None,
    };
    let page_of_charts = ChartsPage {
        frame,
        arrivals,
        answers: answers(&state),
    };
    Ok(page(StatusCode::OK, &page_of_charts))
}

/// Spans of one length, the last of which is in progress.
struct TimeSpans {
    length: Duration,
    bounds: Vec<Timestamp>,
}

impl TimeSpans {
    fn ending(now: Timestamp, length: Duration, count: u32) -> Self {
        let step = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let last = Timestamp::from_millis(now.as_millis().div_euclid(step) * step);
        let bounds = (0..=count).map(|nth| last.plus(length).minus(length * (count - nth)));
        Self {
            length,
            bounds: bounds.collect(),
        }
    }

    async fn chart<I: ConsoleInbox>(
        self,
        state: &ConsoleState<I>,
        id: &'static str,
        title: &'static str,
        unit: &'static str,
    ) -> Result<Option<BarChart>, InboxError> {
        let counts = state.inbox.arrivals(self.bounds.clone()).await?;
        Ok(counts.map(|counts| {
            let top = counts.iter().map(|count| count.all).max().unwrap_or(0);
            BarChart {
                id,
                title,
                unit,
                top,
                bars: self.bars(&counts, top.max(1)),
            }
        }))
    }

    fn bars(&self, counts: &[ArrivalCount], top: u64) -> Vec<ChartBar> {
        let is_hours = self.length < Duration::from_secs(24 * 60 * 60);
        let step = WIDTH / u64::try_from(counts.len().max(1)).unwrap_or(1);
        let bars = counts.iter().zip(&self.bounds).enumerate();
        let bars = bars.map(|(nth, (count, bound))| {
            let text = bound.to_string();
            let name = if is_hours { &text[11..16] } else { &text[..10] };
            let pending = count.open + count.dead + count.held;
            let finished = count.all.saturating_sub(pending);
            ChartBar {
                name: name.to_owned(),
                is_named: nth % if is_hours { 4 } else { 5 } == 0,
                count: *count,
                finished,
                x: step * u64::try_from(nth).unwrap_or(0),
                width: step - 3,
                parts: parts(count, finished, top),
            }
        });
        bars.collect()
    }
}

/// The parts of a bar, from the bottom up. Every part is visible, however small.
fn parts(count: &ArrivalCount, finished: u64, top: u64) -> Vec<BarPart> {
    let mut y = HEIGHT;
    let counts = [
        ("finished", finished),
        ("recorded", count.open),
        ("held", count.held),
        ("dead", count.dead),
    ];
    let parts = counts.into_iter().filter(|(_, rows)| *rows > 0);
    let parts = parts.map(|(class, rows)| {
        let height = (rows * HEIGHT / top).max(2).min(y);
        y -= height;
        BarPart { class, y, height }
    });
    parts.collect()
}

fn answers<I>(state: &ConsoleState<I>) -> Option<Vec<AnswerChart>> {
    let metrics = state.settings.metrics.as_ref()?;
    let chart = |times: AnswerTimes| {
        let source = state.source(&times.source);
        AnswerChart::of(&times, source.and_then(|source| source.kind.answer_limit))
    };
    Some(metrics.answer_times().into_iter().map(chart).collect())
}

impl AnswerChart {
    fn of(times: &AnswerTimes, limit: Option<Duration>) -> Self {
        let top = times.buckets.iter().map(|(_, count)| *count).max();
        let top = top.unwrap_or(0).max(1);
        let mut lower = "0".to_owned();
        let buckets = times.buckets.iter().zip(0_u64..);
        let steps = buckets.map(|((bound, count), nth)| {
            let (from, to) = (milliseconds(&lower), milliseconds(bound));
            let name = match to {
                Some(to) => format!("up to {to} ms"),
                None => format!("over {} ms", from.unwrap_or(0)),
            };
            lower.clone_from(bound);
            let limit = limit.map_or(u128::MAX, |limit| limit.as_millis());
            AnswerStep {
                name,
                count: *count,
                is_late: to.is_none_or(|to| u128::from(to) > limit),
                y: nth * 22,
                width: match count {
                    0 => 0,
                    _ => (count * 480 / top).max(2),
                },
            }
        });
        Self {
            steps: steps.collect(),
            source: times.source.clone(),
            limit: limit.map(|limit| format!("{} seconds", limit.as_secs())),
            answers: times.answers(),
        }
    }

    /// The height of the drawing.
    fn height(&self) -> usize {
        self.steps.len() * 22
    }
}

/// A bound in seconds, such as `0.025`, in whole milliseconds; `None` of `+Inf`.
fn milliseconds(bound: &str) -> Option<u64> {
    let (whole, part) = bound.split_once('.').unwrap_or((bound, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()? * 1000 + part.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_span_is_in_progress() {
        let now = Timestamp::parse("2026-03-02T10:15:31Z").unwrap();
        let hours = TimeSpans::ending(now, Duration::from_secs(3_600), 24);
        assert_eq!(hours.bounds.len(), 25);
        assert_eq!(hours.bounds[0].to_string(), "2026-03-01T11:00:00.000Z");
        assert_eq!(hours.bounds[24].to_string(), "2026-03-02T11:00:00.000Z");
    }

    #[test]
    fn the_parts_of_a_bar_are_visible_and_within_the_drawing() {
        let count = ArrivalCount {
            all: 1_000_000,
            open: 1,
            dead: 1,
            held: 1,
        };
        let parts = parts(&count, 999_997, 1_000_000);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.y <= HEIGHT));
        assert!(parts.iter().all(|part| part.y + part.height <= HEIGHT));
        let names = parts.iter().map(|part| part.class).collect::<Vec<_>>();
        assert_eq!(names, ["finished", "recorded", "held", "dead"]);
    }

    #[test]
    fn a_bound_in_seconds_is_shown_in_milliseconds() {
        for (bound, expected) in [
            ("0.001", Some(1)),
            ("0.0025", Some(2)),
            ("0.25", Some(250)),
            ("1.0", Some(1000)),
            ("3.0", Some(3000)),
            ("+Inf", None),
        ] {
            assert_eq!(milliseconds(bound), expected, "{bound}");
        }
    }
}
