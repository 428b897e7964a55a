//! The senders, played: what they send, how they sign it, and what they make of the answer.
//!
//! Time and chance come in as a [`Clock`], so that a run can be repeated.
//! Nothing here shares code with the receiving side: what the two agree on, they agree on twice.

mod answer;
pub mod check;
mod clock;
mod connection;
pub mod exchange;
pub mod govuk_pay;
pub mod hmrc;
mod json;
pub mod pull;
mod random;
pub mod run;
pub mod sign;
mod target;
mod timestamp;
pub mod verdict;

use std::time::Duration;

use url::Url;

pub use answer::Answer;
pub use clock::{Clock, SystemClock};
pub use connection::Connection;
pub use exchange::{ExchangeError, exchange};
pub use target::{TargetError, clear, is_loopback};
pub use timestamp::Timestamp;
pub use verdict::{Attempt, Next, Outcome, Verdict, verdict};

/// Who is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// HMRC's Push Pull Notifications Service.
    Hmrc,
    /// GOV.UK Pay webhooks.
    GovukPay,
}

/// One body, in the form that is signed and the form that is sent. They differ only with HMRC, and
/// only for characters beyond U+FFFF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The sender's own id of this message, which stands in the body.
    pub id: String,
    /// What the signature covers.
    pub signed: String,
    /// What goes out.
    pub wire: String,
}

/// One request, complete but for its first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `POST`, or `GET` for a challenge; a check also asks by `HEAD`.
    pub method: &'static str,
    /// Names in the case and order they are sent in; host and content length are among them.
    pub headers: Vec<(String, String)>,
    /// The exact bytes, empty for a challenge.
    pub body: Vec<u8>,
    /// The message's id, or the challenge.
    pub id: String,
}

/// How a sender's HTTP client behaves towards a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How long it waits for a connection.
    pub connect: Duration,
    /// How long it waits for the next byte.
    pub read: Duration,
    /// How long one exchange may take, connection included.
    pub whole: Duration,
    /// Whether TLS 1.3 is not even offered.
    pub tls_1_2_only: bool,
}

/// There is no event of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sender has no event `{name}`; it has {}", .known.join(", "))]
pub struct UnknownEvent {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: &'static [&'static str],
}

impl Sender {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Hmrc, Self::GovukPay];

    /// The sender's name, the same as its kind in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hmrc => "hmrc",
            Self::GovukPay => "govuk-pay",
        }
    }

    /// Reads a sender's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sender| sender.as_str() == name)
    }

    /// The events it can be asked for; the first is what it sends when none is named.
    pub fn events(self) -> &'static [&'static str] {
        match self {
            Self::Hmrc => hmrc::EVENTS,
            Self::GovukPay => govuk_pay::EVENTS,
        }
    }

    /// A new message of the named event, happening now. HMRC's is for [`hmrc::SAMPLE_BOX`].
    pub fn body(self, event: Option<&str>, clock: &dyn Clock) -> Result<Body, UnknownEvent> {
        let event = event.unwrap_or(self.events()[0]);
        match self {
            Self::Hmrc => Ok(hmrc::body(
                &hmrc::Message::named(event, clock)?,
                hmrc::SAMPLE_BOX,
                clock,
            )),
            Self::GovukPay => Ok(govuk_pay::body(govuk_pay::Event::named(event)?, clock)),
        }
    }

    /// The request that carries `body` to `url`, signed with `secret`.
    pub fn request(self, body: &Body, secret: &str, url: &Url) -> Request {
        match self {
            Self::Hmrc => hmrc::push(body, secret, url),
            Self::GovukPay => govuk_pay::post(body, secret, url),
        }
    }

    /// How its HTTP client behaves.
    pub fn manner(self) -> Manner {
        match self {
            Self::Hmrc => Manner {
                connect: Duration::from_secs(6),
                read: Duration::from_secs(20),
                whole: Duration::from_secs(20),
                tls_1_2_only: true,
            },
            // Pay itself sets no limit to the whole; ours only keeps a receiver that drips from holding us for ever.
            Self::GovukPay => Manner {
                connect: Duration::from_secs(3),
                read: Duration::from_secs(3),
                whole: Duration::from_secs(60),
                tls_1_2_only: false,
            },
        }
    }
}

/// One limit for everything, and every version of TLS.
impl From<Duration> for Manner {
    fn from(patience: Duration) -> Self {
        Self {
            connect: patience,
            read: patience,
            whole: patience,
            tls_1_2_only: false,
        }
    }
}

#[cfg(test)]
mod tests;
