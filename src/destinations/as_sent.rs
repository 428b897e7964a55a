//! Forwards a sender's own messages to a handler that was written for that sender.
//!
//! The handler gets the exact bytes with the sender's signature and content type, so it verifies
//! them as if the sender had called it. Only the key is added, as `webhook-id`. This destination
//! signs nothing, because a signature in the sender's name would be a forgery. So it does not
//! deliver a message that the sender did not sign.

use super::{DeliveryError, Destination, Event, HttpsEndpoint};
use crate::domain::Key;

/// An HTTPS endpoint that accepts a sender's own messages.
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
        let add_message = |request: reqwest::RequestBuilder| {
            request
                .header("content-type", message.content_type)
                .header(message.signature_header, &message.signature)
                .header("webhook-id", key.as_str())
                .body(message.body.clone())
        };
        self.endpoint.post(add_message).await
    }
}
