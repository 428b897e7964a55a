//! [`Verified`] or [`Pulled`] -> [`Entry`]. Reading can't fail: what is unreadable is held.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{
    Entry, Pulled, SenderKind, UNKNOWN_EVENT_TYPE, Verified, entry::Proof, json::UnreadableError,
};
use crate::domain::{HeldReason, Id, Key, Origin, SourceName, Timestamp};

/// How far ahead of our clock a sender's date may lie.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How old a notification may be and still be delivered without a person.
///
/// Neither HMRC nor Pay signs a time of sending, so this window and the stored rows are the only
/// defence against a captured request that is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance(pub Duration);

impl Acceptance {
    fn covers(self, event_at: Timestamp, received_at: Timestamp) -> bool {
        event_at >= received_at.minus(self.0) && event_at <= received_at.plus(AHEAD)
    }
}

/// What an envelope says, whichever sender wrote it.
pub(super) struct EnvelopeFields {
    pub(super) id: Id,
    pub(super) event_type: String,
    pub(super) subject: Option<String>,
    pub(super) event_at: Timestamp,
    pub(super) content_digest: [u8; 32],
}

/// A notification's content as a consumer gets it.
pub struct EventData {
    /// Its media type.
    pub content_type: String,
    /// The JSON text to embed: the sender's own, or a string holding it.
    pub json: String,
}

/// Bytes that are known to be genuine.
#[derive(Debug)]
pub enum ProvenBytes {
    /// The sender posted and signed them.
    Signed(Verified),
    /// The sender's API returned them.
    Given(Pulled),
}

impl From<Verified> for ProvenBytes {
    fn from(verified: Verified) -> Self {
        Self::Signed(verified)
    }
}

impl From<Pulled> for ProvenBytes {
    fn from(pulled: Pulled) -> Self {
        Self::Given(pulled)
    }
}

impl ProvenBytes {
    fn kind(&self) -> SenderKind {
        match self {
            Self::Signed(verified) => verified.kind(),
            Self::Given(pulled) => pulled.kind(),
        }
    }

    fn reading(&self, received_at: Timestamp) -> Result<EnvelopeFields, UnreadableError> {
        let envelope = &self.kind().envelope;
        match self {
            Self::Signed(verified) => (envelope.read)(verified.signed()),
            Self::Given(pulled) => (envelope.read_pulled)(pulled.body(), received_at),
        }
    }

    /// What a row stores of the bytes and of their proof.
    fn blank(self, source: &SourceName, received_at: Timestamp) -> Entry {
        let kind = self.kind();
        let signed = match &self {
            Self::Signed(verified) => verified.signed().clone(),
            Self::Given(pulled) => pulled.body().clone(),
        };
        let (body, origin, signature, key_label) = match self {
            Self::Signed(verified) => {
                let (body, signature, key_label) = verified.into_parts();
                (body, Origin::Push, Some(signature), Some(key_label))
            }
            Self::Given(pulled) => (pulled.body().clone(), Origin::Pull, None, None),
        };
        let digest: [u8; 32] = Sha256::digest(&body).into();
        let signed_digest = if signed == body {
            digest
        } else {
            Sha256::digest(&signed).into()
        };
        Entry {
            key: Key::unreadable(source, &signed_digest),
            digest,
            content_digest: signed_digest,
            signature,
            key_label,
            body,
            kind,
            event_type: UNKNOWN_EVENT_TYPE.to_owned(),
            subject: None,
            event_at: None,
            received_at,
            origin,
            held: Some(HeldReason::Unreadable),
            _proof: Proof,
        }
    }
}

/// Reads proven bytes into what is recorded of them.
pub fn read(
    source: &SourceName,
    proven: impl Into<ProvenBytes>,
    received_at: Timestamp,
    window: Acceptance,
) -> Entry {
    let proven = proven.into();
    let reading = proven.reading(received_at);
    let blank = proven.blank(source, received_at);
    match reading {
        Err(
            UnreadableError::Json
            | UnreadableError::Depth
            | UnreadableError::Id
            | UnreadableError::Date,
        ) => blank,
        Ok(reading) => Entry {
            key: Key::new(source, &reading.id),
            content_digest: reading.content_digest,
            event_type: reading.event_type,
            subject: reading.subject,
            event_at: Some(reading.event_at),
            held: (!window.covers(reading.event_at, received_at)).then_some(HeldReason::Stale),
            ..blank
        },
    }
}

/// The content that the stored body of such an event holds, or `None` if it holds none.
pub fn data(kind: SenderKind, event_type: &str, body: &[u8]) -> Option<EventData> {
    (kind.envelope.data)(event_type, body)
}

/// Digests the parts under a scheme's name, each with its length, so that no two lists look alike.
pub(super) fn content_digest(scheme: &str, parts: &[Option<String>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(scheme);
    for part in parts {
        match part {
            None => hash.update([0]),
            Some(text) => {
                hash.update([1]);
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
    }
    hash.finalize().into()
}
