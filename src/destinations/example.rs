//! Rows and events for tests.

#![allow(
    clippy::unwrap_used,
    reason = "test code: Clippy does not recognise test helpers as tests"
)]

use super::Event;
use crate::{
    inbox::Row,
    senders::{Entry, example::hmrc},
};

/// The row of `entry`, recorded and claimed once.
pub fn row(entry: &Entry) -> Row {
    Row {
        attempts: 1,
        due_at: None,
        ..Row::new(entry)
    }
}

/// The event of `entry`.
pub fn event(entry: &Entry) -> Event {
    Event::of(&row(entry)).unwrap()
}

/// An HMRC event whose JSON has this many bytes.
pub fn event_of_length(length: usize) -> Event {
    let padded = |padding: usize| {
        let message = format!(r#"{{"x":"{}"}}"#, "x".repeat(padding));
        event(&hmrc("n1", &message))
    };
    let event = padded(length - padded(0).json().len());
    assert_eq!(event.json().len(), length);
    event
}
