//! The protocol of each sender, as a table that the rest of the program reads.
//!
//! Every sender has a folder, which fills one [`SenderProtocol`]: how it signs, what its
//! messages look like, and how it is configured. [`SenderKind::ALL`] is the one list of them.

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
    /// The content type of what it posts.
    pub content_type: &'static str,
    /// How it signs what it posts.
    pub signature: SignatureScheme,
    /// How its messages are read.
    pub envelope: EnvelopeFormat,
    /// How its sources are configured.
    pub config: SenderConfig,
    /// How long it waits for an answer; `None` if it does not say.
    pub answer_limit: Option<Duration>,
    /// When it posts again what was not answered with 200.
    pub retries: RetrySchedule,
    /// Whether it sends a challenge before it accepts a callback URL.
    pub sends_challenges: bool,
}

/// How a sender signs.
pub struct SignatureScheme {
    /// The header that carries the signature, in lower case.
    pub header: &'static str,
    /// What the signature is made with.
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
    /// What the subject of a message is.
    pub subject: SubjectKind,
    /// Whether the member `message` is a text of somebody else, which may hold anything.
    pub carries_message: bool,
    /// The event types that are known, those of pulled notifications included. A sender may add
    /// others at any time.
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
    /// What a message of that event type says about its payment, if it is about one.
    pub payment: fn(event_type: &str, body: &[u8]) -> Option<PaymentFacts>,
}

/// What the messages of a sender are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// A payment, or what else has a few events that are read together.
    Payment,
    /// A box, which never ends. SQLite's index of boxes has HMRC's rows only: another sender of
    /// boxes needs a step of the schema (`sqlite/schema.rs`, `sqlite/search.rs`).
    Box,
}

/// What a stored notification says about its event.
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
    /// The APIs by their environment; a sender that has only one names none in the table.
    pub environments: &'static [(&'static str, &'static str)],
    /// Whether the boxes to read are listed.
    pub boxes: bool,
    /// What the API is called with.
    pub credentials: &'static [&'static str],
    /// The prefix of test accounts' credentials, if they have one.
    pub test_prefix: Option<&'static str>,
    /// How often the API is asked.
    pub every: Duration,
    /// How long the sender has to push an event before it is missing; `None` if the API says
    /// which notifications were not pushed.
    pub after: Option<Duration>,
}

/// The form of a sender's secrets.
pub struct SecretShape {
    /// The form in words.
    pub description: &'static str,
    /// What a secret begins with: one of these, or nothing if there are none.
    pub prefixes: &'static [&'static str],
    /// The prefix of test secrets, if they have one of their own.
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

    /// Every sender: to add one takes its folder and a line here.
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
