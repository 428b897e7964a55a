//! Everything a call can be refused for. Pay's own code comes with a description; what its framework refuses has a shape
//! of the framework's own.

use super::super::Reply;
use crate::json;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No key, or none of ours. The answer is a sentence, and no JSON.
    Unauthorised,
    /// Too many calls in a second.
    TooMany,
    /// There is nothing at this path.
    Path,
    /// Not with this method.
    Method,
    /// No payment of this account has the id.
    NoPayment,
    /// Nor has any of its events.
    NoEvents,
    /// Nor has any of its refunds.
    NoRefunds,
    /// These parameters of a search are not what they must be.
    Parameters(Vec<&'static str>),
    /// Parameters that Pay takes, and that are not played here: to pass over them would answer another question.
    NotPlayed(String),
    /// The search has fewer pages.
    NoPage,
    /// What is behind the API broke while a payment was read.
    Payment,
    /// What is behind the API broke while a search ran.
    Search,
    /// Nothing behind the load balancer is there.
    Unavailable,
    /// What is behind the load balancer did not answer in time.
    Timeout,
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let found = |code: &str, description: &str| {
            json::object(&[
                ("code", json::string(code)),
                ("description", json::string(description)),
            ])
        };
        let framework = |status: u16, message: &str| {
            let fields = [
                ("code", status.to_string()),
                ("message", json::string(message)),
            ];
            Self::json(status, json::object(&fields))
        };
        match problem {
            Problem::Unauthorised => {
                Self::json(401, "Credentials are required to access this resource.")
                    .with("content-type", "text/plain")
                    .with("www-authenticate", "Bearer realm=\"realm\"")
            }
            Problem::TooMany => Self::json(429, found("P0900", "Too many requests")),
            Problem::Path => framework(404, "HTTP 404 Not Found"),
            Problem::Method => framework(405, "HTTP 405 Method Not Allowed"),
            Problem::NoPayment => Self::json(404, found("P0200", "Not found")),
            Problem::NoEvents => Self::json(404, found("P0300", "Not found")),
            Problem::NoRefunds => Self::json(404, found("P0800", "Not found")),
            Problem::Parameters(names) => {
                let names = names.join(", ");
                let description = format!(
                    "Invalid parameters: {names}. See Public API documentation for the correct data formats"
                );
                Self::json(422, found("P0401", &description))
            }
            Problem::NotPlayed(name) => framework(501, &format!("`{name}` is not played here")),
            Problem::NoPage => Self::json(404, found("P0402", "Page not found")),
            Problem::Payment => Self::json(500, found("P0298", "Downstream system error")),
            Problem::Search => Self::json(500, found("P0498", "Downstream system error")),
            Problem::Unavailable => framework(503, "HTTP 503 Service Unavailable"),
            Problem::Timeout => framework(504, "HTTP 504 Gateway Timeout"),
        }
    }
}
