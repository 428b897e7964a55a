//! A receipt or a refusal -> status and body. The only place a failure becomes a status.

use super::{Receipt, ReceiptStatus};
use crate::{inbox::InboxError, senders::SignatureError};

/// Why a request was not taken in. The sender is told the code and nothing more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No source has this path.
    #[error("no source has this path")]
    NotFound,
    /// A GET that is no challenge we can answer.
    #[error("{0}")]
    Challenge(&'static str),
    /// Neither GET nor POST.
    #[error("only GET and POST are known here")]
    Method,
    /// The request's framing can be read in more than one way, or in none.
    #[error("{0}")]
    Malformed(&'static str),
    /// The body is longer than what is taken in.
    #[error("the body is longer than 8 MiB")]
    TooLarge,
    /// The headers are longer than what is taken in.
    #[error("the headers are too long")]
    HeadersTooLarge,
    /// The request did not come to an end in time.
    #[error("the request did not come to an end in time")]
    Slow,
    /// The source has no secret yet.
    #[error("the source has no secret yet: add it to its `secrets`, or to where they say")]
    NoSecret,
    /// Not proven to come from the source's sender.
    #[error("{0}")]
    Signature(SignatureError),
    /// Genuine, but it could not be stored.
    #[error("{0}")]
    Inbox(InboxError),
}

impl Refusal {
    /// The refusal in one word, for the sender and the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Challenge(_) => "challenge",
            Self::Method => "method",
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Slow => "slow",
            Self::NoSecret => "no_secret",
            Self::Signature(_) => "signature",
            Self::Inbox(_) => "inbox",
        }
    }

    /// Its status. None is a redirect, which a sender would follow; none is in the 2xx.
    pub fn status(&self) -> u16 {
        match self {
            Self::Challenge(_) | Self::Malformed(_) => 400,
            Self::Signature(_) => 401,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Slow => 408,
            Self::TooLarge => 413,
            Self::HeadersTooLarge => 431,
            // Without Retry-After: HMRC ignores it, and Pay would hold a thread that long.
            Self::NoSecret | Self::Inbox(_) => 503,
        }
    }
}

/// What a sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The body, always `application/json`.
    pub body: String,
    /// The `Allow` header of a 405.
    pub allow: Option<&'static str>,
}

impl HttpAnswer {
    /// HMRC's challenge, given back; its value is letters, digits and dashes.
    pub fn challenge(value: &str) -> Self {
        Self::ok(format!(r#"{{"challenge":"{value}"}}"#))
    }

    fn ok(body: String) -> Self {
        Self {
            status: 200,
            body,
            allow: None,
        }
    }
}

impl From<&Receipt> for HttpAnswer {
    fn from(receipt: &Receipt) -> Self {
        Self::ok(match receipt.stored {
            ReceiptStatus::Recorded => r#"{"status":"recorded"}"#.to_owned(),
            ReceiptStatus::Duplicate => r#"{"status":"duplicate"}"#.to_owned(),
            ReceiptStatus::Held(_) => r#"{"status":"held"}"#.to_owned(),
        })
    }
}

impl From<&Refusal> for HttpAnswer {
    fn from(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status(),
            body: format!(r#"{{"error":"{}"}}"#, refusal.code()),
            allow: matches!(refusal, Refusal::Method).then_some("GET, POST"),
        }
    }
}
