//! What GOV.UK Pay's API answers instead -> what it means, and what to do about it.
//!
//! Codes are from alphagov/pay-publicapi.

use serde::Deserialize;

use crate::http_client::{ClientResponse, RequestError, ResponseError};

/// Why GOV.UK Pay did not do what it was asked; says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// The key opens nothing.
    #[error(
        "the API key is not accepted: make one in the admin site, of the account whose webhooks \
         these are"
    )]
    Key,
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
    /// An answer that is none of Pay's.
    #[error("its answer is not what GOV.UK Pay's API answers: check base_url")]
    NotUnderstood,
    /// The next page is somewhere else.
    #[error("its next page is at another address, where the API key is not sent: check base_url")]
    Elsewhere,
    /// Too many calls.
    #[error("too many calls: something else calls with the same account")]
    Throttled,
    /// Broken.
    #[error("it fails with status {0}")]
    Down(u16),
    /// No answer, or none that fits.
    #[error("{0}")]
    Unanswered(RequestError),
    /// More than is taken in.
    #[error("its answer is longer than 16 MiB: check base_url")]
    TooLong,
}

impl PayError {
    /// Whether it may be over in a while.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Throttled | Self::Down(_) | Self::Unanswered(_))
    }

    /// What was answered, if it is not what was asked for.
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

/// The code in an answer. What doesn't look like one is not repeated: whoever answers may quote
/// what it was sent.
pub(super) fn code(answer: &ClientResponse) -> String {
    let said = serde_json::from_slice::<PayErrorBody>(&answer.body)
        .ok()
        .and_then(|said| said.code);
    let is_plain =
        |code: &String| code.len() <= 16 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    said.filter(is_plain).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_answers_names_what_to_do() {
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
            (429, r#"{"code":"P0900"}"#, PayError::Throttled),
            (500, r#"{"code":"P0498"}"#, PayError::Down(500)),
            (200, "<html>", PayError::NotUnderstood),
        ] {
            let said = PayError::of(&ClientResponse {
                status,
                body: body.into(),
            });
            assert_eq!(said, error, "{status} {body}");
            assert_eq!(said.passes(), status == 429 || status == 500, "{status}");
        }
    }
}
