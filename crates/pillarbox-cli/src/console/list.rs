//! The list page: the newest notifications, or the newest that match a filter.

use std::{borrow::Cow, sync::Arc};

use askama::Template;
use axum::{
    extract::{RawQuery, State as Shared},
    http::StatusCode,
    response::Response,
};

use super::{
    detail,
    page::{PageError, page},
    query::ListQuery,
};
use crate::labels;
use pillarbox::{
    domain::State,
    inbox::{PageRequest, ReadInbox, Row, RowPage},
    telemetry::visible,
};

/// The rows of a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    title: String,
    asked: ListQuery,
    narrowed: bool,
    lines: Vec<ListLine>,
    /// Why rows are left out.
    left_out: Vec<String>,
    older: Option<String>,
    newest: Option<String>,
}

/// One row of the table. Every text is safe to display.
struct ListLine {
    key: String,
    address: String,
    received_at: String,
    source: String,
    event: String,
    subject: String,
    origin: &'static str,
    state: State,
    reason: String,
    attempts: u32,
}

/// `GET /`.
pub(super) async fn show<I: ReadInbox>(
    Shared(inbox): Shared<Arc<I>>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let asked = ListQuery::read(query.as_deref().unwrap_or(""))?;
    let part = PageRequest {
        limit: ROWS,
        after: asked.after.clone(),
    };
    let listed = inbox.list(&asked.filter(), part).await?;
    Ok(page(StatusCode::OK, &ListPage::of(asked, &listed)))
}

impl ListPage {
    fn of(asked: ListQuery, listed: &RowPage) -> Self {
        Self {
            title: title(&asked, listed),
            narrowed: asked.narrows(),
            lines: listed.rows.iter().map(ListLine::of).collect(),
            left_out: left_out(listed),
            older: listed.next.as_ref().map(|next| asked.address(Some(next))),
            newest: asked.after.is_some().then(|| asked.address(None)),
            asked,
        }
    }

    /// The states to choose from.
    fn states(&self) -> [State; 6] {
        State::ALL
    }

    /// What was asked for, as it stands in the form: an address may hold hostile text, too.
    fn given<'a>(&self, text: &'a str) -> Cow<'a, str> {
        visible(text)
    }

    /// Whether it is the state that was asked for.
    fn chosen(&self, state: &State) -> bool {
        self.asked.state == Some(*state)
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

/// How many there are of what, for whoever has many tabs or can't see the table.
fn title(asked: &ListQuery, listed: &RowPage) -> String {
    let count = listed.rows.len();
    let state = asked
        .state
        .map(|state| format!("{state} "))
        .unwrap_or_default();
    let noun = if count == 1 {
        "notification"
    } else {
        "notifications"
    };
    match (&asked.after, &listed.next) {
        (Some(_), _) => format!("{count} older {state}{noun}"),
        (None, Some(_)) => format!("Newest {count} {state}{noun}"),
        (None, None) => format!("{count} {state}{noun}"),
    }
}

impl ListLine {
    fn of(row: &Row) -> Self {
        Self {
            key: visible(row.key.as_str()).into_owned(),
            address: detail::address(&row.key),
            received_at: row.received_at.to_string(),
            source: visible(row.key.source()).into_owned(),
            event: visible(labels::event(&row.event_type)).into_owned(),
            subject: visible(row.subject.as_deref().unwrap_or("")).into_owned(),
            origin: row.origin.as_str(),
            state: row.state,
            reason: visible(row.reason.as_deref().unwrap_or("")).into_owned(),
            attempts: row.attempts,
        }
    }
}
