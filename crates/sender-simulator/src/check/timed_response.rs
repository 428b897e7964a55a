//! A response with its time, described without secrets, signatures or bodies.

use std::time::Duration;

use super::{
    super::{ExchangeError, ReceiverResponse},
    report::plain,
};

/// A response, or why there is none, and the time that it took.
#[derive(Debug)]
pub(super) struct TimedResponse {
    pub(super) response: Result<ReceiverResponse, ExchangeError>,
    pub(super) took: Duration,
}

impl TimedResponse {
    #[cfg(test)]
    pub(super) fn of(response: Result<ReceiverResponse, ExchangeError>) -> Self {
        Self {
            response,
            took: Duration::ZERO,
        }
    }

    /// The status, if there is a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.response.as_ref().ok().map(|response| response.status)
    }

    /// Whether the status is 2xx.
    pub(super) fn is_success(&self) -> bool {
        self.status()
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// The status with details from the headers, or the error.
    pub(super) fn described(&self) -> String {
        match &self.response {
            Ok(response) => describe(response),
            Err(error) => message_without_advice(error),
        }
    }

    /// The same with the time.
    pub(super) fn described_with_time(&self) -> String {
        format!("{} after {}", self.described(), ms(self.took))
    }
}

/// A duration in milliseconds, to a tenth.
pub(super) fn ms(took: Duration) -> String {
    let us = took.as_micros();
    format!("{}.{} ms", us / 1000, us / 100 % 10)
}

fn describe(response: &ReceiverResponse) -> String {
    let more = match response.status {
        300..=399 => response
            .header("location")
            .map(|location| format!(" to {}", redirect_target(location))),
        401 => response.header("www-authenticate").map(|scheme| {
            let scheme = scheme.split_whitespace().next().unwrap_or_default();
            format!(", and asks for {} authentication", plain(scheme, 20))
        }),
        _ => None,
    };
    format!("{}{}", response.status, more.unwrap_or_default())
}

/// A redirect's target without its query, which may repeat parts of the request.
fn redirect_target(location: &str) -> String {
    plain(location.split(['?', '#']).next().unwrap_or_default(), 80)
}

/// An error without its advice, which the finding has.
fn message_without_advice(error: &ExchangeError) -> String {
    match error {
        ExchangeError::Target(error) => error.to_string(),
        ExchangeError::Connect { host, port, error } => {
            format!("no connection to {host}:{port}: {error}")
        }
        ExchangeError::Tls { host, error } => format!("no TLS with {host}: {error}"),
        ExchangeError::TimedOut => "no response within the sender's time limit".to_owned(),
        ExchangeError::Closed => "the connection closed without a response".to_owned(),
        ExchangeError::Reset => "the connection was reset".to_owned(),
        ExchangeError::BodyCutShort => "the body of the response was cut short".to_owned(),
        ExchangeError::Garbled(why) => format!("not an HTTP/1.1 response: {why}"),
    }
}

/// Several responses in one line: once if they are equal, or each under its name.
pub(super) fn summary(replies: &[(&str, TimedResponse)]) -> String {
    let described: Vec<(&str, String)> = replies
        .iter()
        .map(|(name, reply)| (*name, reply.described()))
        .collect();
    match &described[..] {
        [] => "nothing".to_owned(),
        [(_, only)] => only.clone(),
        [(_, first), (_, second)] if first == second => format!("{first} to both"),
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
            format!("{first} to all {}", described.len())
        }
        each => {
            let named = each
                .iter()
                .map(|(name, described)| format!("{name}: {described}"));
            named.collect::<Vec<_>>().join("; ")
        }
    }
}
