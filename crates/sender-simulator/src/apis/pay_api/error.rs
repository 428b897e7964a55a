//! The errors of Pay's API. Pay's code returns a code and a description; its framework has another
//! format.

use super::super::ApiResponse;
use crate::json;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayApiError {
    /// The API key is missing or unknown. The body is a sentence instead of JSON.
    Unauthorised,
    /// Too many calls in a second.
    TooMany,
    /// The path does not exist.
    Path,
    /// The path does not allow this method.
    Method,
    /// The account has no payment with this id.
    NoPayment,
    /// The account has no payment with this id, so no events.
    NoEvents,
    /// The account has no payment with this id, so no refunds.
    NoRefunds,
    /// These search parameters are invalid.
    Parameters(Vec<&'static str>),
    /// Pay accepts this parameter and the simulation does not. Ignoring it would give a different
    /// result.
    NotSimulated(String),
    /// The search has fewer pages.
    NoPage,
    /// The search for refunds has fewer pages.
    NoRefundPage,
    /// A service behind the API failed while it read a payment.
    Payment,
    /// A service behind the API failed during a search.
    Search,
    /// No service is available behind the load balancer.
    Unavailable,
    /// The service behind the load balancer did not respond in time.
    Timeout,
}

impl From<PayApiError> for ApiResponse {
    fn from(error: PayApiError) -> Self {
        let pay = |status, code: &str, description: &str| {
            Self::texts(status, &[("code", code), ("description", description)])
        };
        let framework = |status: u16, message: &str| {
            let fields = [
                ("code", status.to_string()),
                ("message", json::string(message)),
            ];
            Self::json(status, json::object(&fields))
        };
        match error {
            PayApiError::Unauthorised => {
                Self::json(401, "Credentials are required to access this resource.")
                    .with("content-type", "text/plain")
                    .with("www-authenticate", "Bearer realm=\"realm\"")
            }
            PayApiError::TooMany => pay(429, "P0900", "Too many requests"),
            PayApiError::Path => framework(404, "HTTP 404 Not Found"),
            PayApiError::Method => framework(405, "HTTP 405 Method Not Allowed"),
            PayApiError::NoPayment => pay(404, "P0200", "Not found"),
            PayApiError::NoEvents => pay(404, "P0300", "Not found"),
            PayApiError::NoRefunds => pay(404, "P0800", "Not found"),
            PayApiError::Parameters(names) => {
                let description = format!(
                    "Invalid parameters: {}. See Public API documentation for the correct data \
                     formats",
                    names.join(", ")
                );
                pay(422, "P0401", &description)
            }
            PayApiError::NotSimulated(name) => {
                framework(501, &format!("`{name}` is not simulated"))
            }
            PayApiError::NoPage => pay(404, "P0402", "Page not found"),
            PayApiError::NoRefundPage => pay(404, "P1100", "Page not found"),
            PayApiError::Payment => pay(500, "P0298", "Downstream system error"),
            PayApiError::Search => pay(500, "P0498", "Downstream system error"),
            PayApiError::Unavailable => framework(503, "HTTP 503 Service Unavailable"),
            PayApiError::Timeout => framework(504, "HTTP 504 Gateway Timeout"),
        }
    }
}
