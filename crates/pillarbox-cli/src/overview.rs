//! Whether anything needs a person, and the state of each part, for `status`, `doctor` and the
//! first page of the console.
//!
//! An overview reads at most `MAX_COUNTED_ROWS` rows of each state from the pending index, and a
//! few entries of each source, so its cost does not grow with the inbox. The state of the process
//! that sweeps, such as a circuit breaker, is in the status that this process stored last.

use std::{fmt, path::PathBuf, time::Duration};

use futures_util::future::try_join_all;

use crate::{labels, sqlite::ServeLock};
use pillarbox::{
    config::Config,
    delivery::CircuitBreaker,
    domain::{SourceName, State, Timestamp},
    inbox::{
        InboxError, InboxSummary, ReadInbox, ReconcileInbox, Row, RowFilter, StateSummary,
        SummaryRequest, SweepStatus, last_sweep,
    },
    reconcile::{LastRun, last_run},
};

/// The largest number of rows that are counted of each state.
const MAX_COUNTED_ROWS: usize = 10_000;
/// An open row older than this means that nothing delivers rows.
const OVERDUE_AFTER: Duration = Duration::from_secs(15 * 60);
/// Expired rows are removed within minutes.
const EXPIRY_BEHIND_AFTER: Duration = Duration::from_secs(15 * 60);
/// The status of a sweep is stored every minute. After this time it is out of date.
const STATUS_VALID_FOR: Duration = Duration::from_secs(5 * 60);
/// A table is swept every minute.
const UNSWEPT_AFTER: Duration = Duration::from_secs(15 * 60);
/// HMRC gives up pushing after about six hours: an older notification was certainly missed.
pub(crate) const UNACKNOWLEDGED_AFTER: Duration = Duration::from_secs(6 * 60 * 60);

/// The installation that an overview covers.
#[derive(Clone, Debug)]
pub struct OverviewScope {
    sources: Vec<(SourceName, bool)>,
    /// The file of a local inbox.
    file: Option<PathBuf>,
}

impl OverviewScope {
    /// The installation with this configuration.
    pub fn of(config: &Config) -> Self {
        let sources = config.sources.iter();
        let sources = sources.map(|source| (source.name.clone(), source.pull.is_some()));
        Self {
            sources: sources.collect(),
            file: config.inbox.file().map(PathBuf::from),
        }
    }

    fn serve_process(&self) -> ServeProcess {
        match &self.file {
            Some(file) if ServeLock::is_held(file) => ServeProcess::Running,
            Some(file) if ServeLock::has_been_held(file) => ServeProcess::Stopped,
            _ => ServeProcess::Unknown,
        }
    }
}

/// Whether `serve` runs on a local inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeProcess {
    /// It runs.
    Running,
    /// It ran before, and does not run now.
    Stopped,
    /// It never ran here, or the inbox is a table, which any machine can serve.
    Unknown,
}

/// The state of an installation at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When it was read.
    pub at: Timestamp,
    /// The open, dead and held rows of the inbox.
    pub inbox: InboxSummary,
    /// Each configured source.
    pub sources: Vec<SourceOverview>,
    /// The last sweep that was stored.
    pub last_sweep: Option<SweepStatus>,
    /// Whether `serve` runs.
    pub serve: ServeProcess,
    is_table: bool,
}

/// The state of one source.
#[derive(Clone, Debug)]
pub struct SourceOverview {
    /// The name of the source.
    pub name: SourceName,
    /// When a notification was last received.
    pub last_received: Option<Timestamp>,
    /// Whether it is reconciled with its sender.
    pub is_reconciled: bool,
    /// The last reconcile run.
    pub last_run: Option<LastRun>,
    /// Whether the circuit breaker of its destination is open in the process that sweeps.
    pub circuit_is_open: bool,
    /// Its deliveries, if they fail repeatedly.
    pub failing: Option<FailingDeliveries>,
}

/// Open rows of a source whose deliveries have failed so often that the circuit is open, or would
/// be in a process that had made the attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingDeliveries {
    /// The attempts that failed.
    pub attempts: u32,
    /// The rows that were attempted.
    pub rows: usize,
    /// The error of one of them.
    pub error: String,
}

