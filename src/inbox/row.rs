//! One stored notification, as every inbox gives it back.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{InboxError, Lease, is_leased};
use crate::{
    domain::{HeldReason, Key, Origin, State, Timestamp},
    senders::{EventName, SenderKind},
};

/// The version of the rows this program writes. Rows of a later one are refused and left alone.
pub const ROW_VERSION: u32 = 1;

/// One stored notification.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub key: Key,
    /// The bytes exactly as received; `None` in lists, and once erased.
    pub body: Option<Bytes>,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    /// SHA-256 of what its sender can't legitimately change.
    pub content_digest: [u8; 32],
    /// The header value that proved it; a pulled one has none.
    pub signature: Option<String>,
    /// Which secret matched, by label.
    pub key_label: Option<String>,
    /// Whose protocol the bytes speak.
    pub kind: SenderKind,
    /// Pay's event type, or `notification`.
    pub event_type: String,
    /// The payment or box it is about.
    pub subject: Option<String>,
    /// The sender's date.
    pub event_at: Option<Timestamp>,
    /// Ours.
    pub received_at: Timestamp,
    /// How it reached us.
    pub origin: Origin,
    /// Where it stands.
    pub state: State,
    /// Why it is held, dead, or a repeat; of a discarded row, what it was before.
    pub reason: Option<String>,
    /// How often it was claimed since it was last recorded.
    pub attempts: u32,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// When its budget began.
    pub budget_from: Timestamp,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it is due, while it is open.
    pub due_at: Option<Timestamp>,
    /// When it goes, once it is finished.
    pub expires_at: Option<Timestamp>,
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
            event: (self.kind.envelope.ledger_event)(&self.event_type, self.event_at?)?,
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

    /// Whether it may be set back to recorded at `now`, or why not. An open row may, so that a
    /// person can have it attempted at once; but not during an attempt, which would be lost.
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
