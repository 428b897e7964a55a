//! A notification that is ready to be recorded.

use bytes::Bytes;

use super::{SecretFingerprint, SenderKind};
use crate::domain::{HeldReason, Key, Origin, Timestamp};

/// One notification, ready to be recorded. Only [`read()`](super::read()) makes one, from a proof.
///
/// ```compile_fail,E0451
/// use pillarbox::senders::Entry;
/// fn forge(entry: Entry) -> Entry {
///     Entry { body: "{}".into(), ..entry }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key of its row.
    pub key: Key,
    /// The bytes exactly as received.
    pub body: Bytes,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    /// SHA-256 of the content that its sender does not change between two copies.
    pub content_digest: [u8; 32],
    /// The signature header that verified; `None` for a pulled notification.
    pub signature: Option<String>,
    /// The label of the secret that matched.
    pub key_label: Option<String>,
    /// Identifies that secret.
    pub secret_fingerprint: Option<SecretFingerprint>,
    /// The kind of the sender.
    pub kind: SenderKind,
    /// Pay's event type, or `notification`.
    pub event_type: String,
    /// The payment or box that the notification is about.
    pub subject: Option<String>,
    /// The sender's date.
    pub event_at: Option<Timestamp>,
    /// When it was received, by this machine's clock.
    pub received_at: Timestamp,
    /// Whether it was pushed or pulled.
    pub origin: Origin,
    /// Why it is held for a person; `None` if it is not.
    pub held: Option<HeldReason>,
    pub(super) _proof: EntryProof,
}

/// Private to this module, so that no other code can create an [`Entry`] without a proof.
#[derive(Clone, Debug)]
pub(super) struct EntryProof;

impl Entry {
    /// The same notification as it is stored when its key already belongs to other content.
    pub fn as_conflict(&self) -> Self {
        Self {
            key: self.key.conflict(&self.content_digest),
            held: Some(HeldReason::Conflict),
            ..self.clone()
        }
    }
}

/// One event of one payment, under whichever id the sender sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventName {
    /// The source that sent it.
    pub source: String,
    /// The payment.
    pub subject: String,
    /// `{event_type}|{created_date}`.
    pub event: String,
}
