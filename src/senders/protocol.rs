//! The protocol of each sender, as a table that the rest of the program reads.
//!
//! Every sender has a folder that defines one [`SenderProtocol`]: how it signs, how its messages
//! are read, and how it is configured. [`SenderKind::ALL`] lists them.

use std::{
    fmt,
    ops::{Deref, RangeInclusive},
    time::Duration,
};

use super::{
    PaymentFacts, govuk_pay, hmrc,
    json::UnreadableError,
    key::MacAlgorithm,
    read::{EnvelopeFields, EventData},
    retry_schedule::RetrySchedule,
};
use crate::domain::Timestamp;

/// Everything that differs between one sender and another.
pub struct SenderProtocol {
    /// The kind's name in configuration and in stored rows.
    pub name: &'static str,
    /// The sender's name in sentences.
    pub title: &'static str,
    /// The content type of its posts.
    pub content_type: &'static str,
    /// How it signs its posts.
    pub signature: SignatureScheme,
    /// How its messages are read.
    pub envelope: EnvelopeFormat,
    /// How its sources are configured.
    pub config: SenderConfig,
    /// How long it waits for an answer; `None` if its documentation does not say.
    pub answer_limit: Option<Duration>,
    /// When it retries a post that was not answered with 200.
    pub retries: RetrySchedule,
    /// Whether it sends a challenge before it accepts a callback URL.
    pub sends_challenges: bool,
}

/// How a sender signs.
pub struct SignatureScheme {
    /// The header that carries the signature, in lower case.
    pub header: &'static str,
    /// The algorithm of the signature.
    pub algorithm: MacAlgorithm,
    /// Parses the header's value; `None` if it is malformed.
    pub parse: fn(&str) -> Option<SignatureValue<'_>>,
    /// The other form of a body that the sender may have signed, if it has one.
    pub canonical: fn(&[u8]) -> Option<Vec<u8>>,
}

/// The parts of a signature header's value.
pub struct SignatureValue<'a> {
    /// The signature in lower-case hex.
    pub digits: &'a str,
    /// What is signed before the body.
    pub preamble: String,
    /// The earliest and the latest instant at which the signature is accepted, if it is limited.
    pub(super) valid: Option<RangeInclusive<Timestamp>>,
}

/// Parses a value of hex digits alone, which sign the body alone.
pub(super) fn bare_digits(value: &str) -> Option<SignatureValue<'_>> {
    Some(SignatureValue {
        digits: value,
        preamble: String::new(),
        valid: None,
    })
}

/// How a sender's messages are read.
pub struct EnvelopeFormat {
    /// The members of a message in the order in which the sender writes them.
    pub members: &'static [&'static str],
    /// The subject of a message.
    pub subject: SubjectKind,
    /// Whether the member `message` is text of a third party, which may contain anything.
    pub carries_message: bool,
    /// The known event types, including those of pulled notifications. A sender may add others at
    /// any time.
    pub event_types: &'static [&'static str],
    /// Reads what the sender posted.
    pub(super) read: fn(&[u8]) -> Result<EnvelopeFields, UnreadableError>,
    /// Reads what the sender's API returned at that instant.
    pub(super) read_pulled: fn(&[u8], Timestamp) -> Result<EnvelopeFields, UnreadableError>,
    /// The content of a message of that event type, as a consumer gets it.
    pub(super) data: fn(event_type: &str, body: &[u8]) -> Option<EventData>,
    /// The `type` of the CloudEvent for that event type.
    pub cloud_event_type: fn(event_type: &str) -> String,
    /// The name of an event in its subject's ledger, if the sender may send it under several ids.
    pub ledger_event: fn(&EventFacts<'_>) -> Option<String>,
    /// The facts about the payment in a message of that event type, if it is about one.
    pub payment: fn(event_type: &str, body: &[u8]) -> Option<PaymentFacts>,
}

