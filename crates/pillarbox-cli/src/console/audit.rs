//! The audit trail: who changed what, and who saw which personal data.

use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    row_page,
    state::SharedConsoleState,
};
use pillarbox::{domain::Key, inbox::AuditEntry, telemetry::visible};

/// The entries that are shown; `pillarbox audit` has all of them.
const MAX_ENTRIES: usize = 200;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: PageFrame,
    lines: Vec<AuditLine>,
    is_cut: bool,
    max: usize,
}

/// One entry. Every text is safe to display.
struct AuditLine {
    at: String,
    actor: String,
    action: &'static str,
    target: String,
    /// The page of the notification, if it is about one.
    address: Option<String>,
    count: String,
    outcome: &'static str,
}

/// `GET /audit`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    let entries = state.inbox.audit_entries(None, MAX_ENTRIES + 1).await?;
    let lines = entries.iter().take(MAX_ENTRIES).map(AuditLine::of);
    let shown = AuditPage {
        frame,
        lines: lines.collect(),
        is_cut: entries.len() > MAX_ENTRIES,
        max: MAX_ENTRIES,
    };
    Ok(page(StatusCode::OK, &shown))
}

impl AuditLine {
    fn of(entry: &AuditEntry) -> Self {
        // A masked field is named after the key.
        let key = entry.target.split(", ").next().and_then(Key::parse);
        let planned = entry.planned.map(|planned| format!(" of {planned}"));
        Self {
            at: entry.at.to_string(),
            actor: visible(&entry.actor).into_owned(),
            action: entry.action.as_str(),
            target: visible(&entry.target).into_owned(),
            address: key.map(|key| row_page::address(&key)),
            count: format!("{}{}", entry.done, planned.unwrap_or_default()),
            outcome: entry.outcome.as_str(),
        }
    }
}
