//! Reads a row from a line that `export` has printed.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use super::Key;
use pillarbox::{
    domain::{Origin, State, Timestamp},
    inbox::{DeliveryHistory, Row},
    senders::{SecretFingerprint, SenderKind},
};

/// Why a line is not imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// The line is not one that `export` prints.
    #[error("it is not a line of `export`: {0}")]
    Line(String),
    /// The row is not what was received.
    #[error("{0} is broken: {1}")]
    Broken(Key, String),
    /// Another notification has its key.
    #[error("{0} is left out: another notification has this key here, with other content")]
    KeyTaken(Key),
}

impl ImportError {
    /// The key of the line, if it can be read.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::Line(_) => None,
            Self::Broken(key, _) | Self::KeyTaken(key) => Some(key),
        }
    }
}

/// The fields of a line that make a row. The others are derived from them.
#[derive(Deserialize)]
struct ExportedFields {
    key: String,
    kind: String,
    event_type: String,
    subject: Option<String>,
    state: String,
    reason: Option<String>,
    attempts: u32,
    event_at: Option<String>,
    received_at: String,
    origin: String,
    last_error: Option<String>,
    due_at: Option<String>,
    expires_at: Option<String>,
    budget_from: Option<String>,
    key_label: Option<String>,
    digest: String,
    content_digest: String,
    signature: Option<String>,
    secret_fingerprint: Option<String>,
    history_base64: Option<String>,
    body_base64: Option<String>,
}

/// The row of a line, before it is proven.
pub(super) fn row_of(line: &str) -> Result<Row, ImportError> {
    let fields: ExportedFields =
        serde_json::from_str(line).map_err(|error| ImportError::Line(describe(&error)))?;
    let received_at = time("received_at", &fields.received_at)?;
    let budget_from = fields.budget_from.as_deref();
    let state = State::parse(&fields.state).ok_or_else(|| invalid("state"))?;
    let body = fields.body_base64.as_deref().map(|text| {
        let bytes = BASE64_STANDARD.decode(text);
        bytes.map_err(|_| invalid("body_base64"))
    });
    let history = fields.history_base64.as_deref().map(|text| {
        let bytes = BASE64_STANDARD.decode(text);
        let bytes = bytes.map_err(|_| invalid("history_base64"))?;
        Ok(DeliveryHistory::decode(&bytes))
    });
    let fingerprint = fields.secret_fingerprint.as_deref().map(|text| {
        let bytes = hex::decode(text).ok();
        let fingerprint = bytes.and_then(|bytes| SecretFingerprint::from_bytes(&bytes));
        fingerprint.ok_or_else(|| invalid("secret_fingerprint"))
    });
    Ok(Row {
        key: Key::parse(&fields.key).ok_or_else(|| invalid("key"))?,
        body: body.transpose()?.map(Into::into),
        digest: digest("digest", &fields.digest)?,
        content_digest: digest("content_digest", &fields.content_digest)?,
        signature: fields.signature,
        key_label: fields.key_label,
        secret_fingerprint: fingerprint.transpose()?,
        kind: SenderKind::parse(&fields.kind).ok_or_else(|| invalid("kind"))?,
        event_type: fields.event_type,
        subject: fields.subject,
        event_at: optional_time("event_at", fields.event_at.as_deref())?,
        received_at,
        origin: Origin::parse(&fields.origin).ok_or_else(|| invalid("origin"))?,
        state,
        reason: fields.reason,
        // Every inbox has shard 0; the inbox chooses the shard again when it stores the row.
        index_partition: state.index_partition().map(|name| format!("{name}:0")),
        attempts: fields.attempts,
        lease: None,
        budget_from: optional_time("budget_from", budget_from)?.unwrap_or(received_at),
        last_error: fields.last_error,
        due_at: optional_time("due_at", fields.due_at.as_deref())?,
        expires_at: optional_time("expires_at", fields.expires_at.as_deref())?,
        history: history.transpose()?.unwrap_or_default(),
    })
}

/// The error of a line. The library's message about a value of another type quotes the value, which
/// may be personal.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match error.is_data() && text.starts_with("invalid ") {
        true => format!("a value of another type ends at column {}", error.column()),
        false => text,
    }
}

fn invalid(field: &'static str) -> ImportError {
    ImportError::Line(format!("invalid {field}"))
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, ImportError> {
    Timestamp::parse(text).ok_or_else(|| invalid(field))
}

fn optional_time(
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, ImportError> {
    text.map(|text| time(field, text)).transpose()
}

fn digest(field: &'static str, text: &str) -> Result<[u8; 32], ImportError> {
    let bytes = hex::decode(text).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| invalid(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_export_does_not_print_is_refused_with_the_wrong_field() {
        let zeros = "0".repeat(64);
        let line = format!(
            r#"{{"key":"pay:m1","kind":"govuk-pay","event_type":"card_payment_captured",
            "state":"held","reason":"unreadable","attempts":0,"received_at":"2026-03-02T10:00:00Z",
            "origin":"push","digest":"{zeros}","content_digest":"{zeros}","other":1}}"#
        );
        assert_eq!(row_of(&line).unwrap().key.as_str(), "pay:m1");
        for (right, wrong, expected) in [
            ("pay:m1", "m1", "invalid key"),
            ("govuk-pay", "stripe", "invalid kind"),
            ("held", "lost", "invalid state"),
            ("2026-03-02T10:00:00Z", "today", "invalid received_at"),
            ("\"push\"", "\"post\"", "invalid origin"),
            (&zeros, "00", "invalid digest"),
            ("\"attempts\":0", "\"attempts\":-1", "another type"),
            (
                "\"other\":1",
                "\"body_base64\":\"?\"",
                "invalid body_base64",
            ),
            ("{", "", "not a line of `export`"),
        ] {
            let error = row_of(&line.replacen(right, wrong, 1)).unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }
}
