//! The page of one notification: its timeline, its signature and its content.
//!
//! Personal fields are masked. A form shows the chosen fields for one view, and that is recorded
//! ([`unmask`]).

mod stored;
mod requested_fields;
mod content;
mod related;

use askama::Template;
use axum::{
    Extension,
    extract::{Path, RawQuery, State as Shared, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::{
    acts, downloads,
    form::ConsoleForm,
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    sender_schedule,
    state::{ConsoleState, SharedConsoleState},
    unmask,
};
use crate::{
    labels,
    payload::{self, PayloadPiece},
    timeline::{TimelineStep, timeline},
};
use content::{InnerMessage, PayloadPanel, PayloadText, json_text};
use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{ReadInbox, Row},
    telemetry::visible,
};
use related::RelatedPanel;
use requested_fields::RequestedFields;
use stored::{SignaturePanel, StoredAttribute, about};

/// The characters that a path segment percent-encodes. `%` is one of them, because a key has
/// escapes too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Template)]
#[template(path = "row_page.html")]
struct NotificationPage {
    frame: PageFrame,
    /// Confirms the act that led to this page.
    notice: Option<&'static str>,
    address: String,
    key: String,
    event: String,
    state: State,
    meaning: &'static str,
    reason: Option<StateReason>,
    acts: Vec<acts::OfferedAct>,
    timeline: Vec<TimelineStep>,
    about: Vec<StoredAttribute>,
    signature: SignaturePanel,
    payload: PayloadPanel,
    related: RelatedPanel,
    curl: Option<String>,
    bytes_file: String,
}

/// Why a notification is in its state.
enum StateReason {
    /// One of our words, with its meaning.
    Held { word: String, meaning: &'static str },
    /// The same event was recorded under this key before.
    RepeatOf { key: String, address: String },
    /// As it is stored.
    Other(String),
}

/// The address of a notification's page.
pub(super) fn address(key: &Key) -> String {
    format!(
        "/notifications/{}",
        utf8_percent_encode(key.as_str(), SEGMENT)
    )
}

/// `GET /notifications/{key}`.
pub(super) async fn show<I: ConsoleInbox>(
    Shared(state): Shared<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    key: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let row = find(&*state.inbox, key).await?;
    let notice = notice(query.as_deref().unwrap_or(""));
    let view = NotificationPage::of(&state, frame, &row, &RequestedFields::default()).await?;
    Ok(page(StatusCode::OK, &NotificationPage { notice, ..view }))
}

/// `POST /notifications/{key}/show`: the same page with some fields, or all bytes, shown.
pub(super) async fn show_fields<I: ConsoleInbox>(
    Shared(state): Shared<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    key: Result<Path<String>, PathRejection>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = find(&*state.inbox, key).await?;
    let requested = RequestedFields::of(&form);
    let names = requested.names(&row);
    if !names.is_empty() {
        unmask::record(&state, &row.key, &names).await?;
    }
    let view = NotificationPage::of(&state, frame, &row, &requested).await?;
    Ok(page(StatusCode::OK, &view))
}

/// Confirms the act that a query names.
fn notice(query: &str) -> Option<&'static str> {
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let (_, word) = fields.find(|(name, _)| name == "done")?;
    acts::notice(&word)
}

/// The row that a path names.
pub(super) async fn find(
    inbox: &impl ReadInbox,
    key: Result<Path<String>, PathRejection>,
) -> Result<Row, PageError> {
    let key = key
        .ok()
        .and_then(|Path(key)| Key::parse(&key))
        .ok_or(PageError::NoNotification)?;
    inbox.get(&key).await?.ok_or(PageError::NoNotification)
}

/// Whether its sender wraps another message.
pub(super) fn has_message(row: &Row) -> bool {
    row.kind.envelope.carries_message
}

impl NotificationPage {
    async fn of<I: ConsoleInbox>(
        state: &ConsoleState<I>,
        frame: PageFrame,
        row: &Row,
        requested: &RequestedFields,
    ) -> Result<Self, PageError> {
        let now = state.settings.clock.now();
        Ok(Self {
            frame,
            notice: None,
            address: address(&row.key),
            key: visible(row.key.as_str()).into_owned(),
            event: visible(labels::event(&row.event_type)).into_owned(),
            state: row.state,
            meaning: labels::state(row.state),
            reason: row
                .reason
                .as_deref()
                .map(|reason| StateReason::of(row.state, reason)),
            acts: acts::offered(row, now),
            timeline: with_copies(row, now),
            about: about(row),
            signature: SignaturePanel::of(state.proof_context().prove(row), row),
            payload: PayloadPanel::of(row, requested),
            related: RelatedPanel::of(&*state.inbox, row).await?,
            curl: downloads::curl(row, state.settings.config.listen)
                .map(|line| visible(&line).into_owned()),
            bytes_file: downloads::file_name(row, "bin"),
        })
    }
}

impl StateReason {
    fn of(state: State, reason: &str) -> Self {
        let shown = visible(reason).into_owned();
        if let (State::Repeat, Some(key)) = (state, Key::parse(reason)) {
            return Self::RepeatOf {
                key: shown,
                address: address(&key),
            };
        }
        match labels::held(reason) {
            Some(meaning) if state == State::Held => Self::Held {
                word: shown,
                meaning,
            },
            _ => Self::Other(shown),
        }
    }
}

/// What happened and what is next, including what its sender does if our answer was lost.
fn with_copies(row: &Row, now: Timestamp) -> Vec<TimelineStep> {
    let mut steps = timeline(row, now, |answer| repeats_personal(row, answer));
    let pushed = Some(row.received_at).filter(|_| row.origin == Origin::Push);
    let to_come = pushed.and_then(|at| sender_schedule::remaining(row.kind, at, now));
    if let Some(to_come) = to_come {
        let sender = row.kind.title;
        steps.push(TimelineStep {
            at: Some(to_come.next),
            title: format!("Next attempt of {sender}, only if our answer was lost"),
            detail: Some(format!(
                "A notification that was answered with 200 is not sent again. Otherwise {sender} \
                 tries until {}, and then gives up. A copy changes nothing.",
                to_come.last
            )),
        });
        steps.sort_by_key(|step| step.at.filter(|at| *at > now));
    }
    steps
}

/// Whether an answer of the destination repeats a field that this page masks. An answer about a
/// body that is not read as JSON counts as one that does.
fn repeats_personal(row: &Row, answer: &str) -> bool {
    match json_text(row) {
        Some(text) => payload::repeats_personal(answer, text, has_message(row)),
        None => row.body.is_some(),
    }
}

#[cfg(test)]
mod tests;
