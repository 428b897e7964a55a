//! The errors of GOV.UK Pay's API: what each response means, and what to do.
//!
//! The codes are from alphagov/pay-publicapi.

use serde::Deserialize;

use crate::http_client::{ClientResponse, RequestError, ResponseError};

/// Why a call to GOV.UK Pay failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// The API key is not valid.
    #[error(
        "the API key is not accepted: make one in the admin site, of the account whose webhooks \
         these are"
    )]
    Key,
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
    #[error("the response is not one of GOV.UK Pay's API: check base_url")]
    NotUnderstood,
    /// The next page has another address.
    #[error("the next page has another address, to which the API key is not sent: check base_url")]
    Elsewhere,
    /// The rate limit was exceeded.
    #[error("too many calls: another program calls with the same account")]
    Throttled,
    /// The API failed.
    #[error("the API failed with status {0}")]
    Down(u16),
    /// The request got no usable response.
    #[error("{0}")]
    Unanswered(RequestError),
    /// The response is longer than the limit.
    #[error("the response is longer than 16 MiB: check base_url")]
    TooLong,
}

impl PayError {
    /// Whether a retry may succeed.
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled | Self::Down(_) | Self::Unanswered(_))
    }

    /// The error in a response.
    pub(super) fn of(answer: &ClientResponse) -> Self {
        match answer.status {
            401 | 403 => Self::Key,
            429 => Self::Throttled,
            500.. => Self::Down(answer.status),
            200..=299 => Self::NotUnderstood,
            status => Self::Refused {
                status,
                code: code(answer),
            },
        }
    }
}

impl From<ResponseError> for PayError {
    fn from(none: ResponseError) -> Self {
        match none {
            ResponseError::Unanswered(why) => Self::Unanswered(why),
            ResponseError::TooLong => Self::TooLong,
        }
    }
}

#[derive(Deserialize)]
struct PayErrorBody {
    code: Option<String>,
}

/// The code in a response. A text that does not have the form of a code is not repeated, because it
/// may quote the request.
pub(super) fn code(answer: &ClientResponse) -> String {
    let code = serde_json::from_slice::<PayErrorBody>(&answer.body)
        .ok()
        .and_then(|body| body.code);
    let is_plain = |code: &String| {
        let digits = code.strip_prefix('P').unwrap_or_default();
        (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    code.filter(is_plain).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_api_says_what_to_do() {
        let refused = |status, code: &str| PayError::Refused {
            status,
            code: code.to_owned(),
        };
        for (status, body, error) in [
            (401, r#"{"code":"P0900"}"#, PayError::Key),
            (403, "", PayError::Key),
            (
                404,
                r#"{"code":"P0402","description":"Page not found"}"#,
                refused(404, "P0402"),
            ),
            (
                422,
                r#"{"code":"P0401","description":"canary"}"#,
                refused(422, "P0401"),
            ),
            (302, "<html>", refused(302, "-")),
            (400, r#"{"code":"canary canary"}"#, refused(400, "-")),
            (400, r#"{"code":"canary"}"#, refused(400, "-")),
            (429, r#"{"code":"P0900"}"#, PayError::Throttled),
            (500, r#"{"code":"P0498"}"#, PayError::Down(500)),
            (200, "<html>", PayError::NotUnderstood),
        ] {
            let found = PayError::of(&ClientResponse {
                status,
                body: body.into(),
            });
            assert_eq!(found, error, "{status} {body}");
            assert_eq!(
                found.is_retryable(),
                status == 429 || status == 500,
                "{status}"
            );
        }
    }
}
