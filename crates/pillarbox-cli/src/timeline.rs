//! The timeline of a row, for `show` and the console.

use std::time::Duration;

use crate::labels;
use pillarbox::{
    domain::{Origin, State, Timestamp},
    inbox::{HistoryEntry, PastAttempt, PastOutcome, Row},
    telemetry::visible,
};

/// One step of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimelineStep {
    /// When; `None` if that is not known.
    pub(crate) at: Option<Timestamp>,
    /// What happened.
    pub(crate) title: String,
    /// More about it, escaped for display.
    pub(crate) detail: Option<String>,
}

impl TimelineStep {
    fn new(at: Option<Timestamp>, title: impl Into<String>) -> Self {
        Self {
            at,
            title: title.into(),
            detail: None,
        }
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(visible(&detail.into()).into_owned()),
            ..self
        }
    }
}

/// Shown instead of an answer with personal data.
const HIDDEN_ANSWER: &str = "Its answer repeats personal data; `pillarbox show KEY` prints it.";

/// What happened to the row, oldest first, and what comes next. `hides` decides which answers of
/// destinations are hidden.
pub(crate) fn timeline(
    row: &Row,
    now: Timestamp,
    hides: impl Fn(&str) -> bool,
) -> Vec<TimelineStep> {
    let mut steps = receipt_steps(row);
    let history = row.full_history(now);
    if history.is_empty() && row.attempts > 0 && !row.is_leased(now) {
        let attempts = pluralise(row.attempts, "attempt");
        steps.push(TimelineStep::new(None, attempts).with_detail("How they ended was not kept."));
    }
    steps.extend(history.iter().map(|entry| history_step(entry, &hides)));
    steps.extend(current_steps(row, now));
    steps
}

fn receipt_steps(row: &Row) -> Vec<TimelineStep> {
    let at = Some(row.received_at);
    let proof = match (row.origin, &row.key_label) {
        (Origin::Push, Some(label)) => {
            TimelineStep::new(at, "Verified").with_detail(format!("Signed with {label}."))
        }
        (Origin::Push, None) => TimelineStep::new(at, "Verified"),
        (Origin::Pull, _) => TimelineStep::new(at, "Pulled from its sender"),
    };
    let happened = row.event_at.map(|event_at| {
        TimelineStep::new(Some(event_at), "Happened").with_detail("By the sender's date.")
    });
    let received = (row.origin == Origin::Push).then(|| TimelineStep::new(at, "Received"));
    let recorded = TimelineStep::new(at, "Recorded");
    let steps = [happened, received, Some(proof), Some(recorded)];
    steps.into_iter().flatten().collect()
}

fn history_step(entry: &HistoryEntry, hides: &impl Fn(&str) -> bool) -> TimelineStep {
    match entry {
        HistoryEntry::Attempt(attempt) => attempt_step(attempt, hides),
        HistoryEntry::Lapsed { first, last } => {
            let title = if first == last {
                format!("Attempt {first} has no outcome")
            } else {
                format!("Attempts {first} to {last} have no outcome")
            };
            TimelineStep::new(None, title)
                .with_detail("The process stopped, or took longer than its lease.")
        }
        HistoryEntry::Replayed { at, attempts } => {
            TimelineStep::new(Some(*at), "Replayed by a person")
                .with_detail(format!("After {}.", pluralise(*attempts, "attempt")))
        }
        HistoryEntry::Discarded { at, erased, .. } => {
            let title = if *erased {
                "Discarded and erased"
            } else {
                "Discarded"
            };
            TimelineStep::new(Some(*at), format!("{title} by a person"))
        }
    }
}

fn attempt_step(attempt: &PastAttempt, hides: &impl Fn(&str) -> bool) -> TimelineStep {
    let outcome = match attempt.outcome {
        PastOutcome::Delivered => "delivered it",
        PastOutcome::Failed => "failed",
        PastOutcome::Refused => "was refused permanently",
        PastOutcome::Repeat => "found that another key has the event",
        PastOutcome::Held => "could not deliver it, and held it",
    };
    let title = format!("Attempt {} {outcome}", attempt.number);
    let step = TimelineStep::new(Some(attempt.began_at), title);
    let facts = [
        Some(format_duration(attempt.duration)),
        attempt
            .destination
            .as_ref()
            .map(|name| format!("to {name}")),
        attempt.status.map(|status| format!("status {status}")),
        attempt.error.clone(),
    ];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match &attempt.answer {
        Some(answer) if hides(answer) => step.with_detail(format!("{facts}. {HIDDEN_ANSWER}")),
        Some(answer) => step.with_detail(format!("{facts}: {answer}")),
        None => step.with_detail(facts),
    }
}

