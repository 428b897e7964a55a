//! The errors of HMRC's API: what each response means, and what to do.
//!
//! The codes are from hmrc/push-pull-notifications-api and HMRC's reference guide.

use serde::Deserialize;

use crate::http_client::{ClientResponse, RequestError, ResponseError};

/// Why a call to HMRC failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HmrcError {
    /// HMRC does not accept the client credentials.
    #[error(
        "the client id or the client secret is not accepted: take both from the application in \
         the Developer Hub"
    )]
    Credentials,
    /// The application lacks a required scope.
    #[error(
        "the application may not have the scopes read:pull-notifications and write:notifications: \
         subscribe it to the Push Pull Notifications API"
    )]
    Scope,
    /// The application is not subscribed to the API.
    #[error(
        "the application is not subscribed to the Push Pull Notifications API: subscribe it in \
         the Developer Hub"
    )]
    NotSubscribed,
    /// HMRC refuses a fresh token.
    #[error(
        "a token it has just given is not accepted: check that base_url and credentials are of \
         one environment"
    )]
    Unauthorised,
    /// The box does not exist.
    #[error(
        "there is no such box: check its id, and that it belongs to the configured environment"
    )]
    UnknownBox,
    /// The box belongs to another application.
    #[error("the box belongs to another application: use the client id of that application")]
    ForeignBox,
    /// A permanent error.
    #[error(
        "the API refused the request with status {status}, code {code}: check base_url, or \
         report this"
    )]
    Refused {
        /// The status.
        status: u16,
        /// The code, if it has the form of one.
        code: String,
    },
    /// The response does not have the API's form.
    #[error("the response is not one of the Push Pull Notifications API: check base_url")]
    NotUnderstood,
    /// A single notification is longer than the limit.
    #[error("a single notification is longer than 32 MiB: read it by hand, and acknowledge it")]
    TooLong,
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// The rate limit was exceeded.
    #[error("too many calls: another program calls as the same application")]
    Throttled,
    /// The API is closed for maintenance.
    #[error("the API is closed for maintenance")]
    Maintenance,
    /// The API failed.
    #[error("the API failed with status {0}")]
    Down(u16),
    /// The request got no response.
    #[error("{0}")]
    Unanswered(RequestError),
}

/// What an error stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorScope {
    /// Nothing: the request is retried.
    Transient,
    /// One box.
    Box,
    /// Every box of the application.
    Application,
}

impl HmrcError {
    /// What the error stops.
    pub(super) fn scope(&self) -> ErrorScope {
        match self {
            Self::Credentials | Self::Scope | Self::NotSubscribed | Self::Unauthorised => {
                ErrorScope::Application
            }
            Self::UnknownBox
            | Self::ForeignBox
            | Self::Refused { .. }
            | Self::NotUnderstood
            | Self::TooLong => ErrorScope::Box,
            Self::TokenExpired
            | Self::Throttled
            | Self::Maintenance
            | Self::Down(_)
            | Self::Unanswered(_) => ErrorScope::Transient,
        }
    }

    /// The error in a response of the API.
    pub(super) fn from_api(answer: &ClientResponse) -> Self {
        let code = code(answer);
        match (answer.status, code.as_str()) {
            (401, _) => Self::TokenExpired,
            (403, "RESOURCE_FORBIDDEN") => Self::NotSubscribed,
            (403, "INVALID_SCOPE") => Self::Scope,
            (403, "FORBIDDEN") => Self::ForeignBox,
            (404, "BOX_NOT_FOUND") => Self::UnknownBox,
            _ => Self::from_any(answer.status, code),
        }
    }

    /// The error in a response to a token request.
    pub(super) fn from_token(answer: &ClientResponse) -> Self {
        let code = code(answer);
        match (answer.status, code.as_str()) {
            (_, "invalid_client") | (401, _) => Self::Credentials,
            (_, "invalid_scope") => Self::Scope,
            _ => Self::from_any(answer.status, code),
        }
    }

    fn from_any(status: u16, code: String) -> Self {
        match (status, code.as_str()) {
            (429, _) => Self::Throttled,
            (503, "SCHEDULED_MAINTENANCE") => Self::Maintenance,
            (501, _) => Self::Refused { status, code },
            (500.., _) => Self::Down(status),
            (200..=299, _) => Self::NotUnderstood,
            _ => Self::Refused { status, code },
        }
    }
}

