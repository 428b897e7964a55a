//! Rows and events for tests.

#![allow(
    clippy::unwrap_used,
    reason = "test code: the helpers of a test are not seen as tests"
)]

use super::Event;
use crate::{
    domain::State,
    inbox::{DeliveryHistory, Row},
    senders::{
        Entry,
        example::{NOW, hmrc},
    },
};

/// The row of `entry`, recorded and claimed once.
pub fn row(entry: &Entry) -> Row {
    Row {
        key: entry.key.clone(),
        body: Some(entry.body.clone()),
        digest: entry.digest,
        content_digest: entry.content_digest,
        signature: entry.signature.clone(),
        key_label: entry.key_label.clone(),
        secret_fingerprint: None,
        kind: entry.kind,
        event_type: entry.event_type.clone(),
        subject: entry.subject.clone(),
        event_at: entry.event_at,
        received_at: entry.received_at,
        origin: entry.origin,
        state: State::Recorded,
        reason: None,
        index_partition: None,
        attempts: 1,
        lease: None,
        budget_from: NOW,
        last_error: None,
        due_at: None,
        expires_at: None,
        history: DeliveryHistory::default(),
    }
}

/// What `entry` is handed on as.
pub fn event(entry: &Entry) -> Event {
    Event::of(&row(entry)).unwrap()
}

/// An event of HMRC's whose JSON is this long.
pub fn event_of_length(length: usize) -> Event {
    let of = |padding: usize| {
        event(&hmrc(
            "n1",
            &format!(r#"{{"x":"{}"}}"#, "x".repeat(padding)),
        ))
    };
    let event = of(length - of(0).json().len());
    assert_eq!(event.json().len(), length);
    event
}
