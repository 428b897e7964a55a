//! The senders: what differs between them, and what makes their bytes into an [`Entry`].
//!
//! Bytes and a signature come in, or what a sender's API returned; an [`Entry`] goes out, and only
//! from a proof.

mod entry;
#[cfg(any(test, feature = "test-support"))]
pub mod example;
mod govuk_pay;
mod hmrc;
pub mod json;
mod key;
mod protocol;
mod pulled;
mod read;
#[cfg(test)]
mod timestamped;
mod verify;

use crate::domain::SourceName;

pub use entry::{Entry, EventName};
pub use govuk_pay::{OBSERVED_EVENT_TYPE, Payment};
pub use key::{KeyedMac, MacAlgorithm, SecretFingerprint, SigningKey};
pub use protocol::{
    EnvelopeFormat, PullTable, SecretShape, SenderConfig, SenderKind, SenderProtocol,
    SignatureScheme,
};
pub use pulled::Pulled;
pub use read::{Acceptance, DerivedFields, EventData, ProvenBytes, data, derive, read};
pub use verify::{SignatureError, Verified, verify};

/// The event type of what names none that can be read.
pub const UNKNOWN_EVENT_TYPE: &str = "unknown";

/// One configured sender.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name; it is served at `/{name}`.
    pub name: SourceName,
    /// Whose protocol it speaks.
    pub kind: SenderKind,
    /// Every active secret; empty while there is none yet.
    pub keys: Vec<SigningKey>,
}
