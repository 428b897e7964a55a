//! Everything a call can be refused for, with its status and code. Codes are stable; HMRC may change the texts.

use super::super::Reply;
use crate::json;

/// Why a call is refused: the first ones by the platform in front, the others by the service itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is nothing at this path.
    UnknownPath(String),
    /// Not with this method.
    Method,
    /// The accept header asks for a version that there is not.
    Version,
    /// No authorization header.
    MissingCredentials,
    /// No token of ours, or one that has expired.
    InvalidCredentials,
    /// The token is not for this.
    InvalidScope,
    /// Too many calls in a second.
    Throttled,
    /// Something broke in front.
    Internal,
    /// Nothing behind the platform is there.
    Unavailable,
    /// What is behind the platform did not answer in time.
    Timeout,
    /// The accept header is missing, or is not exactly the one.
    Accept,
    /// The path's box id is no UUID.
    BoxId,
    /// There is no such box.
    NoBox,
    /// The box of another application.
    Forbidden,
    /// A query parameter that there is not.
    UnknownParameter,
    /// A status that there is not.
    StatusParameter,
    /// A date in a form that is not read.
    DateParameter,
    /// A count that is no number.
    CountParameter,
    /// From is not before to. HMRC's text says it the wrong way round.
    DateOrder,
    /// The list of ids is not what it must be.
    Body,
    /// The body is too large.
    TooLarge,
    /// The body is not JSON by its content type.
    ContentType,
    /// The service itself broke.
    Service,
}

impl Problem {
    /// The answer's status.
    pub fn status(&self) -> u16 {
        self.parts().0
    }

    /// The answer's code.
    pub fn code(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (u16, &'static str, String) {
        let (status, code, message) = match self {
            Self::UnknownPath(path) => return (404, "NOT_FOUND", format!("URI not found {path}")),
            Self::Method => (
                405,
                "METHOD_NOT_ALLOWED",
                "The request method is not allowed here",
            ),
            Self::Version => (
                404,
                "MATCHING_RESOURCE_NOT_FOUND",
                "No resource matches the request",
            ),
            Self::MissingCredentials => (
                401,
                "MISSING_CREDENTIALS",
                "Authentication information is not provided",
            ),
            Self::InvalidCredentials => (
                401,
                "INVALID_CREDENTIALS",
                "Invalid authentication information provided",
            ),
            Self::InvalidScope => (
                403,
                "INVALID_SCOPE",
                "The token does not have the scopes needed",
            ),
            Self::Throttled => (
                429,
                "MESSAGE_THROTTLED_OUT",
                "The application has exceeded its quota",
            ),
            Self::Internal => (500, "INTERNAL_SERVER_ERROR", "Internal server error"),
            Self::Unavailable => (503, "SERVER_ERROR", "Service unavailable"),
            Self::Timeout => (504, "GATEWAY_TIMEOUT", "Gateway timeout"),
            Self::Accept => (
                406,
                "ACCEPT_HEADER_INVALID",
                "The accept header is missing or invalid",
            ),
            Self::BoxId => (400, "BAD_REQUEST", "Box ID is not a UUID"),
            Self::NoBox => (404, "BOX_NOT_FOUND", "Box not found"),
            Self::Forbidden => (403, "FORBIDDEN", "Access denied"),
            Self::UnknownParameter => (
                400,
                "INVALID_REQUEST_PAYLOAD",
                "Invalid / Unknown query parameter provided",
            ),
            Self::StatusParameter => (
                400,
                "INVALID_REQUEST_PAYLOAD",
                "Invalid Status parameter provided",
            ),
            Self::DateParameter => (
                400,
                "INVALID_REQUEST_PAYLOAD",
                "Unparsable DateValue Param provided",
            ),
            Self::CountParameter => (
                400,
                "INVALID_REQUEST_PAYLOAD",
                "Invalid Count parameter provided",
            ),
            Self::DateOrder => (
                400,
                "BAD_REQUEST",
                "fromDate parameter is before toDateParameter",
            ),
            Self::Body => (
                400,
                "INVALID_REQUEST_PAYLOAD",
                "JSON body is invalid against expected format",
            ),
            Self::TooLarge => (413, "UNKNOWN_ERROR", "Request Entity Too Large"),
            Self::ContentType => (
                415,
                "BAD_REQUEST",
                "Expecting text/json or application/json body",
            ),
            Self::Service => (500, "UNKNOWN_ERROR", "An unexpected error occurred: played"),
        };
        (status, code, message.to_owned())
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let (status, code, message) = problem.parts();
        Self::json(
            status,
            json::object(&[
                ("code", json::string(code)),
                ("message", json::string(&message)),
            ]),
        )
    }
}
