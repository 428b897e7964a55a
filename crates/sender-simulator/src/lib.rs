//! HMRC's Push Pull Notifications Service and GOV.UK Pay, simulated: their requests, their
//! signatures, and their reactions to a receiver's response.
//!
//! * [`run`] sends a series of messages on the sender's own schedule, with injected faults.
//! * [`check`] tests a receiver and reports what the real sender would do to it.
//! * [`apis`] serves the senders' APIs on loopback.
//!
//! Time and randomness are passed in as a [`Clock`], so a run can be repeated. This package shares
//! no code with any receiver: each implements the wire format independently.

pub mod apis;
pub mod check;
mod clock;
mod connection;
mod cookies;
mod date;
pub mod exchange;
pub mod govuk_pay;
pub mod hmrc;
mod ids;
mod json;
mod redirect;
mod response;
pub mod retry_policy;
pub mod run;
pub mod signature;
mod target;
mod timestamp;

use std::time::Duration;

use url::Url;

pub use clock::{Clock, SystemClock};
pub use connection::ReceiverConnection;
pub use exchange::{ExchangeError, exchange};
pub use response::ReceiverResponse;
pub use retry_policy::{DeliveryAttempt, ExchangeOutcome, NextAction, SenderDecision, decide};
pub use target::{TargetError, check_target, is_loopback};
pub use timestamp::Timestamp;

/// A sender that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// HMRC's Push Pull Notifications Service.
    Hmrc,
    /// GOV.UK Pay webhooks.
    GovukPay,
}

/// A message body, in the form that is signed and the form that is sent. They differ only for
/// HMRC, and only for characters beyond U+FFFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageBody {
    /// The sender's id of this message, which is part of the body.
    pub id: String,
    /// The text that the signature covers.
    pub signed: String,
    /// The text that is sent.
    pub wire: String,
}

/// A request, complete except for its request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderRequest {
    /// `POST`, or `GET` for a challenge; a check also uses `HEAD`.
    pub method: &'static str,
    /// In the sender's case and order, host and content length included.
    pub headers: Vec<(String, String)>,
    /// The exact bytes, empty for a challenge.
    pub body: Vec<u8>,
    /// The message's id, or the challenge.
    pub id: String,
}

impl SenderRequest {
    pub(crate) fn get(headers: Vec<(String, String)>, id: String) -> Self {
        Self {
            method: "GET",
            headers,
            body: Vec::new(),
            id,
        }
    }

    pub(crate) fn post(headers: &[(&str, String)], body: &MessageBody) -> Self {
        Self {
            method: "POST",
            headers: owned_headers(headers),
            body: body.wire.clone().into_bytes(),
            id: body.id.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Replaces the value of every header with this name, in any letter case.
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        for (known, current) in &mut self.headers {
            if known.eq_ignore_ascii_case(name) {
                value.clone_into(current);
            }
        }
    }
}

/// How a sender's HTTP client behaves towards a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientProfile {
    /// Time limit for opening a connection.
    pub connect_timeout: Duration,
    /// Time limit for a TLS handshake.
    pub tls_timeout: Duration,
    /// Time limit for the next byte.
    pub read_timeout: Duration,
    /// Time limit for the whole exchange, connection included.
    pub total_timeout: Duration,
    /// Whether the client does not offer TLS 1.3.
    pub tls_1_2_only: bool,
    /// Whether the client takes an interim response (1xx) other than 100 for the final one.
    pub interim_is_final: bool,
}

/// The sender has no event with this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender has no event `{name}`; it has {}", .known.join(", "))]
pub struct UnknownEventError {
    /// The name that was requested.
    pub name: String,
    /// The names that exist.
    pub known: &'static [&'static str],
}

impl Sender {
    /// Both senders.
    pub const ALL: [Self; 2] = [Self::Hmrc, Self::GovukPay];

    /// The sender's name, which is also its kind in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmrc => "hmrc",
            Self::GovukPay => "govuk-pay",
        }
    }

    /// Parses a sender's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sender| sender.as_str() == name)
    }

    /// The names of its messages; the first is the default.
    pub fn events(self) -> &'static [&'static str] {
        match self {
            Self::Hmrc => hmrc::EVENTS,
            Self::GovukPay => govuk_pay::EVENTS,
        }
    }

    /// A new message for the named event, which happens now. HMRC's message is for
    /// [`hmrc::SAMPLE_BOX`].
    pub fn body(
        self,
        event: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<MessageBody, UnknownEventError> {
        let event = event.unwrap_or(self.events()[0]);
        match self {
            Self::Hmrc => {
                let message = hmrc::HmrcMessage::named(event, clock)?;
                Ok(hmrc::body(&message, hmrc::SAMPLE_BOX, clock))
            }
            Self::GovukPay => govuk_pay::named(event, clock),
        }
    }

    /// The request that carries `body` to `url`, signed with `secret`.
    pub fn request(self, body: &MessageBody, secret: &str, url: &Url) -> SenderRequest {
        match self {
            Self::Hmrc => hmrc::push_request(body, secret, url),
            Self::GovukPay => govuk_pay::webhook_request(body, secret, url),
        }
    }

    /// How its HTTP client behaves.
    pub fn client_profile(self) -> ClientProfile {
        match self {
            Self::Hmrc => ClientProfile {
                connect_timeout: Duration::from_secs(6),
                tls_timeout: Duration::from_secs(10),
                read_timeout: Duration::from_secs(20),
                total_timeout: Duration::from_secs(20),
                tls_1_2_only: true,
                interim_is_final: true,
            },
            // Pay limits no whole exchange. This limit ends an exchange with a receiver that
            // sends its response byte by byte.
            Self::GovukPay => ClientProfile {
                connect_timeout: Duration::from_secs(3),
                tls_timeout: Duration::from_secs(3),
                read_timeout: Duration::from_secs(3),
                total_timeout: Duration::from_secs(60),
                tls_1_2_only: false,
                interim_is_final: false,
            },
        }
    }

    /// The header that carries the signature, in the sender's case.
    pub(crate) fn signature_header(self) -> &'static str {
        match self {
            Self::Hmrc => "X-Hub-Signature",
            Self::GovukPay => "Pay-Signature",
        }
    }

    /// The field of a body that holds the message's id.
    pub(crate) fn id_field(self) -> &'static str {
        match self {
            Self::Hmrc => "notificationId",
            Self::GovukPay => "webhook_message_id",
        }
    }
}

/// The same limit for every step, and every version of TLS.
impl From<Duration> for ClientProfile {
    fn from(limit: Duration) -> Self {
        Self {
            connect_timeout: limit,
            tls_timeout: limit,
            read_timeout: limit,
            total_timeout: limit,
            tls_1_2_only: false,
            interim_is_final: false,
        }
    }
}

pub(crate) fn owned_headers(headers: &[(&str, String)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    headers.iter().map(owned).collect()
}

#[cfg(test)]
mod test_receiver;
#[cfg(test)]
mod tests;
