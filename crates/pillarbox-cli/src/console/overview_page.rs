//! The first page: what needs a person, if anything does, with links to the lists.

use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    query::ListPageQuery,
    state::SharedConsoleState,
};
use crate::{
    labels,
    overview::{self, NeededAction, Overview, OverviewScope, ServeProcess, SourceOverview},
};
use pillarbox::{
    domain::State as RowState,
    inbox::{RowFilter, StateSummary},
    telemetry::visible,
};

#[derive(Template)]
#[template(path = "overview_page.html")]
struct OverviewPage {
    frame: PageFrame,
    /// How many things need a person.
    heading: String,
    needed: Vec<NeededLine>,
    waiting: Vec<WaitingLine>,
    sources: Vec<SourceLine>,
    /// Names and values that belong to no source.
    parts: Vec<(&'static str, String)>,
    at: String,
}

/// Something that needs a person.
struct NeededLine {
    words: String,
    /// The address of the list of its rows.
    address: Option<String>,
    /// The arguments of the command that shows the same in a terminal.
    command: String,
}

/// The rows of one state.
struct WaitingLine {
    state: RowState,
    address: String,
    count: String,
    oldest: String,
    note: String,
}

/// One source. Every text is safe to display.
struct SourceLine {
    name: String,
    address: String,
    last_received: String,
    deliveries: String,
    is_failing: bool,
    reconciled: String,
}

/// `GET /`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    let scope = OverviewScope::of(&state.settings.config);
    let now = state.settings.clock.now();
    let overview = Overview::read(&*state.inbox, &scope, now).await?;
    Ok(page(StatusCode::OK, &OverviewPage::of(frame, &overview)))
}

impl OverviewPage {
    fn of(frame: PageFrame, overview: &Overview) -> Self {
        let needed = overview.needs_a_person();
        let heading = match needed.len() {
            0 => "Nothing needs you".to_owned(),
            1 => "1 thing needs you".to_owned(),
            several => format!("{several} things need you"),
        };
        let sources = overview.sources.iter();
        Self {
            frame,
            heading,
            needed: needed.iter().map(NeededLine::of).collect(),
            waiting: waiting(overview),
            sources: sources
                .map(|source| SourceLine::of(source, overview))
                .collect(),
            parts: parts(overview),
            at: overview.at.to_string(),
        }
    }
}

impl NeededLine {
    fn of(needed: &NeededAction) -> Self {
        let address = needed.list.as_ref();
        Self {
            words: capitalised(&visible(&needed.clause)),
            address: address.map(|filter| ListPageQuery::of(filter).address(None)),
            command: visible(&needed.command).into_owned(),
        }
    }
}

fn waiting(overview: &Overview) -> Vec<WaitingLine> {
    let inbox = &overview.inbox;
    let line = |state: RowState, summary: &StateSummary, note: String| {
        let filter = RowFilter {
            state: Some(state),
            ..RowFilter::default()
        };
        let ago = |at| format!("{} ago", overview.age(at));
        WaitingLine {
            state,
            address: ListPageQuery::of(&filter).address(None),
            count: overview::count(summary),
            oldest: summary.oldest.map_or_else(|| "None".to_owned(), ago),
            note,
        }
    };
    let overdue = match inbox.overdue {
        0 => String::new(),
        rows => format!("{} overdue", labels::number(rows)),
    };
    let reasons = inbox.held_reasons.iter();
    let reasons: Vec<String> = reasons
        .map(|(reason, rows)| format!("{} {}", labels::number(*rows), visible(reason)))
        .collect();
    vec![
        line(RowState::Recorded, &inbox.open, overdue),
        line(RowState::Dead, &inbox.dead, String::new()),
        line(RowState::Held, &inbox.held, reasons.join(", ")),
    ]
}

impl SourceLine {
    fn of(source: &SourceOverview, overview: &Overview) -> Self {
        let ago = |at| format!("{} ago", overview.age(at));
        let deliveries = match (&source.failing, source.circuit_is_open) {
            (Some(failing), _) => format!(
                "Failing: {} attempts on {}, the last {}",
                labels::number(failing.attempts as usize),
                notifications(failing.rows),
                visible(&failing.error)
            ),
            (None, true) => "Failing: the circuit breaker is open".to_owned(),
            (None, false) => "No failures known".to_owned(),
        };
        let reconciled = match (&source.last_run, source.is_reconciled) {
            (Some(run), _) => format!("{}: {}", ago(run.at()), visible(&run.ended)),
            (None, true) => "Never".to_owned(),
            (None, false) => "Not configured".to_owned(),
        };
        let filter = RowFilter {
            source: Some(source.name.to_string()),
            ..RowFilter::default()
        };
        Self {
            name: source.name.to_string(),
            address: ListPageQuery::of(&filter).address(None),
            last_received: source
                .last_received
                .map_or_else(|| "Nothing yet".to_owned(), ago),
            is_failing: source.failing.is_some() || source.circuit_is_open,
            deliveries,
            reconciled,
        }
    }
}

fn parts(overview: &Overview) -> Vec<(&'static str, String)> {
    let swept = overview.last_sweep.as_ref();
    let swept = swept.map_or_else(
        || "Never seen".to_owned(),
        |sweep| format!("{} ago", overview.age(sweep.at())),
    );
    let serve = match overview.serve {
        ServeProcess::Running => "Running on this machine",
        ServeProcess::Stopped => "Stopped",
        ServeProcess::Unknown => "Not known on this machine",
    };
    let mut parts = vec![("Last sweep", swept), ("serve", serve.to_owned())];
    if let Some(expired) = &overview.inbox.expired {
        let expired = format!("{} still stored", overview::count(expired));
        parts.push(("Expired", expired));
    }
    parts
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase());
    first.into_iter().flatten().chain(characters).collect()
}

fn notifications(rows: usize) -> String {
    let noun = if rows == 1 {
        "notification"
    } else {
        "notifications"
    };
    format!("{} {noun}", labels::number(rows))
}
