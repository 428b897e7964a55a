//! A request -> route -> verify -> read -> record -> answer.
//!
//! What a sender asks comes in, free of any HTTP server; what it is told goes out. Nothing is read
//! before it is verified, and nothing is acknowledged before it is stored.

mod answer;
mod route;

use std::time::Duration;

use bytes::Bytes;

use crate::{
    domain::{Key, Timestamp},
    inbox::{Inbox, InboxError, Recorded},
    senders::{Acceptance, Source, read, verify},
};

pub use answer::{HttpAnswer, Refusal};
pub use route::{Route, route};

/// The longest body that is taken in.
pub const LONGEST_BODY: usize = 8 * 1024 * 1024;
/// How long recording may take: an answer is due 2.5 s after the last byte, because Pay hangs up at 3 s.
pub const PATIENCE: Duration = Duration::from_millis(2_300);

/// One POST to a source, as it came over the wire.
#[derive(Debug)]
pub struct Callback<'a> {
    /// The source it was posted to.
    pub source: &'a Source,
    /// Every value of the source's signature header.
    pub signatures: &'a [&'a [u8]],
    /// The exact bytes received.
    pub body: Bytes,
    /// When they had come.
    pub received_at: Timestamp,
}

/// What was stored, for the answer and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The key it is stored under.
    pub key: Key,
    /// How recording ended.
    pub stored: ReceiptStatus,
    /// Which secret matched, by label.
    pub key_label: String,
}

/// How recording ended, as the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptStatus {
    /// Stored now, and to be handed on.
    Recorded,
    /// Stored before.
    Duplicate,
    /// Stored now, and held: the reason in one word.
    Held(&'static str),
}

/// Takes one notification in. The order of these lines is the promise we make.
pub async fn receive(
    inbox: &impl Inbox,
    callback: Callback<'_>,
    window: Acceptance,
    patience: Duration,
) -> Result<Receipt, Refusal> {
    let Callback {
        source,
        signatures,
        body,
        received_at,
    } = callback;
    if source.keys.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let verified =
        verify(source.kind, &source.keys, signatures, body).map_err(Refusal::Signature)?;
    let key_label = verified.key_label().to_owned();
    let entry = read(&source.name, verified, received_at, window);
    let recorded = tokio::time::timeout(patience, inbox.record(&entry))
        .await
        .map_err(|_| Refusal::Inbox(slow()))?;
    let (key, stored) = match recorded.map_err(Refusal::Inbox)? {
        Recorded::First => (
            entry.key,
            entry.held.map_or(ReceiptStatus::Recorded, |reason| {
                ReceiptStatus::Held(reason.as_str())
            }),
        ),
        Recorded::Duplicate => (entry.key, ReceiptStatus::Duplicate),
        Recorded::Conflict(key) => (key, ReceiptStatus::Held("conflict")),
    };
    Ok(Receipt {
        key,
        stored,
        key_label,
    })
}

fn slow() -> InboxError {
    InboxError::Unavailable("it took too long: the sender would have hung up".to_owned())
}
