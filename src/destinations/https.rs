//! CloudEvents posted to an HTTPS endpoint with a Standard Webhooks signature.

use std::sync::Arc;

use super::{DeliveryError, Destination, Event, HttpsEndpoint, WebhookSecret};
use crate::domain::{Clock, Key};

/// An HTTPS endpoint that takes CloudEvents.
pub struct HttpsDestination {
    endpoint: HttpsEndpoint,
    secret: WebhookSecret,
    clock: Arc<dyn Clock>,
}

impl HttpsDestination {
    /// An `endpoint` whose receiver shares `secret`.
    pub fn new(endpoint: HttpsEndpoint, secret: WebhookSecret, clock: Arc<dyn Clock>) -> Self {
        Self {
            endpoint,
            secret,
            clock,
        }
    }
}

impl Destination for HttpsDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let at = self.clock.now();
        let signature = self.secret.sign(key.as_str(), at, event.json());
        let complete = |request: reqwest::RequestBuilder| {
            request
                .header(
                    "content-type",
                    "application/cloudevents+json; charset=utf-8",
                )
                .header("webhook-id", key.as_str())
                .header("webhook-timestamp", at.as_seconds())
                .header("webhook-signature", &signature)
                .body(event.json().clone())
        };
        self.endpoint.post(complete).await
    }
}
