//! What HMRC answers instead -> what it means, and what to do about it.
//!
//! Codes are from hmrc/push-pull-notifications-api and from HMRC's reference guide of the platform
//! before it.

use serde::Deserialize;

use crate::http_client::{ClientResponse, RequestError, ResponseError};

/// Why HMRC did not do what it was asked; says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HmrcError {
    /// The application is not known by these credentials.
    #[error(
        "the client id or the client secret is not accepted: take both from the application in \
         the Developer Hub"
    )]
    Credentials,
    /// The application may not have one of our scopes.
    #[error(
        "the application may not have the scopes read:pull-notifications and write:notifications: \
         subscribe it to the \
         Push Pull Notifications API"
    )]
    Scope,
    /// The application may not use the API.
    #[error(
        "the application is not subscribed to the Push Pull Notifications API: subscribe it in \
         the Developer Hub"
    )]
    NotSubscribed,
    /// A fresh token is refused.
    #[error(
        "a token it has just given is not accepted: check that base_url and credentials are of \
         one environment"
    )]
    Unauthorised,
    /// No such box.
    #[error("there is no such box: check its id, and that environment is the one it belongs to")]
    UnknownBox,
    /// The box is not this application's.
    #[error("the box belongs to another application: use the client id that it was made for")]
    ForeignBox,
    /// Something that no later try would change.
    #[error(
        "it refuses the request with status {status}, code {code}: check base_url, or report this"
    )]
    Refused {
        /// The status.
        status: u16,
        /// The code, as far as it looks like one.
        code: String,
    },
    /// An answer that is none of PPNS's.
    #[error("its answer is not what the Push Pull Notifications API answers: check base_url")]
    NotUnderstood,
    /// One notification alone is longer than what is taken in.
    #[error("a single notification is longer than 32 MiB: read it by hand, and acknowledge it")]
    TooLong,
    /// The token has come to its end.
    #[error("the token is not accepted any more")]
    TokenExpired,
    /// Too many calls.
    #[error("too many calls: something else calls as the same application")]
    Throttled,
    /// Planned.
    #[error("it is closed for maintenance")]
    Maintenance,
    /// Broken.
    #[error("it fails with status {0}")]
    Down(u16),
    /// No answer at all.
    #[error("{0}")]
    Unanswered(RequestError),
}

/// What a error stands in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorScope {
    /// Nothing, in a while.
    Transient,
    /// One box.
    Box,
    /// Every box of the application.
    Application,
}

impl HmrcError {
    /// What it stands in the way of.
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

    /// What the API answered, if it is not what was asked for.
    pub(super) fn of_api(answer: &ClientResponse) -> Self {
        let code = code(answer);
        match (answer.status, code.as_str()) {
            (401, _) => Self::TokenExpired,
            (403, "RESOURCE_FORBIDDEN") => Self::NotSubscribed,
            (403, "INVALID_SCOPE") => Self::Scope,
            (403, "FORBIDDEN") => Self::ForeignBox,
            (404, "BOX_NOT_FOUND") => Self::UnknownBox,
            _ => Self::of_any(answer.status, code),
        }
    }

    /// What was answered to who asked for a token, if it is none.
    pub(super) fn of_token(answer: &ClientResponse) -> Self {
        let code = code(answer);
        match (answer.status, code.as_str()) {
            (_, "invalid_client") | (401, _) => Self::Credentials,
            (_, "invalid_scope") => Self::Scope,
            _ => Self::of_any(answer.status, code),
        }
    }

    fn of_any(status: u16, code: String) -> Self {
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

/// The code in an answer. What doesn't look like one is not repeated: whoever answers may quote
/// what it was sent.
fn code(answer: &ClientResponse) -> String {
    let said = serde_json::from_slice::<HmrcErrorBody>(&answer.body)
        .ok()
        .and_then(|said| said.code);
    let is_plain = |code: &String| {
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    said.filter(is_plain).unwrap_or_else(|| "-".to_owned())
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
    fn what_the_api_answers_names_what_to_do() {
        let refused = |status, code: &str| HmrcError::Refused {
            status,
            code: code.to_owned(),
        };
        for (status, code, error) in [
            (401, "INVALID_CREDENTIALS", HmrcError::TokenExpired),
            (401, "UNAUTHORISED", HmrcError::TokenExpired),
            (403, "RESOURCE_FORBIDDEN", HmrcError::NotSubscribed),
            (403, "INVALID_SCOPE", HmrcError::Scope),
            (403, "FORBIDDEN", HmrcError::ForeignBox),
            (403, "HTTPS_REQUIRED", refused(403, "HTTPS_REQUIRED")),
            (404, "BOX_NOT_FOUND", HmrcError::UnknownBox),
            (
                404,
                "MATCHING_RESOURCE_NOT_FOUND",
                refused(404, "MATCHING_RESOURCE_NOT_FOUND"),
            ),
            (
                400,
                "INVALID_REQUEST_PAYLOAD",
                refused(400, "INVALID_REQUEST_PAYLOAD"),
            ),
            (
                406,
                "ACCEPT_HEADER_INVALID",
                refused(406, "ACCEPT_HEADER_INVALID"),
            ),
            (307, "", refused(307, "")),
            (429, "MESSAGE_THROTTLED_OUT", HmrcError::Throttled),
            (500, "INTERNAL_SERVER_ERROR", HmrcError::Down(500)),
            (501, "NOT_IMPLEMENTED", refused(501, "NOT_IMPLEMENTED")),
            (503, "SERVER_ERROR", HmrcError::Down(503)),
            (503, "SCHEDULED_MAINTENANCE", HmrcError::Maintenance),
            (504, "GATEWAY_TIMEOUT", HmrcError::Down(504)),
            (200, "", HmrcError::NotUnderstood),
        ] {
            let said = HmrcError::of_api(&answer(
                status,
                &format!(r#"{{"code":"{code}","message":"…"}}"#),
            ));
            assert_eq!(said, error, "{status} {code}");
        }
    }

    #[test]
    fn what_is_answered_to_who_wants_a_token_names_what_to_do() {
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
            let said = HmrcError::of_token(&answer(
                status,
                &format!(r#"{{"error":"{code}","error_description":"…"}}"#),
            ));
            assert_eq!(said, error, "{status} {code}");
        }
    }

    #[test]
    fn an_answer_is_not_repeated_but_for_its_code() {
        for body in [
            "",
            "<html>canary</html>",
            r#"{"code":"canary canary"}"#,
            r#"{"code":7,"message":"canary"}"#,
        ] {
            assert_eq!(
                HmrcError::of_api(&answer(400, body)),
                HmrcError::Refused {
                    status: 400,
                    code: "-".to_owned()
                }
            );
        }
    }
}