/// Something that needs a person, and what to do next.
#[derive(Clone, Debug)]
pub struct NeededAction {
    /// What it is, such as `1 notification is dead`.
    pub clause: String,
    /// The arguments of the `pillarbox` command to run next.
    pub command: String,
    /// The filter that lists its rows; `None` if it is not about rows.
    pub list: Option<RowFilter>,
}

impl NeededAction {
    fn new(clause: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            clause: clause.into(),
            command: command.into(),
            list: None,
        }
    }

    /// An action about the rows in `state`, of `source` or of all.
    fn about_rows(clause: impl Into<String>, state: State, source: Option<&SourceName>) -> Self {
        let word = state.index_partition().unwrap_or(state.as_str());
        let option = source.map_or_else(String::new, |source| format!(" --source {source}"));
        Self {
            clause: clause.into(),
            command: format!("list --state {word}{option}"),
            list: Some(RowFilter {
                source: source.map(|source| source.as_str().to_owned()),
                state: Some(state),
                ..RowFilter::default()
            }),
        }
    }
}

impl Overview {
    /// Reads the overview of `scope` at `now`.
    ///
    /// # Errors
    /// If the inbox cannot be read.
    pub async fn read(
        inbox: &(impl ReadInbox + ReconcileInbox),
        scope: &OverviewScope,
        now: Timestamp,
    ) -> Result<Self, InboxError> {
        let request = SummaryRequest {
            overdue_before: now.minus(OVERDUE_AFTER),
            expired_before: now.minus(EXPIRY_BEHIND_AFTER),
            limit: MAX_COUNTED_ROWS,
        };
        let last_sweep = last_sweep(inbox).await?;
        let valid = last_sweep
            .as_ref()
            .filter(|sweep| now.since(sweep.at()) < STATUS_VALID_FOR);
        let open_circuits = valid.map_or(&[][..], |sweep| &sweep.open_circuits);
        let summary = inbox.summary(&request).await?;
        let sources = scope.sources.iter().map(|(name, is_reconciled)| {
            let retrying = &summary.retrying;
            async move {
                let last_run = match is_reconciled {
                    true => last_run(inbox, name).await?,
                    false => None,
                };
                Ok::<_, InboxError>(SourceOverview {
                    last_received: inbox.last_received(name).await?,
                    is_reconciled: *is_reconciled,
                    last_run,
                    circuit_is_open: open_circuits.iter().any(|source| source == name.as_str()),
                    failing: FailingDeliveries::of(name, retrying),
                    name: name.clone(),
                })
            }
        });
        let sources = try_join_all(sources).await?;
        Ok(Self {
            at: now,
            inbox: summary,
            sources,
            last_sweep,
            serve: scope.serve_process(),
            is_table: scope.file.is_none(),
        })
    }

    /// How long ago `at` was.
    pub fn age(&self, at: Timestamp) -> HumanDuration {
        HumanDuration(self.at.since(at))
    }

    /// Everything that needs a person, the most urgent first.
    pub fn needs_a_person(&self) -> Vec<NeededAction> {
        let mut needed: Vec<NeededAction> = self.waiting().into_iter().collect();
        needed.extend(
            self.sources
                .iter()
                .filter_map(SourceOverview::delivery_action),
        );
        for (summary, state) in [
            (&self.inbox.dead, State::Dead),
            (&self.inbox.held, State::Held),
        ] {
            if !summary.is_empty() {
                let clause = format!("{} {state}", notifications(summary, "is", "are"));
                needed.push(NeededAction::about_rows(clause, state, None));
            }
        }
        needed.extend(self.sweep_needed());
        let sources = self.sources.iter();
        needed.extend(sources.flat_map(|source| source.reconcile_actions(self.at)));
        needed.extend(self.inbox.expired.map(|expired| {
            let clause = notifications(&expired, "has expired and is", "have expired and are");
            NeededAction::new(format!("{clause} still stored"), "serve")
        }));
        needed
    }

