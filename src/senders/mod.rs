//! The senders: how they differ, and how their bytes become an [`Entry`].
//!
//! The input is a body with its signature, or bytes that a sender's API returned. The output is an
//! [`Entry`], which can be created only from a proof.

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
mod retry_schedule;
#[cfg(any(test, feature = "test-support"))]
mod timestamped;
mod verify;

use crate::domain::SourceName;

pub use entry::{Entry, EventName};
pub use govuk_pay::{OBSERVED_EVENT_TYPE, Payment, PaymentFacts};
pub use key::{KeyedMac, MacAlgorithm, SecretFingerprint, SigningKey};
pub use protocol::{
    EnvelopeFormat, EventFacts, PullTable, SecretShape, SenderConfig, SenderKind, SenderProtocol,
    SignatureScheme, SignatureValue, SubjectKind,
};
pub use pulled::Pulled;
pub use read::{Acceptance, DerivedFields, EventData, ProvenBytes, data, derive, read};
pub use retry_schedule::RetrySchedule;
pub use verify::{SignatureError, Verified, verify};

/// The event type of a notification without a readable one.
pub const UNKNOWN_EVENT_TYPE: &str = "unknown";

/// One configured sender.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name. The source is served at `/{name}`.
    pub name: SourceName,
    /// The kind of its sender.
    pub kind: SenderKind,
    /// Every active secret; empty until there is one.
    pub keys: Vec<SigningKey>,
}
