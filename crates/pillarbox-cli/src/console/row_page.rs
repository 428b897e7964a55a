//! The page of one notification: what happened to it, who signed it, and what it says.
//!
//! Personal fields are masked. A person has them shown one by one, by a form, and the next page
//! masks them again; each is noted ([`seen`]).

use std::collections::HashSet;

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
    list::ListLine,
    page::{PageError, page},
    query::LIST_ADDRESS,
    seen, sender_schedule,
    state::{ConsoleState, SharedState},
};
use crate::{
    evidence::StoredProof,
    labels,
    payload::{
        self, HEX_BYTES, JsonError, PayloadLine, PayloadPiece, PersonalField, PrettyPayload,
    },
    timeline::{TimelineStep, timeline},
};
use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
    senders::SenderKind,
    telemetry::visible,
};

/// The characters that a path segment percent-encodes. `%` is one of them, because a key has
/// escapes too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The related notifications that are listed.
const MAX_RELATED: usize = 20;

/// The longest body that is read as JSON for a page. A longer one can be downloaded.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

#[derive(Template)]
#[template(path = "row_page.html")]
struct NotificationPage {
    frame: PageFrame,
    /// What was done a moment ago.
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

/// Who signed it, and whether that holds today.
struct SignaturePanel {
    is_broken: bool,
    verdict: String,
    facts: Vec<StoredAttribute>,
}

/// What it says.
struct PayloadPanel {
    /// The bytes are erased.
    is_erased: bool,
    is_damaged: bool,
    length: usize,
    /// The numbers of the fields that are shown now.
    shown: Vec<String>,
    text: PayloadText,
    inner: Option<InnerMessage>,
    /// The exact bytes, if a person asked for them.
    bytes: Option<ShownBytes>,
}

enum PayloadText {
    /// JSON, or the part of it before its first error.
    Json {
        lines: Vec<PayloadLine>,
        is_cut: bool,
        error: Option<JsonError>,
    },
    /// Bytes that are no UTF-8 from this one on.
    NotText { valid_up_to: usize },
    /// More than is read for a page.
    TooLong,
}

/// The message that HMRC carries, read a second time.
enum InnerMessage {
    Json {
        lines: Vec<PayloadLine>,
        is_cut: bool,
    },
    Text {
        text: String,
        is_cut: bool,
    },
}

struct ShownBytes {
    text: String,
    is_hex: bool,
    is_cut: bool,
}

/// Notifications about the same payment, and what this one conflicts with.
struct RelatedPanel {
    conflict_with: Option<(String, String)>,
    lines: Vec<RelatedLine>,
    /// The list of all of them.
    all: Option<String>,
}

struct RelatedLine {
    line: ListLine,
    /// Whether it repeats the notification of the page.
    repeats_this: bool,
}

/// What a person asked to see.
#[derive(Default)]
struct AskedFields {
    outer: HashSet<usize>,
    inner: HashSet<usize>,
    bytes: Option<bool>,
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
    let notice = notice(query.as_deref().unwrap_or(""));
    let view = NotificationPage::of(&state, frame, &row, &AskedFields::default()).await?;
    Ok(page(StatusCode::OK, &NotificationPage { notice, ..view }))
}

/// `POST /notifications/{key}/show`: the same page with some fields, or all bytes, shown.
pub(super) async fn show_fields<I: ConsoleInbox>(
    Shared(state): Shared<SharedState<I>>,
    Extension(frame): Extension<PageFrame>,
    key: Result<Path<String>, PathRejection>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = find(&*state.inbox, key).await?;
    let asked = AskedFields::of(&form);
    let names = asked.names(&row);
    if !names.is_empty() {
        seen::note(&state, &row.key, &names).await?;
    }
    let view = NotificationPage::of(&state, frame, &row, &asked).await?;
    Ok(page(StatusCode::OK, &view))
}

/// What a query says was done a moment ago.
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

/// Whether its sender carries the message of another.
pub(super) fn has_message(row: &Row) -> bool {
    row.kind == SenderKind::HMRC
}

impl NotificationPage {
    async fn of<I: ConsoleInbox>(
        state: &ConsoleState<I>,
        frame: PageFrame,
        row: &Row,
        asked: &AskedFields,
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
            payload: PayloadPanel::of(row, asked),
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

impl SignaturePanel {
    fn of(proof: StoredProof, row: &Row) -> Self {
        let (is_broken, verdict) = match proof {
            StoredProof::Signed => (
                false,
                "Proven now: a secret of its source signed these bytes.",
            ),
            StoredProof::Pulled => (
                false,
                "Pulled: Pillarbox asked its sender for it over TLS. A pulled notification has no \
                 signature.",
            ),
            StoredProof::Erased => (false, "Its bytes are erased, so nothing is left to prove."),
            StoredProof::OtherSecret(why) => return Self::with(false, &why, row),
            StoredProof::Broken(why) => return Self::with(true, &why, row),
        };
        Self::with(is_broken, verdict, row)
    }

    fn with(is_broken: bool, verdict: &str, row: &Row) -> Self {
        let texts = [
            ("Secret that matched", row.key_label.clone()),
            ("Signature header", row.signature.clone()),
            ("SHA-256 of the bytes", Some(hex::encode(row.digest))),
            (
                "SHA-256 of the content",
                Some(hex::encode(row.content_digest)),
            ),
        ];
        let facts = texts.into_iter();
        let facts = facts.filter_map(|(name, value)| Some(fact(name, &value?)));
        Self {
            is_broken,
            verdict: visible(verdict).into_owned(),
            facts: facts.collect(),
        }
    }
}

impl AskedFields {
    fn of(form: &ConsoleForm) -> Self {
        let mut asked = Self::default();
        for given in form.all("show") {
            let (fields, number) = match given.strip_prefix('m') {
                Some(number) => (&mut asked.inner, number),
                None => (&mut asked.outer, given),
            };
            fields.extend(number.parse::<usize>().ok());
        }
        asked.bytes = match form.get("bytes") {
            Some("exact") => Some(false),
            Some("hex") => Some(true),
            _ => None,
        };
        asked
    }

    /// The names of what is shown, as far as the notification has it.
    fn names(&self, row: &Row) -> Vec<String> {
        let mut names = Vec::new();
        if let (Some(_), Some(_)) = (self.bytes, &row.body) {
            names.push("every byte".to_owned());
        }
        let Some(text) = json_text(row) else {
            return names;
        };
        let outer = payload::fields(text, has_message(row));
        names.extend(chosen(&outer, &self.outer).map(|field| field.audit_name.clone()));
        if let Some(message) = self.message(text, &outer) {
            let inner = payload::fields(&message, false);
            let inner = chosen(&inner, &self.inner);
            names.extend(inner.map(|field| format!("message.{}", field.audit_name)));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The message within, if it is shown.
    fn message(&self, text: &str, outer: &[PersonalField]) -> Option<String> {
        let number = outer.iter().position(|field| field.is_message)?;
        let is_shown = self.outer.contains(&number);
        is_shown.then(|| serde_json::from_str(&text[outer[number].range.clone()]).ok())?
    }
}

/// What happened and what comes next, with the copies that its sender makes if our answer was lost.
fn with_copies(row: &Row, now: Timestamp) -> Vec<TimelineStep> {
    let mut steps = timeline(row, now, |answer| repeats_personal(row, answer));
    let pushed = Some(row.received_at).filter(|_| row.origin == Origin::Push);
    let to_come = pushed.and_then(|at| sender_schedule::remaining(row.kind, at, now));
    if let Some(to_come) = to_come {
        let sender = row.kind.title;
        steps.push(TimelineStep {
            at: Some(to_come.next),
            title: format!("Next try of {sender}, only if our answer was lost"),
            detail: Some(format!(
                "What was answered 200 is not sent again. Otherwise {sender} tries until {}, and \
                 then gives up; a copy changes nothing.",
                to_come.last
            )),
        });
        steps.sort_by_key(|step| step.at.filter(|at| *at > now));
    }
    steps
}

/// Whether an answer of the destination repeats what is hidden on this page. What is not read as
/// JSON can't be compared.
fn repeats_personal(row: &Row, answer: &str) -> bool {
    match json_text(row) {
        Some(text) => payload::repeats_personal(answer, text, has_message(row)),
        None => row.body.is_some(),
    }
}

fn chosen<'a>(
    fields: &'a [PersonalField],
    numbers: &'a HashSet<usize>,
) -> impl Iterator<Item = &'a PersonalField> {
    let numbered = fields.iter().enumerate();
    numbered.filter_map(|(number, field)| numbers.contains(&number).then_some(field))
}

/// The text, if it is short enough to be read as JSON.
fn json_text(row: &Row) -> Option<&str> {
    let body = row.body.as_ref()?;
    let text = std::str::from_utf8(body).ok()?;
    (text.len() <= MAX_JSON_BYTES).then_some(text)
}

impl PayloadPanel {
    fn of(row: &Row, asked: &AskedFields) -> Self {
        let body = row.body.as_deref().unwrap_or_default();
        let mut panel = Self {
            is_erased: row.body.is_none(),
            is_damaged: row.body.is_some() && row.proven_body().is_err(),
            length: body.len(),
            shown: Vec::new(),
            text: PayloadText::TooLong,
            inner: None,
            bytes: asked.bytes.map(|is_hex| ShownBytes::of(body, is_hex)),
        };
        if let Err(error) = std::str::from_utf8(body) {
            let valid_up_to = error.valid_up_to();
            panel.text = PayloadText::NotText { valid_up_to };
        } else if let Some(text) = json_text(row) {
            panel.read(text, has_message(row), asked);
        }
        panel
    }

    fn read(&mut self, text: &str, has_message: bool, asked: &AskedFields) {
        let fields = payload::fields(text, has_message);
        let PrettyPayload { lines, is_cut } = payload::pretty(text, &fields, &asked.outer);
        let error = payload::json_error(text);
        self.text = PayloadText::Json {
            lines,
            is_cut,
            error,
        };
        let outer = asked.outer.iter().filter(|number| **number < fields.len());
        self.shown.extend(outer.map(usize::to_string));
        let Some(message) = asked.message(text, &fields) else {
            return;
        };
        if payload::json_error(&message).is_some() {
            let (text, is_cut) = payload::beginning(&message);
            self.inner = Some(InnerMessage::Text { text, is_cut });
            return;
        }
        let fields = payload::fields(&message, false);
        let inner = asked.inner.iter().filter(|number| **number < fields.len());
        self.shown.extend(inner.map(|number| format!("m{number}")));
        let PrettyPayload { lines, is_cut } = payload::pretty(&message, &fields, &asked.inner);
        self.inner = Some(InnerMessage::Json { lines, is_cut });
    }
}

impl ShownBytes {
    fn of(body: &[u8], is_hex: bool) -> Self {
        if is_hex {
            return Self {
                text: payload::hex_dump(body),
                is_hex,
                is_cut: body.len() > HEX_BYTES,
            };
        }
        let (text, is_cut) = payload::beginning(&String::from_utf8_lossy(body));
        Self {
            text,
            is_hex,
            is_cut,
        }
    }
}

impl RelatedPanel {
    async fn of(inbox: &impl ReadInbox, row: &Row) -> Result<Self, PageError> {
        let (before, mark) = row.key.as_str().rsplit_once('~').unzip();
        let original = before.filter(|_| mark.is_some()).and_then(Key::parse);
        let conflict_with = original.map(|key| (visible(key.as_str()).into_owned(), address(&key)));
        let mut panel = Self {
            conflict_with,
            lines: Vec::new(),
            all: None,
        };
        // A box has thousands of notifications, which are not related; a payment has a few.
        let Some(subject) = row.subject.clone().filter(|_| row.event().is_some()) else {
            return Ok(panel);
        };
        let source = row.key.source().to_owned();
        let all = list_of(&source, &subject);
        let filter = RowFilter {
            source: Some(source),
            subject: Some(subject),
            ..RowFilter::default()
        };
        let request = PageRequest::first(MAX_RELATED + 1);
        let listed = inbox.list(&filter, request).await?;
        let is_more = listed.next.is_some();
        let others = listed.rows.iter().filter(|other| other.key != row.key);
        let is_repeat = |other: &Row| {
            other.state == State::Repeat && other.reason.as_deref() == Some(row.key.as_str())
        };
        let lines = others.take(MAX_RELATED).map(|other| RelatedLine {
            line: ListLine::of(other),
            repeats_this: is_repeat(other),
        });
        panel.lines.extend(lines);
        panel.all = is_more.then_some(all);
        Ok(panel)
    }
}

/// The address of the list of everything about a payment.
fn list_of(source: &str, subject: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("source", source);
    query.append_pair("subject", subject);
    format!("{LIST_ADDRESS}?{}", query.finish())
}

fn about(row: &Row) -> Vec<StoredAttribute> {
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
        fact("Source", row.key.source()),
        fact("Sender’s identifier", &row.id()),
        fact("Event type", &row.event_type),
        fact("Payment or box", row.subject.as_deref().unwrap_or("None")),
        fact("Sender’s date", &instant(row.event_at)),
        fact("Received", &row.received_at.to_string()),
        fact("Origin", row.origin.as_str()),
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

#[cfg(test)]
mod tests;