/// The current state of the row, unless its history ends with it, and what comes next.
fn current_steps(row: &Row, now: Timestamp) -> Vec<TimelineStep> {
    let reason = row.reason.as_deref().unwrap_or_default();
    let last_entry = row.history.entries().last();
    let current = match row.state {
        State::Recorded if row.is_leased(now) => {
            let until = row.lease.map(|lease| lease.until);
            let step = TimelineStep::new(None, format!("Attempt {} is under way", row.attempts));
            Some(step.with_detail(until.map_or_else(String::new, |until| {
                format!("Its lease ends at {}.", labels::local_time(until))
            })))
        }
        State::Recorded => Some(TimelineStep::new(row.due_at, "Next attempt")),
        State::Dead => Some(TimelineStep::new(row.due_at, "Dead").with_detail(reason)),
        State::Held => Some(
            TimelineStep::new(row.due_at, format!("Held ({})", visible(reason)))
                .with_detail(labels::held(reason).unwrap_or_default()),
        ),
        State::Repeat => Some(
            TimelineStep::new(None, "Not delivered").with_detail(format!("Repeat of {reason}.")),
        ),
        State::Delivered if row.history.delivered_at().is_none() => {
            Some(TimelineStep::new(None, "Delivered"))
        }
        State::Discarded if !matches!(last_entry, Some(HistoryEntry::Discarded { .. })) => {
            Some(TimelineStep::new(None, "Discarded by a person"))
        }
        State::Delivered | State::Discarded => None,
    };
    let removal = row
        .expires_at
        .map(|at| TimelineStep::new(Some(at), "Removed from the inbox"));
    current.into_iter().chain(removal).collect()
}

fn format_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!(
            "{}.{} s",
            duration.as_secs(),
            duration.subsec_millis() / 100
        )
    }
}

fn pluralise(number: u32, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox::{
        destinations::example,
        inbox::{Lease, LeaseId},
        senders::example::{NOW, hmrc, hmrc_pulled},
    };

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn attempt(number: u32, seconds: u64, outcome: PastOutcome) -> PastAttempt {
        PastAttempt {
            number,
            began_at: at(seconds),
            duration: Duration::from_millis(1_250),
            outcome,
            destination: Some("ledger".to_owned()),
            status: Some(503),
            error: None,
            answer: Some("out of\u{202e} order".to_owned()),
        }
    }

    fn lines(row: &Row, now: Timestamp) -> Vec<String> {
        let line = |step: TimelineStep| {
            let seconds = step
                .at
                .map_or("-".to_owned(), |at| at.since(NOW).as_secs().to_string());
            let detail = step
                .detail
                .map_or_else(String::new, |detail| format!(": {detail}"));
            format!("{seconds} {}{detail}", step.title)
        };
        timeline(row, now, |_| false)
            .into_iter()
            .map(line)
            .collect()
    }

    #[test]
    fn a_timeline_has_the_receipt_every_attempt_and_replay_and_the_end() {
        let mut row = example::row(&hmrc("n1", "{}"));
        row.history.add_attempt(attempt(1, 5, PastOutcome::Failed));
        row.history.add_attempt(PastAttempt {
            answer: None,
            ..attempt(3, 20, PastOutcome::Refused)
        });
        row.history.add_replay(at(60), 3);
        row.history.add_attempt(PastAttempt {
            duration: Duration::from_millis(35),
            destination: None,
            status: None,
            answer: None,
            ..attempt(1, 61, PastOutcome::Delivered)
        });
        row.state = State::Delivered;
        row.expires_at = Some(at(1000));
        assert_eq!(
            lines(&row, at(100)),
            [
                "0 Happened: By the sender's date.",
                "0 Received",
                "0 Verified: Signed with 1:env:TEST.",
                "0 Recorded",
                r"5 Attempt 1 failed: 1.2 s, to ledger, status 503: out of\u{202e} order",
                "- Attempt 2 has no outcome: The process stopped, or took longer than its lease.",
                "20 Attempt 3 was refused permanently: 1.2 s, to ledger, status 503",
                "60 Replayed by a person: After 3 attempts.",
                "61 Attempt 1 delivered it: 35 ms",
                "1000 Removed from the inbox",
            ]
        );
    }

    #[test]
    fn a_timeline_ends_with_the_current_state_and_what_comes_next() {
        let row = || Row {
            attempts: 0,
            ..example::row(&hmrc_pulled("n1", "{}"))
        };
        let with = |state, reason: &str| Row {
            state,
            reason: Some(reason.to_owned()),
            due_at: Some(at(9)),
            ..row()
        };
        let lease = Lease {
            id: LeaseId(1),
            until: at(150),
        };
        for (row, end) in [
            (
                Row {
                    due_at: Some(at(9)),
                    ..row()
                },
                "9 Next attempt",
            ),
            (
                Row {
                    attempts: 2,
                    lease: Some(lease),
                    ..row()
                },
                "- Attempt 2 is under way: Its lease ends at",
            ),
            (with(State::Dead, "budget spent"), "9 Dead: budget spent"),
            (
                with(State::Held, "conflict"),
                "9 Held (conflict): Another notification has the same identifier",
            ),
            (
                with(State::Repeat, "hmrc:n0"),
                "- Not delivered: Repeat of hmrc:n0.",
            ),
            (
                Row {
                    state: State::Delivered,
                    attempts: 6,
                    ..row()
                },
                "- Delivered",
            ),
            (with(State::Discarded, "dead"), "- Discarded by a person"),
        ] {
            let lines = lines(&row, at(10));
            assert!(lines.last().unwrap().starts_with(end), "{lines:?}");
            let is_from_before = row.state == State::Delivered;
            let unknown = "- 6 attempts: How they ended was not kept.";
            assert_eq!(lines.iter().any(|line| line == unknown), is_from_before);
            assert!(lines.iter().any(|line| line == "0 Pulled from its sender"));
        }
    }
}
