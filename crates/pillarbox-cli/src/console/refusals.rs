//! The last refused requests, and why they were refused.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    sender_schedule,
    state::{ConsoleState, SharedConsoleState},
};
use crate::{
    labels,
    refusals::{DiagnosisState, MAX_REFUSALS, RefusalReport, RefusedRequest},
};
use pillarbox::telemetry::visible;

#[derive(Template)]
#[template(path = "refusals.html")]
struct RefusalsPage {
    frame: PageFrame,
    /// `None` if this process receives nothing.
    shown: Option<ShownRefusals>,
}

/// Every text is safe to display.
struct ShownRefusals {
    title: String,
    since: String,
    counts: Vec<ShownCount>,
    lines: Vec<RefusalLine>,
    max: usize,
}

struct ShownCount {
    source: String,
    meaning: &'static str,
    reason: &'static str,
    count: u64,
}

struct RefusalLine {
    at: String,
    source: String,
    reason: &'static str,
    meaning: &'static str,
    status: u16,
    bytes: String,
    digest: String,
    causes: Vec<String>,
    note: Option<&'static str>,
    next: Option<String>,
}

/// `GET /refusals`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    let report = state.settings.refusals.as_ref().map(|log| log.report());
    let shown = report.map(|report| ShownRefusals::of(&state, &report));
    Ok(page(StatusCode::OK, &RefusalsPage { frame, shown }))
}

/// `GET /refusals.json`: the same for programs.
pub(super) async fn json<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
) -> Result<Response, PageError> {
    let log = state.settings.refusals.as_ref().ok_or(PageError::NoPage)?;
    let json = serde_json::to_string(&log.report()).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

impl ShownRefusals {
    fn of<I>(state: &ConsoleState<I>, report: &RefusalReport) -> Self {
        let total: u64 = report.counts.iter().map(|count| count.count).sum();
        let noun = if total == 1 { "request" } else { "requests" };
        let counts = report.counts.iter().map(|count| ShownCount {
            source: visible(&count.source).into_owned(),
            meaning: labels::refusal(count.reason),
            reason: count.reason,
            count: count.count,
        });
        let lines = report.latest.iter();
        Self {
            title: format!("{total} refused {noun}"),
            since: report.since.to_string(),
            counts: counts.collect(),
            lines: lines
                .map(|refused| RefusalLine::of(state, refused))
                .collect(),
            max: MAX_REFUSALS,
        }
    }
}

impl RefusalLine {
    fn of<I>(state: &ConsoleState<I>, refused: &RefusedRequest) -> Self {
        let source = state.source(&refused.source);
        let next =
            source.and_then(|source| sender_schedule::after_refusal(source.kind, refused.status));
        let causes = refused.causes.iter();
        Self {
            at: refused.at.to_string(),
            source: visible(&refused.source).into_owned(),
            reason: refused.reason,
            meaning: labels::refusal(refused.reason),
            status: refused.status,
            bytes: refused
                .body_bytes
                .map_or_else(String::new, |bytes| bytes.to_string()),
            digest: refused.digest_prefix.clone().unwrap_or_default(),
            causes: causes.map(|cause| visible(cause).into_owned()).collect(),
            note: match refused.diagnosis {
                DiagnosisState::NotNeeded | DiagnosisState::Done => None,
                DiagnosisState::Pending => {
                    Some("The likely cause is being looked for. Reload this page.")
                }
                DiagnosisState::Skipped => {
                    Some("Too many requests were refused at once, so no cause was looked for.")
                }
            },
            next,
        }
    }
}

#[cfg(test)]
mod tests;