    /// Open rows that nothing delivers.
    fn waiting(&self) -> Option<NeededAction> {
        let open = &self.inbox.open;
        if open.is_empty() {
            return None;
        }
        let wait = notifications(open, "waits", "wait");
        if self.serve == ServeProcess::Stopped {
            let clause = format!("{wait} while serve does not run");
            return Some(NeededAction {
                command: "serve".to_owned(),
                ..NeededAction::about_rows(clause, State::Recorded, None)
            });
        }
        let oldest = open.oldest.filter(|_| self.inbox.overdue > 0)?;
        let clause = format!("{wait} for up to {}", self.age(oldest));
        Some(NeededAction::about_rows(clause, State::Recorded, None))
    }

    /// A table that is no longer swept. For a file, the lock of `serve` shows this sooner.
    fn sweep_needed(&self) -> Option<NeededAction> {
        let sweep = self.last_sweep.as_ref().filter(|_| self.is_table)?;
        let age = self.age(sweep.at());
        let clause = format!("the table was last swept {age} ago");
        (age.0 > UNSWEPT_AFTER).then(|| NeededAction::new(clause, "doctor"))
    }
}

impl SourceOverview {
    fn delivery_action(&self) -> Option<NeededAction> {
        let is_failing = self.circuit_is_open || self.failing.is_some();
        let clause = format!("the deliveries of {} fail", self.name);
        is_failing.then(|| NeededAction::about_rows(clause, State::Recorded, Some(&self.name)))
    }

    fn reconcile_actions(&self, now: Timestamp) -> Vec<NeededAction> {
        let Some(last) = &self.last_run else {
            return Vec::new();
        };
        let mut needed = Vec::new();
        if last.failed {
            let clause = format!("the last run of pull {} failed", self.name);
            let command = format!("reconcile {} --dry-run", self.name);
            needed.push(NeededAction::new(clause, command));
        }
        if last
            .oldest()
            .is_some_and(|oldest| now.since(oldest) > UNACKNOWLEDGED_AFTER)
        {
            let clause = format!("pull {} leaves a notification in its box", self.name);
            needed.push(NeededAction::new(
                clause,
                format!("reconcile {}", self.name),
            ));
        }
        needed
    }
}

impl FailingDeliveries {
    /// The failing deliveries of `source` among rows that are retried; `None` if there are too few
    /// failures for an open circuit.
    fn of(source: &SourceName, retrying: &[Row]) -> Option<Self> {
        let of_source = retrying
            .iter()
            .filter(|row| row.key.source() == source.as_str());
        let failed: Vec<&Row> = of_source.filter(|row| row.last_error.is_some()).collect();
        let attempts = failed.iter().map(|row| row.attempts).sum();
        let error = failed.iter().find_map(|row| row.last_error.clone())?;
        (attempts >= CircuitBreaker::FAILURE_THRESHOLD).then_some(Self {
            attempts,
            rows: failed.len(),
            error,
        })
    }
}

/// One sentence about what needs a person, made from its `clauses`.
pub fn sentence(clauses: &[String]) -> String {
    let Some((last, others)) = clauses.split_last() else {
        return "Nothing needs you.".to_owned();
    };
    match others {
        [] => format!("Something needs you: {last}."),
        _ => format!("Something needs you: {} and {last}.", others.join(", ")),
    }
}

/// `1 notification is`, `2 notifications are`, `more than 10,000 notifications are`.
fn notifications(summary: &StateSummary, one: &str, several: &str) -> String {
    match (summary.rows, summary.has_more) {
        (1, false) => format!("1 notification {one}"),
        _ => format!("{} notifications {several}", count(summary)),
    }
}

/// The number of rows: `1`, `more than 10,000`.
pub fn count(summary: &StateSummary) -> String {
    let rows = labels::number(summary.rows);
    if summary.has_more {
        format!("more than {rows}")
    } else {
        rows
    }
}

/// A duration in its largest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            seconds @ 60..3_600 => write!(f, "{} min", seconds / 60),
            seconds @ 3_600..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests;
