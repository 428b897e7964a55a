//! The errors of PPNS, with their status and code. Codes are stable; HMRC may change the texts.

use super::super::ApiResponse;

/// Why a call is refused. The API platform returns the first ten, the service the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PpnsError {
    /// The path does not exist.
    UnknownPath(String),
    /// The path does not allow this method.
    Method,
    /// The version in the accept header does not exist.
    Version,
    /// The authorization header is missing.
    MissingCredentials,
    /// The token is unknown or has expired.
    InvalidCredentials,
    /// The token lacks the scope.
    InvalidScope,
    /// Too many calls in a second.
    Throttled,
    /// The platform failed.
    Internal,
    /// The service is unavailable.
    Unavailable,
    /// The service did not respond in time.
    Timeout,
    /// The accept header is missing, or is not the required one.
    Accept,
    /// The box id in the path is not a UUID.
    BoxId,
    /// The box does not exist.
    NoBox,
    /// The box belongs to another application.
    Forbidden,
    /// A query parameter is unknown.
    UnknownParameter,
    /// The status is unknown.
    StatusParameter,
    /// A date has an unknown format.
    DateParameter,
    /// The count is not a number.
    CountParameter,
    /// `fromDate` is not before `toDate`. HMRC's message states the opposite.
    DateOrder,
    /// The list of ids is invalid.
    Body,
    /// The body is too large.
    TooLarge,
    /// The content type is not JSON.
    ContentType,
    /// The service failed.
    Service,
}

impl PpnsError {
    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.parts().0
    }

    /// The code in the response.
    pub fn code(&self) -> &'static str {
        self.parts().1
    }

    fn parts(&self) -> (u16, &'static str) {
        match self {
            Self::UnknownPath(_) => (404, "NOT_FOUND"),
            Self::Method => (405, "METHOD_NOT_ALLOWED"),
            Self::Version => (404, "MATCHING_RESOURCE_NOT_FOUND"),
            Self::MissingCredentials => (401, "MISSING_CREDENTIALS"),
            Self::InvalidCredentials => (401, "INVALID_CREDENTIALS"),
            Self::InvalidScope => (403, "INVALID_SCOPE"),
            Self::Throttled => (429, "MESSAGE_THROTTLED_OUT"),
            Self::Internal => (500, "INTERNAL_SERVER_ERROR"),
            Self::Unavailable => (503, "SERVER_ERROR"),
            Self::Timeout => (504, "GATEWAY_TIMEOUT"),
            Self::Accept => (406, "ACCEPT_HEADER_INVALID"),
            Self::BoxId | Self::DateOrder => (400, "BAD_REQUEST"),
            Self::NoBox => (404, "BOX_NOT_FOUND"),
            Self::Forbidden => (403, "FORBIDDEN"),
            Self::UnknownParameter
            | Self::StatusParameter
            | Self::DateParameter
            | Self::CountParameter
            | Self::Body => (400, "INVALID_REQUEST_PAYLOAD"),
            Self::TooLarge => (413, "UNKNOWN_ERROR"),
            Self::ContentType => (415, "BAD_REQUEST"),
            Self::Service => (500, "UNKNOWN_ERROR"),
        }
    }

    fn message(&self) -> String {
        let message = match self {
            Self::UnknownPath(path) => return format!("URI not found {path}"),
            Self::Method => "The request method is not allowed here",
            Self::Version => "No resource matches the request",
            Self::MissingCredentials => "Authentication information is not provided",
            Self::InvalidCredentials => "Invalid authentication information provided",
            Self::InvalidScope => "The token does not have the scopes needed",
            Self::Throttled => "The application has exceeded its quota",
            Self::Internal => "Internal server error",
            Self::Unavailable => "Service unavailable",
            Self::Timeout => "Gateway timeout",
            Self::Accept => "The accept header is missing or invalid",
            Self::BoxId => "Box ID is not a UUID",
            Self::NoBox => "Box not found",
            Self::Forbidden => "Access denied",
            Self::UnknownParameter => "Invalid / Unknown query parameter provided",
            Self::StatusParameter => "Invalid Status parameter provided",
            Self::DateParameter => "Unparsable DateValue Param provided",
            Self::CountParameter => "Invalid Count parameter provided",
            Self::DateOrder => "fromDate parameter is before toDateParameter",
            Self::Body => "JSON body is invalid against expected format",
            Self::TooLarge => "Request Entity Too Large",
            Self::ContentType => "Expecting text/json or application/json body",
            Self::Service => "An unexpected error occurred: simulated",
        };
        message.to_owned()
    }
}

impl From<PpnsError> for ApiResponse {
    fn from(error: PpnsError) -> Self {
        let fields = [("code", error.code()), ("message", &error.message())];
        Self::texts(error.status(), &fields)
    }
}
