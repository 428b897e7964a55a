//! Sending requests to a sender's API as a dependency, like the clock: a simulation answers them by
//! the sender's rules, without a network.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::RequestBuilder;

use crate::http_client::{self, ClientLimits};

pub use crate::http_client::{ClientResponse, RequestError, ResponseError};

/// The limits of one call of a sender's API.
pub(super) const CALL_LIMITS: ClientLimits = ClientLimits {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};

/// Sends requests to a sender's API.
pub trait SenderTransport: Send + Sync {
    /// Sends a request and reads a response of at most `max_bytes`.
    fn send(
        &self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<ClientResponse, ResponseError>>;
}

/// Sends requests over the network, within the limits of their client.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkTransport;

impl SenderTransport for NetworkTransport {
    fn send(
        &self,
        request: RequestBuilder,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<ClientResponse, ResponseError>> {
        http_client::send(request, max_bytes).boxed()
    }
}
