//! [`Verified`] -> [`Entry`]: what a notification says, which can't fail, only end in a held row.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Entry, Kind, UNKNOWN_EVENT_TYPE, Verified, entry::Proof, govuk_pay, hmrc, json::Unreadable};
use crate::notification::{HeldReason, Id, Key, Origin, SourceName, Timestamp};

/// How far ahead of us a sender's date may lie.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How old a notification may be and still be acted on by itself.
///
/// Neither sender signs a time of sending, so this window and the stored rows are the only defence
/// against a captured request that is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance(pub Duration);

impl Acceptance {
    fn covers(self, event_at: Timestamp, received_at: Timestamp) -> bool {
        event_at >= received_at.minus(self.0) && event_at <= received_at.plus(AHEAD)
    }
}

/// What an envelope says, whoever sent it.
pub(super) struct Reading {
    pub(super) id: Id,
    pub(super) event_type: String,
    pub(super) subject: Option<String>,
    pub(super) event_at: Timestamp,
    pub(super) content_digest: [u8; 32],
}

/// A notification's content as a consumer gets it.
pub struct Data {
    /// Its media type.
    pub content_type: String,
    /// The JSON text to embed: the sender's own, or a string holding it.
    pub json: String,
}

/// Reads a proven body into what is recorded of it.
pub fn read(source: &SourceName, kind: Kind, verified: Verified, received_at: Timestamp, window: Acceptance) -> Entry {
    let digest: [u8; 32] = Sha256::digest(verified.body()).into();
    let reading = match kind {
        Kind::Hmrc => hmrc::read(verified.body()),
        Kind::GovukPay => govuk_pay::read(verified.body()),
    };
    let blank = Entry {
        key: Key::unreadable(source, &digest),
        digest,
        content_digest: digest,
        signature: Some(verified.signature().to_owned()),
        key_label: Some(verified.key_label().to_owned()),
        body: verified.body().clone(),
        event_type: UNKNOWN_EVENT_TYPE.to_owned(),
        subject: None,
        event_at: None,
        received_at,
        origin: Origin::Push,
        held: Some(HeldReason::Unreadable),
        _proof: Proof,
    };
    match reading {
        Err(Unreadable::Json | Unreadable::Depth | Unreadable::Id | Unreadable::Date) => blank,
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

/// The content that a stored body holds, or `None` if it holds none.
pub fn data(kind: Kind, body: &[u8]) -> Option<Data> {
    match kind {
        Kind::Hmrc => hmrc::data(body),
        Kind::GovukPay => govuk_pay::data(body),
    }
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
