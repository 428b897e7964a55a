//! The page of one notification: its row and, on request, its exact bytes.

use askama::Template;
use axum::{
    Extension,
    extract::{Path, RawQuery, State as Shared, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    state::SharedState,
};
use crate::labels;
use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{ReadInbox, Row},
    telemetry::{visible, visible_lines},
};

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
    address: String,
    key: String,
    event: String,
    state: State,
    meaning: &'static str,
    reason: Option<StateReason>,
    about: Vec<StoredAttribute>,
    progress: Vec<StoredAttribute>,
    pulled: bool,
    key_label: Option<String>,
    signature: Option<String>,
    digest: String,
    content_digest: String,
    bytes: ShownBytes,
}

/// One stored attribute.
struct StoredAttribute {
    name: &'static str,
    value: String,
}

/// Why a notification is in its state.
enum StateReason {
    /// In one word of ours, with what it means.
    Held { word: String, meaning: &'static str },
    /// The same event was recorded under this key before.
    RepeatOf { key: String, address: String },
    /// As it was written.
    Other(String),
}

/// The bytes as the page shows them.
enum ShownBytes {
    /// Hidden until requested, because they hold personal data.
    Hidden { length: usize },
    /// All of them, as text.
    Shown {
        length: usize,
        text: String,
        damaged: bool,
    },
    /// There are none any more.
    Erased,
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
    Shared(state): Shared<SharedState<I>>,
    Extension(frame): Extension<PageFrame>,
    key: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let row = find(&*state.inbox, key).await?;
    let mut asked = form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes());
    let bytes = ShownBytes::of(
        &row,
        asked.any(|(name, value)| name == "bytes" && value == "show"),
    );
    Ok(page(
        StatusCode::OK,
        &NotificationPage::of(frame, &row, bytes),
    ))
}

/// `GET /notifications/{key}/raw`: the exact bytes, as a download that browsers do not open.
pub(super) async fn raw<I: ConsoleInbox>(
    Shared(state): Shared<SharedState<I>>,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, PageError> {
    let row = find(&*state.inbox, key).await?;
    if row.body.is_none() {
        return Err(PageError::Erased);
    }
    let body = row.proven_body()?.clone();
    tracing::info!(key = %row.key, "bytes downloaded from the console");
    // A name of our own making: a sender's id may be no fit name for a file.
    let name = format!("{}-{}.bin", row.key.source(), hex::encode(&row.digest[..8]));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    Ok((headers, body).into_response())
}

async fn find(
    inbox: &impl ReadInbox,
    key: Result<Path<String>, PathRejection>,
) -> Result<Row, PageError> {
    let key = key
        .ok()
        .and_then(|Path(key)| Key::parse(&key))
        .ok_or(PageError::NoNotification)?;
    inbox.get(&key).await?.ok_or(PageError::NoNotification)
}

impl NotificationPage {
    fn of(frame: PageFrame, row: &Row, bytes: ShownBytes) -> Self {
        Self {
            frame,
            address: address(&row.key),
            key: visible(row.key.as_str()).into_owned(),
            event: visible(labels::event(&row.event_type)).into_owned(),
            state: row.state,
            meaning: labels::state(row.state),
            reason: row
                .reason
                .as_deref()
                .map(|reason| StateReason::of(row.state, reason)),
            about: about(row),
            progress: progress(row),
            pulled: row.origin == Origin::Pull,
            key_label: row
                .key_label
                .as_deref()
                .map(|label| visible(label).into_owned()),
            signature: row
                .signature
                .as_deref()
                .map(|value| visible(value).into_owned()),
            digest: hex::encode(row.digest),
            content_digest: hex::encode(row.content_digest),
            bytes,
        }
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

impl ShownBytes {
    fn of(row: &Row, asked: bool) -> Self {
        let Some(body) = &row.body else {
            return Self::Erased;
        };
        if !asked {
            return Self::Hidden { length: body.len() };
        }
        tracing::info!(key = %row.key, "bytes shown in the console");
        let text = visible_lines(&String::from_utf8_lossy(body)).into_owned();
        Self::Shown {
            length: body.len(),
            text,
            damaged: row.proven_body().is_err(),
        }
    }
}

fn about(row: &Row) -> Vec<StoredAttribute> {
    vec![
        fact("Source", row.key.source()),
        fact("Sender’s identifier", &row.id()),
        fact("Event type", &row.event_type),
        fact("Payment or box", row.subject.as_deref().unwrap_or("None")),
        fact("Sender’s date", &instant(row.event_at)),
        fact("Received", &row.received_at.to_string()),
        fact("Origin", row.origin.as_str()),
    ]
}

fn progress(row: &Row) -> Vec<StoredAttribute> {
    // A dead or held row is due to a person, and its date says since when.
    let due = if row.state == State::Recorded {
        "Next due"
    } else {
        "Waiting since"
    };
    let lease = row
        .lease
        .map(|lease| format!("{} until {}", lease.id, lease.until));
    vec![
        fact("Attempts", &row.attempts.to_string()),
        fact("Last error", row.last_error.as_deref().unwrap_or("None")),
        fact(due, &instant(row.due_at)),
        fact("Budget began", &row.budget_from.to_string()),
        fact("Lease", lease.as_deref().unwrap_or("None")),
        fact("Removed after", &instant(row.expires_at)),
    ]
}

fn fact(name: &'static str, value: &str) -> StoredAttribute {
    StoredAttribute {
        name,
        value: visible(value).into_owned(),
    }
}

fn instant(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "None".to_owned(), |at| at.to_string())
}
