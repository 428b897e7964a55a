//! The JSON of a row: the fields of every `--json` object.

use serde::Serialize;

use super::CommandError;
use pillarbox::{
    domain::Timestamp,
    inbox::{HistoryEntry, Row},
    text::visible_json,
};

/// A row's fields, in the order they are printed. Their names are stable.
#[derive(Serialize)]
pub(super) struct JsonRow {
    key: String,
    source: String,
    id: String,
    event_type: String,
    subject: Option<String>,
    state: &'static str,
    reason: Option<String>,
    attempts: u32,
    event_at: Option<String>,
    received_at: String,
    origin: &'static str,
    last_error: Option<String>,
    due_at: Option<String>,
    expires_at: Option<String>,
    delivered_at: Option<String>,
    replays: u32,
    key_label: Option<String>,
    digest: String,
}

impl From<&Row> for JsonRow {
    fn from(row: &Row) -> Self {
        Self {
            key: row.key.to_string(),
            source: row.key.source().to_owned(),
            id: row.id(),
            event_type: row.event_type.clone(),
            subject: row.subject.clone(),
            state: row.state.as_str(),
            reason: row.reason.clone(),
            attempts: row.attempts,
            event_at: row.event_at.map(|at| at.to_string()),
            received_at: row.received_at.to_string(),
            origin: row.origin.as_str(),
            last_error: row.last_error.clone(),
            due_at: row.due_at.map(|at| at.to_string()),
            expires_at: row.expires_at.map(|at| at.to_string()),
            delivered_at: row.history.delivered_at().map(|at| at.to_string()),
            replays: row.history.replays,
            key_label: row.key_label.clone(),
            digest: hex::encode(row.digest),
        }
    }
}

/// An entry of a row's history.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum JsonHistoryEntry {
    Attempt {
        number: u32,
        began_at: String,
        duration_ms: u64,
        outcome: &'static str,
        destination: Option<String>,
        status: Option<u16>,
        error: Option<String>,
        answer: Option<String>,
    },
    Lapsed {
        first: u32,
        last: u32,
    },
    Replayed {
        at: String,
        attempts: u32,
    },
    Discarded {
        at: String,
        attempts: u32,
        erased: bool,
    },
}

/// The history of a row at `now`, oldest first.
pub(super) fn json_history(row: &Row, now: Timestamp) -> Vec<JsonHistoryEntry> {
    let history = row.full_history(now).into_iter();
    history.map(JsonHistoryEntry::from).collect()
}

impl From<HistoryEntry> for JsonHistoryEntry {
    fn from(entry: HistoryEntry) -> Self {
        match entry {
            HistoryEntry::Attempt(attempt) => Self::Attempt {
                number: attempt.number,
                began_at: attempt.began_at.to_string(),
                duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
                outcome: attempt.outcome.as_str(),
                destination: attempt.destination,
                status: attempt.status,
                error: attempt.error,
                answer: attempt.answer,
            },
            HistoryEntry::Lapsed { first, last } => Self::Lapsed { first, last },
            HistoryEntry::Replayed { at, attempts } => Self::Replayed {
                at: at.to_string(),
                attempts,
            },
            HistoryEntry::Discarded {
                at,
                attempts,
                erased,
            } => Self::Discarded {
                at: at.to_string(),
                attempts,
                erased,
            },
        }
    }
}

/// A value as one line of JSON, escaped for display.
pub(super) fn json(value: &impl Serialize) -> Result<String, CommandError> {
    serde_json::to_string(value)
        .map(|json| visible_json(&json).into_owned())
        .map_err(|error| CommandError::Failed(format!("cannot write JSON: {error}")))
}

#[cfg(test)]
pub(super) mod example {
    //! A row of a GOV.UK Pay source.

    use pillarbox::{
        destinations::example,
        domain::{Key, State, Timestamp},
        inbox::Row,
        senders::example::{NOW, pay},
    };

    pub(in crate::commands) fn row(key: &str, event_type: &str, state: State) -> Row {
        Row {
            key: Key::parse(key).unwrap(),
            event_type: event_type.to_owned(),
            received_at: Timestamp::parse("2026-03-02T10:15:31Z").unwrap(),
            state,
            ..example::row(&pay("m1", "p1", "card_payment_captured", NOW))
        }
    }
}
