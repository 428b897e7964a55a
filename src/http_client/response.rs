//! An answer that is read to its end, if it has one within reason.

use bytes::{Bytes, BytesMut};
use reqwest::RequestBuilder;

use super::RequestError;

/// What a request was answered.
#[derive(Clone, Debug)]
pub(crate) struct ClientResponse {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// None came, or none to the end.
    #[error("{0}")]
    Unanswered(RequestError),
    /// Its body is longer than it may be.
    #[error("the answer is too long")]
    TooLong,
}

/// Sends a request and reads at most `longest` bytes of what comes back.
pub(crate) async fn ask(
    request: RequestBuilder,
    longest: usize,
) -> Result<ClientResponse, ResponseError> {
    let unanswered = |error: reqwest::Error| ResponseError::Unanswered((&error).into());
    let mut answer = request.send().await.map_err(unanswered)?;
    let status = answer.status().as_u16();
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > longest {
            return Err(ResponseError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(ClientResponse {
        status,
        body: body.freeze(),
    })
}
