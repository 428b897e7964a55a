//! Reads [`Verified`] or [`Pulled`] bytes into an [`Entry`]. Reading cannot fail: an unreadable
//! notification is held.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Entry, Pulled, SenderKind, UNKNOWN_EVENT_TYPE, Verified, entry::EntryProof};
use crate::domain::{HeldReason, Key, NotificationId, Origin, SourceName, Timestamp};

/// How far ahead of our clock a sender's date may be.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum age of a notification that is delivered automatically. An older one is held.
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

/// The fields of an envelope, of any sender.
pub(super) struct EnvelopeFields {
    pub(super) id: NotificationId,
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
    Pulled(Pulled),
}

impl From<Verified> for ProvenBytes {
    fn from(verified: Verified) -> Self {
        Self::Signed(verified)
    }
}

impl From<Pulled> for ProvenBytes {
    fn from(pulled: Pulled) -> Self {
        Self::Pulled(pulled)
    }
}

impl ProvenBytes {
    fn kind(&self) -> SenderKind {
        match self {
            Self::Signed(verified) => verified.kind(),
            Self::Pulled(pulled) => pulled.kind(),
        }
    }

    fn body(&self) -> &Bytes {
        match self {
            Self::Signed(verified) => verified.body(),
            Self::Pulled(pulled) => pulled.body(),
        }
    }

    /// The form that is read and named, which is the same in every spelling of one signature.
    fn signed(&self) -> &Bytes {
        match self {
            Self::Signed(verified) => verified.signed(),
            Self::Pulled(pulled) => pulled.body(),
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Signed(_) => Origin::Push,
            Self::Pulled(_) => Origin::Pull,
        }
    }

    fn verified(&self) -> Option<&Verified> {
        match self {
            Self::Signed(verified) => Some(verified),
            Self::Pulled(_) => None,
        }
    }
}

/// The fields that are read from a notification's bytes. They prove nothing and cannot be recorded:
/// a stored row is compared with them.
#[derive(Clone, Debug)]
pub struct DerivedFields {
    /// The key it is stored under, unless that key belongs to other content.
    pub key: Key,
    /// SHA-256 of the content that its sender does not change between two copies.
    pub content_digest: [u8; 32],
    /// Pay's event type, or `notification`.
    pub event_type: String,
    /// The payment or box it is about.
    pub subject: Option<String>,
    /// The sender's date; `None` if the bytes are unreadable.
    pub event_at: Option<Timestamp>,
}

/// Reads bytes that were received at `received_at`.
pub fn derive(
    source: &SourceName,
    kind: SenderKind,
    origin: Origin,
    body: &[u8],
    received_at: Timestamp,
) -> DerivedFields {
    let fields = match origin {
        Origin::Push => (kind.envelope.read)(body),
        Origin::Pull => (kind.envelope.read_pulled)(body, received_at),
    };
    match fields {
        Err(_) => {
            let digest = Sha256::digest(body).into();
            DerivedFields {
                key: Key::unreadable(source, &digest),
                content_digest: digest,
                event_type: UNKNOWN_EVENT_TYPE.to_owned(),
                subject: None,
                event_at: None,
            }
        }
        Ok(fields) => DerivedFields {
            key: Key::new(source, &fields.id),
            content_digest: fields.content_digest,
            event_type: fields.event_type,
            subject: fields.subject,
            event_at: Some(fields.event_at),
        },
    }
}

/// Reads proven bytes into an entry.
pub fn read(
    source: &SourceName,
    proven: impl Into<ProvenBytes>,
    received_at: Timestamp,
    window: Acceptance,
) -> Entry {
    let proven = proven.into();
    let (kind, origin) = (proven.kind(), proven.origin());
    let fields = derive(source, kind, origin, proven.signed(), received_at);
    let held = match fields.event_at {
        None => Some(HeldReason::Unreadable),
        Some(at) => (!window.covers(at, received_at)).then_some(HeldReason::Stale),
    };
    let verified = proven.verified();
    Entry {
        key: fields.key,
        digest: Sha256::digest(proven.body()).into(),
        content_digest: fields.content_digest,
        signature: verified.map(|verified| verified.signature().to_owned()),
        key_label: verified.map(|verified| verified.key_label().to_owned()),
        secret_fingerprint: verified.map(Verified::fingerprint),
        body: proven.body().clone(),
        kind,
        event_type: fields.event_type,
        subject: fields.subject,
        event_at: fields.event_at,
        received_at,
        origin,
        held,
        _proof: EntryProof,
    }
}

/// The content in the stored body of an event of this type; `None` if there is none.
pub fn data(kind: SenderKind, event_type: &str, body: &[u8]) -> Option<EventData> {
    (kind.envelope.data)(event_type, body)
}

/// Digests the parts under a scheme's name, each with its length, so that different lists have
/// different digests.
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
