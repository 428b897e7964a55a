//! The list page: the newest notifications, or the newest that match a filter.

use std::borrow::Cow;

use askama::Template;
use axum::{
    Extension,
    extract::{RawQuery, State as Shared},
    http::StatusCode,
    response::Response,
};
use serde::Serialize;

use super::{
    frame::PageFrame,
    inbox::{ConsoleInbox, ListCost},
    live,
    page::{PageError, page},
    query::ListPageQuery,
    row_page,
    state::SharedConsoleState,
};
use crate::labels;
use pillarbox::{
    domain::State,
    inbox::{PageRequest, Row, RowPage},
    senders::SenderKind,
    telemetry::visible,
};

/// The rows of a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: PageFrame,
    title: String,
    query: ListPageQuery,
    sources: Vec<String>,
    narrowed: bool,
    lines: Vec<ListLine>,
    /// Which rows are left out, and why.
    left_out: Vec<String>,
    /// Whether the page ended before it was full, and older rows may match.
    is_part: bool,
    older: Option<String>,
    newest: Option<String>,
    /// The address of the same list by a scan of the table, if only a scan finds its rows.
    whole_read: Option<String>,
    /// The address of the stream of new rows, if this is the newest page.
    stream: Option<String>,
    /// How often the stream is updated, if not immediately.
    live_note: Option<&'static str>,
}

/// One row of the table. Every text is safe to display.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ListLine {
    pub(super) key: String,
    pub(super) address: String,
    pub(super) received_at: String,
    source: String,
    pub(super) event: String,
    subject: String,
    origin: &'static str,
    pub(super) state: &'static str,
    reason: String,
    attempts: u32,
}

/// `GET /notifications`.
pub(super) async fn show<I: ConsoleInbox>(
    Shared(state): Shared<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = ListPageQuery::read(query.as_deref().unwrap_or(""))?;
    let sources = &state.settings.config.sources;
    let sources = sources
        .iter()
        .map(|source| source.name.to_string())
        .collect();
    let cost = state.inbox.list_cost();
    let listed = if cost == ListCost::Local || query.is_indexed() || query.scan {
        let part = PageRequest {
            limit: ROWS,
            after: query.after.clone(),
        };
        Some(state.inbox.list_page(&query.filter(), part).await?)
    } else {
        None
    };
    Ok(page(
        StatusCode::OK,
        &ListPage::of(frame, query, sources, cost, listed),
    ))
}

impl ListPage {
    fn of(
        frame: PageFrame,
        query: ListPageQuery,
        sources: Vec<String>,
        cost: ListCost,
        listed: Option<RowPage>,
    ) -> Self {
        let whole_read = listed.is_none().then(|| {
            let query = ListPageQuery {
                scan: true,
                ..query.clone()
            };
            query.address(None)
        });
        let listed = listed.unwrap_or_default();
        let is_newest = query.after.is_none() && whole_read.is_none();
        let latest = listed.rows.first();
        Self {
            frame,
            title: title(&query, &listed),
            sources,
            narrowed: query.narrows(),
            lines: listed.rows.iter().map(ListLine::of).collect(),
            left_out: left_out(&listed),
            is_part: listed.next.is_some() && listed.rows.len() < ROWS,
            older: listed.next.as_ref().map(|next| query.address(Some(next))),
            newest: query.after.is_some().then(|| query.address(None)),
            whole_read,
            stream: is_newest.then(|| live::address(&query, latest)),
            live_note: (cost == ListCost::Scan).then_some(live::TABLE_NOTE),
            query,
        }
    }

    /// The address of the page that counts the matching rows, to replay them.
    fn bulk_address(&self) -> String {
        self.query.address_at("/bulk", None)
    }

    /// The states to choose from.
    fn states(&self) -> [State; 6] {
        State::ALL
    }

    /// The kinds of senders to choose from.
    fn kinds(&self) -> &'static [SenderKind] {
        SenderKind::ALL
    }

    /// Whether the query has this kind.
    fn chosen_kind(&self, kind: &SenderKind) -> bool {
        self.query.kind == Some(*kind)
    }

    /// A value of the query for the form. An address may contain hostile text, too.
    fn given<'a>(&self, text: &'a str) -> Cow<'a, str> {
        visible(text)
    }

    /// Whether the query has this state.
    fn chosen(&self, state: &State) -> bool {
        self.query.state == Some(*state)
    }
}

/// A sentence about each row that cannot be shown.
fn left_out(listed: &RowPage) -> Vec<String> {
    let newer = listed.newer.iter().map(|key| {
        let key = visible(key.as_str());
        format!("{key} is left out: a newer Pillarbox wrote it.")
    });
    let damaged = listed.damaged.iter();
    let damaged = damaged.map(|error| format!("{}: it is left out.", visible(&error.to_string())));
    newer.chain(damaged).collect()
}

/// The title, with the count and the state for people with many tabs, or who cannot see the table.
fn title(query: &ListPageQuery, listed: &RowPage) -> String {
    let count = listed.rows.len();
    let state = query
        .state
        .map(|state| format!("{state} "))
        .unwrap_or_default();
    let noun = if count == 1 {
        "notification"
    } else {
        "notifications"
    };
    match (&query.after, &listed.next) {
        (Some(_), _) => format!("{count} older {state}{noun}"),
        (None, Some(_)) if count == ROWS => format!("Newest {count} {state}{noun}"),
        (None, Some(_)) => format!("{count} {state}{noun} so far"),
        (None, None) => format!("{count} {state}{noun}"),
    }
}

impl ListLine {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            key: visible(row.key.as_str()).into_owned(),
            address: row_page::address(&row.key),
            received_at: row.received_at.to_string(),
            source: visible(row.key.source()).into_owned(),
            event: visible(labels::event(&row.event_type)).into_owned(),
            subject: visible(row.subject.as_deref().unwrap_or("")).into_owned(),
            origin: row.origin.as_str(),
            state: row.state.as_str(),
            reason: visible(row.reason.as_deref().unwrap_or("")).into_owned(),
            attempts: row.attempts,
        }
    }
}
