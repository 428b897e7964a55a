//! Converts an outcome or a refusal to a status and a body. The only module that chooses a status.

use super::{Readiness, RequestOutcome};
use crate::{inbox::InboxError, senders::SignatureError, telemetry::RequestRecord};

const JSON: &str = "application/json";

/// Why a request was refused. The sender gets the code and nothing more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No source has this path.
    #[error("no source has this path")]
    NotFound,
    /// A GET without a valid challenge.
    #[error("{0}")]
    Challenge(&'static str),
    /// A method that the path does not take.
    #[error("the path takes only {0}")]
    Method(&'static str),
    /// The request's framing can be read in more than one way, or in none.
    #[error("{0}")]
    Malformed(&'static str),
    /// The body is longer than [`MAX_BODY_BYTES`](super::MAX_BODY_BYTES).
    #[error("the body is longer than 8 MiB")]
    TooLarge,
    /// The headers are longer than the limit.
    #[error("the headers are too long")]
    HeadersTooLarge,
    /// The request was not complete in time.
    #[error("the request was not complete in time")]
    Slow,
    /// The source has no secret yet.
    #[error(
        "the source has no secret yet: add one to its `secrets`, or store a value where they \
         refer to"
    )]
    NoSecret,
    /// The signature does not prove that the source's sender sent the body.
    #[error("{0}")]
    Signature(SignatureError),
    /// The body is genuine, but could not be stored.
    #[error("{0}")]
    Inbox(InboxError),
}

impl Refusal {
    /// The refusal in one word, for the sender and the log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Challenge(_) => "challenge",
            Self::Method(_) => "method",
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Slow => "slow",
            Self::NoSecret => "no_secret",
            Self::Signature(_) => "signature",
            Self::Inbox(_) => "inbox",
        }
    }

    /// The status of the answer: never a redirect, which a sender would follow, nor a 2xx.
    pub fn status(&self) -> u16 {
        match self {
            Self::Challenge(_) | Self::Malformed(_) => 400,
            Self::Signature(_) => 401,
            Self::NotFound => 404,
            Self::Method(_) => 405,
            Self::Slow => 408,
            Self::TooLarge => 413,
            Self::HeadersTooLarge => 431,
            // Without Retry-After: HMRC ignores it, and Pay would hold a thread that long.
            Self::NoSecret | Self::Inbox(_) => 503,
        }
    }

    /// Whether part of the body may be unread, so that its connection cannot carry another request.
    pub fn leaves_body_unread(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::TooLarge | Self::Slow)
    }
}

/// The answer to a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// The `Allow` header of a 405.
    pub allow: Option<&'static str>,
}

/// Answers a request, and completes its record.
pub fn answer(result: &Result<RequestOutcome, Refusal>, record: &mut RequestRecord) -> HttpAnswer {
    let answer = match result {
        Ok(RequestOutcome::Challenge(value)) => {
            record.outcome = "challenge";
            // The value is letters, digits and dashes, so it needs no escaping.
            HttpAnswer::ok(format!(r#"{{"challenge":"{value}"}}"#))
        }
        Ok(RequestOutcome::Probe(readiness)) => {
            record.outcome = "probe";
            record.code = readiness.code();
            record.reason = readiness.reason();
            HttpAnswer::from(readiness)
        }
        Ok(RequestOutcome::Stored(receipt)) => {
            record.outcome = receipt.stored.as_str();
            record.reason = receipt.stored.reason().map(str::to_owned);
            record.key = Some(receipt.key.clone());
            record.key_label = Some(receipt.key_label.clone());
            HttpAnswer::ok(format!(r#"{{"status":"{}"}}"#, receipt.stored.as_str()))
        }
        Err(refusal) => {
            record.outcome = "refused";
            record.code = Some(refusal.code());
            record.reason = Some(refusal.to_string());
            HttpAnswer::from(refusal)
        }
    };
    record.status = Some(answer.status);
    answer
}

impl HttpAnswer {
    fn ok(body: String) -> Self {
        Self {
            status: 200,
            content_type: JSON,
            body,
            allow: None,
        }
    }
}

impl From<&Readiness> for HttpAnswer {
    fn from(readiness: &Readiness) -> Self {
        Self {
            status: if readiness.code().is_none() { 200 } else { 503 },
            content_type: "text/plain",
            body: readiness.code().unwrap_or("ok").to_owned(),
            allow: None,
        }
    }
}

impl From<&Refusal> for HttpAnswer {
    fn from(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status(),
            content_type: JSON,
            body: format!(r#"{{"error":"{}"}}"#, refusal.code()),
            allow: match refusal {
                Refusal::Method(allowed) => Some(allowed),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_an_error_status_that_no_sender_follows_or_accepts() {
        let inbox = InboxError::Unavailable("no answer".to_owned());
        for (refusal, status) in [
            (Refusal::NotFound, 404),
            (Refusal::Challenge("none"), 400),
            (Refusal::Method("GET, POST"), 405),
            (Refusal::Malformed("two lengths"), 400),
            (Refusal::TooLarge, 413),
            (Refusal::HeadersTooLarge, 431),
            (Refusal::Slow, 408),
            (Refusal::NoSecret, 503),
            (Refusal::Signature(SignatureError::Wrong), 401),
            (Refusal::Inbox(inbox), 503),
        ] {
            assert_eq!(HttpAnswer::from(&refusal).status, status, "{refusal}");
        }
    }

    #[test]
    fn only_a_405_lists_the_allowed_methods() {
        let allow = |refusal| HttpAnswer::from(&refusal).allow;
        assert_eq!(allow(Refusal::Method("GET, POST")), Some("GET, POST"));
        assert_eq!(allow(Refusal::NotFound), None);
    }
}
