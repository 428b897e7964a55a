//! A sender's own messages, handed on to a handler that was written for that sender.
//!
//! The handler gets the exact bytes with the sender's signature and content type, so it verifies
//! them as if the sender had called it. Beside them is only the key, as `webhook-id`. Nothing is
//! signed here: a signature of ours in the sender's name would be a forgery, so what the sender did
//! not sign is not delivered by this destination.

use super::{DeliveryError, Destination, Event, HttpsEndpoint};
use crate::domain::Key;

/// An HTTPS endpoint that takes a sender's own messages.
pub struct AsSentDestination {
    endpoint: HttpsEndpoint,
}

impl AsSentDestination {
    /// The handler at `endpoint`.
    pub fn new(endpoint: HttpsEndpoint) -> Self {
        Self { endpoint }
    }
}

impl Destination for AsSentDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let message = event.signed().ok_or(DeliveryError::Unsigned)?;
        let complete = |request: reqwest::RequestBuilder| {
            request
                .header("content-type", message.content_type)
                .header(message.signature_header, &message.signature)
                .header("webhook-id", key.as_str())
                .body(message.body.clone())
        };
        self.endpoint.post(complete).await
    }
}
