//! A stored notification, as every inbox returns it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{DeliveryHistory, InboxError, Lease, is_leased};
use crate::{
    domain::{HeldReason, Key, Origin, State, Timestamp},
    senders::{Entry, EventFacts, EventName, SecretFingerprint, SenderKind},
};

/// The version of the rows that this program writes. It refuses and never changes a later version.
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
    /// SHA-256 of the content that is the same in every copy of the notification.
    pub content_digest: [u8; 32],
    /// The signature header that verified; `None` for a pulled notification.
    pub signature: Option<String>,
    /// The label of the secret that matched.
    pub key_label: Option<String>,
    /// The fingerprint of that secret; `None` in rows from before fingerprints were stored.
    pub secret_fingerprint: Option<SecretFingerprint>,
    /// The kind of the sender.
    pub kind: SenderKind,
    /// Pay's event type, or `notification`.
    pub event_type: String,
    /// The id of the payment or box.
    pub subject: Option<String>,
    /// The sender's date.
    pub event_at: Option<Timestamp>,
    /// When it was received, by the receiver's clock.
    pub received_at: Timestamp,
    /// Whether it was pushed or pulled.
    pub origin: Origin,
    /// The state of the row.
    pub state: State,
    /// Why the row is held, dead, or a repeat; for a discarded row, its earlier reason or state.
    pub reason: Option<String>,
    /// The partition and shard in the pending index, as `{partition}:{shard}`; `None` if the row is
    /// not in it.
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
    /// Its last attempts, replays and discards; empty in rows from before it was stored.
    pub history: DeliveryHistory,
}

impl Row {
    /// The row of a new entry, due when it was received.
    pub(crate) fn new(entry: &Entry) -> Self {
        Self {
            key: entry.key.clone(),
            body: Some(entry.body.clone()),
            digest: entry.digest,
            content_digest: entry.content_digest,
            signature: entry.signature.clone(),
            key_label: entry.key_label.clone(),
            secret_fingerprint: entry.secret_fingerprint,
            kind: entry.kind,
            event_type: entry.event_type.clone(),
            subject: entry.subject.clone(),
            event_at: entry.event_at,
            received_at: entry.received_at,
            origin: entry.origin,
            state: match entry.held {
                Some(_) => State::Held,
                None => State::Recorded,
            },
            reason: entry.held.map(|reason| reason.to_string()),
            index_partition: None,
            attempts: 0,
            lease: None,
            budget_from: entry.received_at,
            last_error: None,
            due_at: Some(entry.received_at),
            expires_at: None,
            history: DeliveryHistory::default(),
        }
    }

    /// The id in the key: the sender's own, or the digest of unreadable bytes. That of a conflict
    /// has its suffix.
    pub fn id(&self) -> String {
        percent_encoding::percent_decode_str(self.key.encoded_id())
            .decode_utf8_lossy()
            .into_owned()
    }

    /// The event of the notification, if its sender may send the same event under another id.
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

    /// Whether it is held because it could not be read.
    pub fn is_unreadable(&self) -> bool {
        self.state == State::Held && self.reason.as_deref() == Some(HeldReason::Unreadable.as_str())
    }

    /// Whether an attempt may be in progress at `now`.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.is_some_and(|lease| is_leased(lease.until, now))
    }

    /// Whether the row can be replayed at `now`, or why not. An open row can be replayed, so that a
    /// person can have it attempted immediately, but not during an attempt, whose outcome would be
    /// lost.
    pub fn replayable(&self, now: Timestamp) -> Result<(), &'static str> {
        match self.state {
            State::Held if self.is_unreadable() => {
                Err("it is unreadable, so it cannot be delivered; `show --raw` prints its bytes")
            }
            State::Recorded if self.is_leased(now) => {
                Err("an attempt is under way now; `show` prints its outcome within 3 minutes")
            }
            State::Dead | State::Delivered | State::Held | State::Recorded => Ok(()),
            State::Repeat => {
                Err("it repeats another notification: replay that one; `show` has its key")
            }
            State::Discarded => Err("it was discarded"),
        }
    }

    /// Whether the row can be discarded at `now`, with or without its bytes, or why not.
    pub fn discardable(&self, erase: bool, now: Timestamp) -> Result<(), &'static str> {
        match self.state {
            State::Recorded if self.is_leased(now) => Err(
                "an attempt is under way and may deliver it; try again in a few minutes, when \
                 `show` prints the outcome of the attempt",
            ),
            State::Recorded | State::Dead | State::Held => Ok(()),
            State::Delivered | State::Repeat | State::Discarded if erase => Ok(()),
            State::Discarded => Err("it was discarded before; --erase would remove its bytes"),
            State::Delivered | State::Repeat => {
                Err("it is finished and will expire; --erase would remove its bytes now")
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
            return Err(damaged("its bytes do not match their digest"));
        }
        Ok(body)
    }
}