/// The subject of a sender's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A payment, or another subject with a few events that are read together.
    Payment,
    /// A box, which never ends. SQLite's index of boxes has HMRC's rows only: another sender of
    /// boxes needs a schema step (`sqlite/schema.rs`, `sqlite/search.rs`).
    Box,
}

/// The facts about the event of a stored notification.
pub struct EventFacts<'a> {
    /// The event type.
    pub event_type: &'a str,
    /// The sender's date.
    pub event_at: Timestamp,
    /// The sender's id, or the id of an observation.
    pub id: &'a str,
    /// The bytes, unless they were erased or not read.
    pub body: Option<&'a [u8]>,
}

/// How a sender's sources are configured.
pub struct SenderConfig {
    /// The form of the secrets that the sender signs with.
    pub secret: SecretShape,
    /// Whether several sources may have the same secret.
    pub shares_secrets: bool,
    /// The events that a webhook of the sender may subscribe to; none if it sends everything.
    pub webhook_events: &'static [&'static str],
    /// The keys of a source's `pull` table, if the sender has an API.
    pub pull: Option<PullTable>,
}

/// The keys of a source's `pull` table.
pub struct PullTable {
    /// The APIs by environment. A sender that has only one API has one entry without a name.
    pub environments: &'static [(&'static str, &'static str)],
    /// Whether the table lists the boxes to read.
    pub boxes: bool,
    /// The keys of the credentials for the API.
    pub credentials: &'static [&'static str],
    /// The prefix of test accounts' credentials, if they have one.
    pub test_prefix: Option<&'static str>,
    /// How often the API is called.
    pub every: Duration,
    /// How long the sender has to push an event before it is missing; `None` if the API lists the
    /// notifications that were not pushed.
    pub after: Option<Duration>,
}

/// The form of a sender's secrets.
pub struct SecretShape {
    /// The form in words.
    pub description: &'static str,
    /// What a secret begins with: one of these, or nothing if there are none.
    pub prefixes: &'static [&'static str],
    /// The prefix of test secrets, if they have one.
    pub test_prefix: Option<&'static str>,
    /// How many letters and digits follow the prefix.
    pub lengths: RangeInclusive<usize>,
    /// The length and the alphabet of generated secrets.
    pub generated: (usize, &'static [u8; 32]),
}

impl SecretShape {
    /// Whether `secret` has this form.
    pub fn fits(&self, secret: &str) -> bool {
        let rest = match self.prefixes {
            [] => Some(secret),
            prefixes => prefixes
                .iter()
                .find_map(|prefix| secret.strip_prefix(prefix)),
        };
        rest.is_some_and(|rest| {
            self.lengths.contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    }

    /// Whether `secret` is for tests only.
    pub fn is_test(&self, secret: &str) -> bool {
        self.test_prefix
            .is_some_and(|prefix| secret.starts_with(prefix))
    }
}

/// The sender of a source.
#[derive(Clone, Copy)]
pub struct SenderKind(&'static SenderProtocol);

impl SenderKind {
    /// HMRC's Push Pull Notifications Service.
    pub const HMRC: Self = Self(&hmrc::PROTOCOL);
    /// GOV.UK Pay webhooks.
    pub const GOVUK_PAY: Self = Self(&govuk_pay::PROTOCOL);
    /// A sender for tests: no shipped program lists it.
    #[cfg(any(test, feature = "test-support"))]
    pub(super) const TIMESTAMPED: Self = Self(&super::timestamped::PROTOCOL);

    /// Every sender. To add one, add its folder and a line here.
    pub const ALL: &'static [Self] = &[
        Self::HMRC,
        Self::GOVUK_PAY,
        #[cfg(test)]
        Self::TIMESTAMPED,
    ];

    /// The kind's name in configuration and in stored rows.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// Reads a kind's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name == text)
    }
}

impl Deref for SenderKind {
    type Target = SenderProtocol;

    fn deref(&self) -> &SenderProtocol {
        self.0
    }
}

impl PartialEq for SenderKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SenderKind {}

impl fmt::Debug for SenderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