impl From<ResponseError> for HmrcError {
    fn from(none: ResponseError) -> Self {
        match none {
            ResponseError::Unanswered(why) => Self::Unanswered(why),
            ResponseError::TooLong => Self::TooLong,
        }
    }
}

#[derive(Deserialize)]
struct HmrcErrorBody {
    #[serde(alias = "error")]
    code: Option<String>,
}

/// The code in a response. A text that does not have the form of a code is not repeated, because it
/// may quote the request.
fn code(answer: &ClientResponse) -> String {
    let code = serde_json::from_slice::<HmrcErrorBody>(&answer.body)
        .ok()
        .and_then(|body| body.code);
    // HMRC's codes have no digits, which most tokens have, and one case of letters.
    let is_made_of = |code: &str, is_letter: fn(&u8) -> bool| {
        code.bytes().all(|byte| is_letter(&byte) || byte == b'_')
    };
    let is_plain = |code: &String| {
        code.len() <= 64
            && (is_made_of(code, u8::is_ascii_uppercase)
                || is_made_of(code, u8::is_ascii_lowercase))
    };
    code.filter(is_plain).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> ClientResponse {
        ClientResponse {
            status,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn an_error_of_the_api_says_what_to_do() {
        let error_of = |status, code: &str| {
            let body = format!(r#"{{"code":"{code}","message":"…"}}"#);
            HmrcError::from_api(&answer(status, &body))
        };
        for (status, code, error) in [
            (401, "INVALID_CREDENTIALS", HmrcError::TokenExpired),
            (401, "UNAUTHORISED", HmrcError::TokenExpired),
            (403, "RESOURCE_FORBIDDEN", HmrcError::NotSubscribed),
            (403, "INVALID_SCOPE", HmrcError::Scope),
            (403, "FORBIDDEN", HmrcError::ForeignBox),
            (404, "BOX_NOT_FOUND", HmrcError::UnknownBox),
            (429, "MESSAGE_THROTTLED_OUT", HmrcError::Throttled),
            (500, "INTERNAL_SERVER_ERROR", HmrcError::Down(500)),
            (503, "SERVER_ERROR", HmrcError::Down(503)),
            (503, "SCHEDULED_MAINTENANCE", HmrcError::Maintenance),
            (504, "GATEWAY_TIMEOUT", HmrcError::Down(504)),
            (200, "", HmrcError::NotUnderstood),
        ] {
            assert_eq!(error_of(status, code), error, "{status} {code}");
        }
        for (status, code) in [
            (403, "HTTPS_REQUIRED"),
            (404, "MATCHING_RESOURCE_NOT_FOUND"),
            (400, "INVALID_REQUEST_PAYLOAD"),
            (406, "ACCEPT_HEADER_INVALID"),
            (307, ""),
            (501, "NOT_IMPLEMENTED"),
        ] {
            let code = code.to_owned();
            let found = error_of(status, &code);
            assert_eq!(found, HmrcError::Refused { status, code });
        }
    }

    #[test]
    fn an_error_of_a_token_request_says_what_to_do() {
        for (status, code, error) in [
            (401, "invalid_client", HmrcError::Credentials),
            (400, "invalid_client", HmrcError::Credentials),
            (400, "invalid_scope", HmrcError::Scope),
            (
                400,
                "invalid_request",
                HmrcError::Refused {
                    status: 400,
                    code: "invalid_request".to_owned(),
                },
            ),
            (500, "server_error", HmrcError::Down(500)),
            (429, "", HmrcError::Throttled),
        ] {
            let found = HmrcError::from_token(&answer(
                status,
                &format!(r#"{{"error":"{code}","error_description":"…"}}"#),
            ));
            assert_eq!(found, error, "{status} {code}");
        }
    }

    #[test]
    fn only_the_code_of_a_response_is_repeated() {
        for body in [
            "",
            "<html>canary</html>",
            r#"{"code":"canary canary"}"#,
            r#"{"code":"4ad0c1f7b2e94d3f8a6c5b7e9d0f1a2b"}"#,
            r#"{"code":"Canary"}"#,
            r#"{"code":7,"message":"canary"}"#,
        ] {
            assert_eq!(
                HmrcError::from_api(&answer(400, body)),
                HmrcError::Refused {
                    status: 400,
                    code: "-".to_owned()
                }
            );
        }
    }
}
