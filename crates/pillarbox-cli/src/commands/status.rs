//! `pillarbox status`: reports whether anything needs a person, and the state of each part.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::time::timeout;

use super::{
    CommandError, GlobalArgs, local_request,
    output::{BOLD, CommandOutput, paint},
    row::json,
    settings::CommandSettings,
};
use crate::{
    any_inbox::InboxAccess,
    labels,
    metrics::refused_requests,
    overview::{Overview, OverviewScope, ServeProcess, SourceOverview, count, sentence},
};
use pillarbox::{
    domain::{Clock, SystemClock},
    inbox::StateSummary,
    telemetry::visible,
};

/// How long the running serve may take to respond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest number of bytes read of its response.
const MAX_METRICS_BYTES: u64 = 1024 * 1024;

/// Reports whether anything needs a person, and the state of each part.
#[derive(Args)]
#[command(
    after_help = "It takes as long with a million notifications as with ten; counts end at \
                  10,000.\nExits with 1 if anything needs a person; `pillarbox doctor` checks \
                  more.\n\n\
                  Examples:\n  pillarbox status\n  pillarbox status --json"
)]
pub(super) struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        let inbox = settings.open_inbox(InboxAccess::Read).await?;
        let scope = OverviewScope::of(&settings.config);
        let overview = Overview::read(&inbox, &scope, SystemClock.now()).await?;
        let refused = match overview.serve {
            ServeProcess::Running => refused(settings.config.console).await,
            ServeProcess::Stopped | ServeProcess::Unknown => None,
        };
        if self.json {
            output.data(&json(&JsonOverview::new(&overview, refused))?)?;
        } else {
            print(&overview, refused, &settings, output)?;
        }
        CommandError::negative_unless(overview.needs_a_person().is_empty())
    }
}

/// The number of requests that the running serve has refused since it started; `None` if it does
/// not respond.
async fn refused(console: SocketAddr) -> Option<u64> {
    let answer = local_request::get(console, "/metrics", MAX_METRICS_BYTES);
    let answer = timeout(ANSWER_TIMEOUT, answer).await.ok()?.ok()?;
    refused_requests(&answer)
}

fn print(
    overview: &Overview,
    refused: Option<u64>,
    settings: &CommandSettings,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let needed = overview.needs_a_person();
    let clauses: Vec<String> = needed.iter().map(|one| one.clause.clone()).collect();
    output.data(&paint(&sentence(&clauses), BOLD))?;
    for one in &needed {
        let command = settings.printed(&one.command, output);
        output.data(&format!("  {}: {command}", one.clause))?;
    }
    output.data("")?;
    for (name, found) in lines(overview, refused) {
        output.data(&format!("{name:<10} {found}"))?;
    }
    Ok(())
}

/// A line for each part: its name and its state.
fn lines(overview: &Overview, refused: Option<u64>) -> Vec<(String, String)> {
    let inbox = &overview.inbox;
    let ago = |at| format!("{} ago", overview.age(at));
    let summary = |summary: &StateSummary| match summary.oldest {
        None => count(summary),
        Some(oldest) => format!("{}, the oldest received {}", count(summary), ago(oldest)),
    };
    let mut lines = vec![("open".to_owned(), summary(&inbox.open))];
    if inbox.overdue > 0 {
        let overdue = format!("{} of the open", labels::number(inbox.overdue));
        lines.push(("overdue".to_owned(), overdue));
    }
    lines.push(("dead".to_owned(), summary(&inbox.dead)));
    let reasons = inbox.held_reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(reason, rows)| format!("{} {}", labels::number(*rows), visible(reason)))
        .collect();
    let held = match reasons.is_empty() {
        true => summary(&inbox.held),
        false => format!("{} ({})", summary(&inbox.held), reasons.join(", ")),
    };
    lines.push(("held".to_owned(), held));
    if let Some(expired) = &inbox.expired {
        lines.push((
            "expired".to_owned(),
            format!("{} still stored", count(expired)),
        ));
    }
    let swept = overview.last_sweep.as_ref();
    let swept = swept.map_or_else(|| "never seen".to_owned(), |sweep| ago(sweep.at()));
    lines.push(("last sweep".to_owned(), swept));
    for source in &overview.sources {
        lines.push((
            source.name.as_str().to_owned(),
            source_line(source, overview),
        ));
    }
    if let Some(refused) = refused {
        let requests = if refused == 1 { "request" } else { "requests" };
        let refused = format!("{refused} {requests} since serve started");
        lines.push(("refused".to_owned(), refused));
    }
    lines
}

