//! What one request came to, in words that hold no secret, signature or body.

use std::time::Duration;

use super::{
    super::{Answer, ExchangeError},
    report::plain,
};

/// An answer or why there is none, and how long that took.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) answer: Result<Answer, ExchangeError>,
    pub(super) took: Duration,
}

impl Reply {
    /// The answer's status, if one came.
    pub(super) fn status(&self) -> Option<u16> {
        self.answer.as_ref().ok().map(|answer| answer.status)
    }

    /// Whether the status is 2xx.
    pub(super) fn is_success(&self) -> bool {
        self.status()
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// What came: the status with what its headers add, or what happened instead.
    pub(super) fn said(&self) -> String {
        match &self.answer {
            Ok(answer) => said(answer),
            Err(error) => brief(error),
        }
    }

    /// The same, and after how long.
    pub(super) fn said_when(&self) -> String {
        format!("{} after {}", self.said(), ms(self.took))
    }
}

/// A duration in milliseconds, to a tenth.
pub(super) fn ms(took: Duration) -> String {
    let us = took.as_micros();
    format!("{}.{} ms", us / 1000, us / 100 % 10)
}

fn said(answer: &Answer) -> String {
    let more = match answer.status {
        300..=399 => answer
            .header("location")
            .map(|location| format!(" to {}", place(location))),
        401 => answer.header("www-authenticate").map(|scheme| {
            let scheme = scheme.split_whitespace().next().unwrap_or_default();
            format!(", and asks for {} authentication", plain(scheme, 20))
        }),
        _ => None,
    };
    format!("{}{}", answer.status, more.unwrap_or_default())
}

/// A redirect's target without its query, where what was sent may stand again.
fn place(location: &str) -> String {
    plain(location.split(['?', '#']).next().unwrap_or_default(), 80)
}

/// An error without its advice: the finding has its own.
fn brief(error: &ExchangeError) -> String {
    match error {
        ExchangeError::Target(error) => error.to_string(),
        ExchangeError::Connect { host, port, error } => {
            format!("no connection to {host}:{port}: {error}")
        }
        ExchangeError::Tls { host, error } => format!("no TLS with {host}: {error}"),
        ExchangeError::TimedOut => "no answer within the sender's time".to_owned(),
        ExchangeError::Closed => "the connection closed without an answer".to_owned(),
        ExchangeError::Garbled(why) => format!("no HTTP/1.1 answer: {why}"),
    }
}

/// Several replies in a line: once what they have in common, else each under its name.
pub(super) fn summary<'a>(replies: impl IntoIterator<Item = (&'a str, &'a Reply)>) -> String {
    let said: Vec<(&str, String)> = replies
        .into_iter()
        .map(|(name, reply)| (name, reply.said()))
        .collect();
    match &said[..] {
        [] => "nothing".to_owned(),
        [(_, only)] => only.clone(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
            format!(
                "{first} to {}",
                if said.len() == 2 {
                    "both".to_owned()
                } else {
                    format!("all {}", said.len())
                }
            )
        }
        each => each
            .iter()
            .map(|(name, said)| format!("{name}: {said}"))
            .collect::<Vec<_>>()
            .join("; "),
    }
}
