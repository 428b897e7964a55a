//! Records the history of an inbox across power losses, for the checker.
//!
//! The instants at which rows are stored and claimed are not observable from outside. A row counts
//! as stored when it is found after the cut, and each event on standard output counts as one
//! attempt. So the checker covers acknowledgements, stored rows, deliveries and final rows, but not
//! leases, fences and budgets.

use std::{collections::BTreeMap, time::Duration};

use pillarbox::domain::State;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::messages::PostedMessage;
use crate::history::{BodyGenuineness, History, RecordedEvent, RowState, Sha256Digest};

/// A row in the output of `list`.
pub(super) struct ListedRow {
    pub(super) key: String,
    pub(super) state: RowState,
    digest: Sha256Digest,
}

impl ListedRow {
    /// Reads a line of `list --json`.
    pub(super) fn read(line: &Value) -> Option<Self> {
        let state = State::parse(line["state"].as_str()?)?.into();
        let hex = line["digest"].as_str()?;
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self {
            key: line["key"].as_str()?.to_owned(),
            state,
            digest,
        })
    }
}

/// The known state of a row.
#[derive(Clone, Copy, Default)]
struct KnownRowState {
    content: u64,
    is_stored: bool,
    attempts: u32,
    state: Option<RowState>,
}

/// The history of an inbox so far, over all cuts that it survived.
#[derive(Clone, Default)]
pub(super) struct ObservedHistory {
    pub(super) history: History,
    rows: BTreeMap<String, KnownRowState>,
    at: i64,
    posts: u32,
    calls: u32,
}

impl ObservedHistory {
    fn push(&mut self, what: RecordedEvent) {
        self.at += 1;
        self.history.push(self.at, what);
    }

    /// Records that a sender created a message.
    pub(super) fn created(&mut self, message: &PostedMessage) {
        let content = message.content;
        let known = KnownRowState {
            content,
            ..KnownRowState::default()
        };
        self.rows.entry(message.key()).or_insert(known);
        self.push(RecordedEvent::Created {
            source: message.source().to_owned(),
            id: message.id().to_owned(),
            payment: None,
            content,
        });
    }

    /// Records a post of the message. Returns the number of the request.
    pub(super) fn posted(&mut self, message: &PostedMessage) -> u32 {
        self.posts += 1;
        self.push(RecordedEvent::Posted {
            post: self.posts,
            source: message.source().to_owned(),
            id: message.id().to_owned(),
            content: message.content,
            digest: message.digest(),
            genuine: BodyGenuineness::Proven,
        });
        self.posts
    }

    pub(super) fn answered(&mut self, post: u32, status: u16, took: Duration) {
        self.push(RecordedEvent::Answered { post, status, took });
    }

    /// Records a fault that may affect any row.
    pub(super) fn fault_injected(&mut self, fault: &'static str) {
        self.push(RecordedEvent::FaultInjected { key: None, fault });
    }

    /// Records the rows in the inbox.
    pub(super) fn found(&mut self, rows: &[ListedRow]) {
        for row in rows {
            let known = self.rows.entry(row.key.clone()).or_default();
            if !known.is_stored {
                known.is_stored = true;
                known.state = Some(RowState::Open);
                let content = known.content;
                self.push(RecordedEvent::Stored {
                    key: row.key.clone(),
                    content,
                    digest: row.digest,
                    held: (row.state == RowState::Held).then_some("held"),
                });
            }
        }
    }

    /// Records the output to the destination. Each complete line is an event.
    pub(super) fn delivered(&mut self, text: &[u8]) {
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in text[..whole].split(|&byte| byte == b'\n') {
            let event: Result<Value, _> = serde_json::from_slice(line);
            let key = event
                .ok()
                .and_then(|event| event["id"].as_str().map(str::to_owned));
            if let Some(key) = key {
                self.attempted(&key, Sha256::digest(line).into());
            } else if !line.is_empty() {
                self.push(RecordedEvent::Stuck {
                    what: "a line at the destination that is not an event".to_owned(),
                });
            }
        }
    }

    fn attempted(&mut self, key: &str, digest: Sha256Digest) {
        let known = self.rows.entry(key.to_owned()).or_default();
        known.attempts += 1;
        let attempt = known.attempts;
        self.calls += 1;
        let (key, call) = (key.to_owned(), self.calls);
        self.push(RecordedEvent::Claimed {
            key: key.clone(),
            attempt,
            lease: u64::from(attempt),
            until: self.at,
        });
        let delivering = RecordedEvent::Delivering {
            key: key.clone(),
            call,
        };
        self.push(delivering);
        let accepted = RecordedEvent::Accepted {
            key: key.clone(),
            call,
            digest,
        };
        self.push(accepted);
        self.push(RecordedEvent::Returned {
            key,
            call,
            refused: false,
        });
    }

    /// Records the rows that are finished now.
    pub(super) fn finished(&mut self, rows: &[ListedRow]) {
        for row in rows.iter().filter(|row| row.state.is_finished()) {
            let known = self.rows.entry(row.key.clone()).or_default();
            if known.state == Some(row.state) {
                continue;
            }
            known.state = Some(row.state);
            let attempt = known.attempts;
            self.push(RecordedEvent::Marked {
                key: row.key.clone(),
                attempt,
                lease: u64::from(attempt),
                state: row.state,
                reason: String::new(),
                done: true,
            });
        }
    }

    /// The whole history, which ends with these rows.
    pub(super) fn ended(&self, rows: &[ListedRow]) -> History {
        let mut ended = self.clone();
        for row in rows {
            ended.push(RecordedEvent::Remaining {
                key: row.key.clone(),
                state: row.state,
                digest: Some(row.digest),
            });
        }
        ended.history
    }

    pub(super) fn stuck(&mut self, what: &str) {
        let what = what.to_owned();
        self.push(RecordedEvent::Stuck { what });
    }
}
