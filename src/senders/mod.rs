//! The senders: what differs between them, how their bytes are proved genuine, and what they say.
//!
//! Bytes and a signature come in, or what a sender answered when it was asked; an [`Entry`] comes out, and only out of
//! a proof.

mod entry;
#[cfg(any(test, feature = "test-support"))]
pub mod example;
mod govuk_pay;
pub mod hmrc;
pub mod json;
mod key;
mod payment;
mod pulled;
mod read;
mod verify;

use crate::domain::SourceName;

pub use entry::{Entry, EventName};
pub use key::SigningKey;
pub use payment::Payment;
pub use pulled::Pulled;
pub use read::{Acceptance, EventData, ProvenBytes, data, read};
pub use verify::{SignatureError, Verified, verify};

/// The event type of every HMRC notification: its envelope names no type of its own.
pub const HMRC_EVENT_TYPE: &str = "notification";
/// The event type of a payment that we asked for, since an event of it never came.
pub const OBSERVED_EVENT_TYPE: &str = "observed";
/// What stands where an event type should be and none could be read.
pub const UNKNOWN_EVENT_TYPE: &str = "unknown";

/// Which sender's protocol a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderKind {
    /// HMRC's Push Pull Notifications Service.
    Hmrc,
    /// GOV.UK Pay webhooks.
    GovukPay,
}

impl SenderKind {
    /// Every kind there is.
    pub const ALL: [Self; 2] = [Self::Hmrc, Self::GovukPay];

    /// The kind's name in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmrc => "hmrc",
            Self::GovukPay => "govuk-pay",
        }
    }

    /// Reads a kind's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The header that carries the signature, in lower case.
    pub fn signature_header(self) -> &'static str {
        match self {
            Self::Hmrc => "x-hub-signature",
            Self::GovukPay => "pay-signature",
        }
    }

    /// How many lower-case hex digits a signature has.
    pub fn signature_digits(self) -> usize {
        match self {
            Self::Hmrc => 40,
            Self::GovukPay => 64,
        }
    }

    /// The kind that stores this event type: HMRC's alone is always `notification`.
    pub fn of_event_type(event_type: &str) -> Self {
        if event_type == HMRC_EVENT_TYPE {
            Self::Hmrc
        } else {
            Self::GovukPay
        }
    }
}

/// One configured sender.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name; it is served at `/{name}`.
    pub name: SourceName,
    /// Whose protocol it speaks.
    pub kind: SenderKind,
    /// Every secret that is active; empty while there is none yet.
    pub keys: Vec<SigningKey>,
}