fn source_line(source: &SourceOverview, overview: &Overview) -> String {
    let mut parts = vec![match source.last_received {
        Some(at) => format!("last received {} ago", overview.age(at)),
        None => "nothing received yet".to_owned(),
    }];
    if source.is_reconciled {
        parts.push(match &source.last_run {
            Some(last) => format!(
                "reconciled {} ago: {}",
                overview.age(last.at()),
                visible(&last.ended)
            ),
            None => "never reconciled".to_owned(),
        });
    }
    if source.circuit_is_open {
        parts.push("circuit breaker open".to_owned());
    }
    if let Some(failing) = &source.failing {
        parts.push(format!(
            "{} failed attempts: {}",
            failing.attempts,
            visible(&failing.error)
        ));
    }
    parts.join("; ")
}

/// The fields of the JSON object. Their names are stable.
#[derive(Serialize)]
struct JsonOverview<'a> {
    needs_a_person: bool,
    needed: Vec<JsonAction>,
    open: JsonSummary,
    overdue: usize,
    dead: JsonSummary,
    held: JsonSummary,
    held_reasons: &'a BTreeMap<String, usize>,
    expired: Option<JsonSummary>,
    last_sweep: Option<String>,
    serve_is_running: Option<bool>,
    refused: Option<u64>,
    sources: Vec<JsonSource<'a>>,
}

/// Something that needs a person.
#[derive(Serialize)]
struct JsonAction {
    what: String,
    command: String,
}

/// Counted rows: at least this many if `has_more`.
#[derive(Serialize)]
struct JsonSummary {
    rows: usize,
    has_more: bool,
    oldest: Option<String>,
}

/// One source.
#[derive(Serialize)]
struct JsonSource<'a> {
    source: &'a str,
    last_received: Option<String>,
    circuit_open: bool,
    failed_attempts: u32,
    last_error: Option<&'a str>,
    last_reconcile: Option<JsonLastRun<'a>>,
}

/// The last reconcile run of a source.
#[derive(Serialize)]
struct JsonLastRun<'a> {
    at: String,
    ended: &'a str,
    failed: bool,
    recorded: usize,
    missing: usize,
    errors: usize,
}

impl<'a> JsonOverview<'a> {
    fn new(overview: &'a Overview, refused: Option<u64>) -> Self {
        let needed = overview.needs_a_person();
        let inbox = &overview.inbox;
        Self {
            needs_a_person: !needed.is_empty(),
            needed: needed
                .into_iter()
                .map(|one| JsonAction {
                    what: one.clause,
                    command: format!("pillarbox {}", one.command),
                })
                .collect(),
            open: (&inbox.open).into(),
            overdue: inbox.overdue,
            dead: (&inbox.dead).into(),
            held: (&inbox.held).into(),
            held_reasons: &inbox.held_reasons,
            expired: inbox.expired.as_ref().map(JsonSummary::from),
            last_sweep: overview
                .last_sweep
                .as_ref()
                .map(|sweep| sweep.at().to_string()),
            serve_is_running: match overview.serve {
                ServeProcess::Running => Some(true),
                ServeProcess::Stopped => Some(false),
                ServeProcess::Unknown => None,
            },
            refused,
            sources: overview.sources.iter().map(JsonSource::from).collect(),
        }
    }
}

impl From<&StateSummary> for JsonSummary {
    fn from(summary: &StateSummary) -> Self {
        Self {
            rows: summary.rows,
            has_more: summary.has_more,
            oldest: summary.oldest.map(|at| at.to_string()),
        }
    }
}

impl<'a> From<&'a SourceOverview> for JsonSource<'a> {
    fn from(source: &'a SourceOverview) -> Self {
        let failing = source.failing.as_ref();
        Self {
            source: source.name.as_str(),
            last_received: source.last_received.map(|at| at.to_string()),
            circuit_open: source.circuit_is_open,
            failed_attempts: failing.map_or(0, |failing| failing.attempts),
            last_error: failing.map(|failing| failing.error.as_str()),
            last_reconcile: source.last_run.as_ref().map(|last| JsonLastRun {
                at: last.at().to_string(),
                ended: &last.ended,
                failed: last.failed,
                recorded: last.recorded,
                missing: last.missing,
                errors: last.errors,
            }),
        }
    }
}
