//! A stored notification, as every inbox returns it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{DeliveryHistory, InboxError, Lease, is_leased};
use crate::{
    domain::{HeldReason, Key, Origin, State, Timestamp},
    senders::{EventFacts, EventName, SecretFingerprint, SenderKind},
};

/// The version of the rows this program writes. Rows of a later one are refused and left alone.
pub const ROW_VERSION: u32 = 1;

/// One stored notification.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key of the row.
    pub key: Key,
    /// The bytes exactly as received; `None` in lists, and once erased.
    pub body: Option<Bytes>,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    /// SHA-256 of the content that its sender does not change between two copies.
    pub content_digest: [u8; 32],
    /// The signature header that verified; `None` for a pulled notification.
    pub signature: Option<String>,
    /// The label of the secret that matched.
    pub key_label: Option<String>,
    /// Identifies that secret; `None` in rows from before fingerprints were stored.
    pub secret_fingerprint: Option<SecretFingerprint>,
    /// The kind of the sender.
    pub kind: SenderKind,
    /// Pay's event type, or `notification`.
    pub event_type: String,
    /// The payment or box that the notification is about.
    pub subject: Option<String>,
    /// The sender's date.
    pub event_at: Option<Timestamp>,
    /// When it was received, by the receiver's clock.
    pub received_at: Timestamp,
    /// Whether it was pushed or pulled.
    pub origin: Origin,
    /// The state of the row.
    pub state: State,
    /// Why it is held, dead, or a repeat; of a discarded row, what it was before.
    pub reason: Option<String>,
    /// The entry in the pending index, as `{partition}:{shard}`; `None` if it has none.
    pub index_partition: Option<String>,
    /// The claims since the row was recorded or replayed.
    pub attempts: u32,
    /// The lease of the current claim, if it is claimed.
    pub lease: Option<Lease>,
    /// When the retry budget started.
    pub budget_from: Timestamp,
    /// Why the last attempt failed; `None` once the row is delivered or replayed.
    pub last_error: Option<String>,
    /// When the row is due; `None` unless it is open.
    pub due_at: Option<Timestamp>,
    /// When the row expires; `None` unless it is finished.
    pub expires_at: Option<Timestamp>,
    /// Its last attempts, and what a person did; empty in rows from before it was stored.
    pub history: DeliveryHistory,
}

impl Row {
    /// The sender's own id, or what stands for it; a conflict keeps its mark.
    pub fn id(&self) -> String {
        percent_encoding::percent_decode_str(self.key.encoded_id())
            .decode_utf8_lossy()
            .into_owned()
    }

    /// The event that the notification is about, if its sender may send the same one under another
    /// id.
    pub fn event(&self) -> Option<EventName> {
        Some(EventName {
            source: self.key.source().to_owned(),
            subject: self.subject.clone()?,
            event: (self.kind.envelope.ledger_event)(&EventFacts {
                event_type: &self.event_type,
                event_at: self.event_at?,
                id: &self.id(),
                body: self.body.as_deref(),
            })?,
        })
    }

    /// Whether it is held because nothing in it could be read.
    pub fn is_unreadable(&self) -> bool {
        self.state == State::Held && self.reason.as_deref() == Some(HeldReason::Unreadable.as_str())
    }

    /// Whether an attempt may be under way at `now`.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.is_some_and(|lease| is_leased(lease.until, now))
    }

    /// Whether a replay at `now` may set the row back to recorded, or why not. An open row may be
    /// replayed, so that a person can have it attempted at once; but not during an attempt, whose
    /// outcome would be lost.
    pub fn replayable(&self, now: Timestamp) -> Result<(), &'static str> {
        match self.state {
            State::Held if self.is_unreadable() => {
                Err("it is unreadable, so nothing could be handed on; `show --raw` has its bytes")
            }
            State::Recorded if self.is_leased(now) => {
                Err("an attempt is under way now; `show` has its outcome within 3 minutes")
            }
            State::Dead | State::Delivered | State::Held | State::Recorded => Ok(()),
            State::Repeat => Err("it repeats another: replay that one, which `show` names"),
            State::Discarded => Err("it was discarded"),
        }
    }

    /// Whether it may be discarded at `now`, with or without its bytes, or why not.
    pub fn discardable(&self, erase: bool, now: Timestamp) -> Result<(), &'static str> {
        match self.state {
            State::Recorded if self.is_leased(now) => Err(
                "an attempt is under way and may deliver it; try again in a few minutes, once \
                 `show` says how the attempt ended",
            ),
            State::Recorded | State::Dead | State::Held => Ok(()),
            State::Delivered | State::Repeat | State::Discarded if erase => Ok(()),
            State::Discarded => Err("it was discarded before; --erase would remove its bytes"),
            State::Delivered | State::Repeat => {
                Err("it is finished, and will expire; --erase would remove its bytes now")
            }
        }
    }

    /// The bytes, checked against their digest.
    pub fn proven_body(&self) -> Result<&Bytes, InboxError> {
        let damaged = |what| InboxError::Damaged {
            key: self.key.clone(),
            what,
        };
        let body = self
            .body
            .as_ref()
            .ok_or_else(|| damaged("its bytes are gone"))?;
        if Sha256::digest(body)[..] != self.digest {
            return Err(damaged("its bytes don't match their digest"));
        }
        Ok(body)
    }
}
