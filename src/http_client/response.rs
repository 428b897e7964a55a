//! A response that is read completely, up to a limit.

use bytes::{Bytes, BytesMut};
use reqwest::RequestBuilder;

use super::RequestError;

/// A complete response.
#[derive(Clone, Debug)]
pub struct ClientResponse {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// There was no response, or it was incomplete.
    #[error("{0}")]
    Unanswered(RequestError),
    /// The body exceeds the limit.
    #[error("the answer is too long")]
    TooLong,
}

/// Sends a request and reads a response of at most `max_bytes` bytes.
pub(crate) async fn send(
    request: RequestBuilder,
    max_bytes: usize,
) -> Result<ClientResponse, ResponseError> {
    let unanswered = |error: reqwest::Error| ResponseError::Unanswered((&error).into());
    let mut response = request.send().await.map_err(unanswered)?;
    let status = response.status().as_u16();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(ResponseError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(ClientResponse {
        status,
        body: body.freeze(),
    })
}
