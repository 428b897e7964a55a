//! Posts CloudEvents to an HTTPS endpoint with a Standard Webhooks signature.

use std::sync::Arc;

use super::{DeliveryError, Destination, Event, HttpsEndpoint, WebhookSecret};
use crate::domain::{Clock, Key};

/// An HTTPS endpoint that accepts CloudEvents.
pub struct HttpsDestination {
    endpoint: HttpsEndpoint,
    secrets: Vec<WebhookSecret>,
    clock: Arc<dyn Clock>,
}

impl HttpsDestination {
    /// An `endpoint` whose receiver shares one of `secrets`. There are several during a rotation.
    pub fn new(
        endpoint: HttpsEndpoint,
        secrets: Vec<WebhookSecret>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            endpoint,
            secrets,
            clock,
        }
    }
}

impl Destination for HttpsDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let at = self.clock.now();
        let signatures = self
            .secrets
            .iter()
            .map(|secret| secret.sign(key.as_str(), at, event.json()));
        let signature = signatures.collect::<Vec<_>>().join(" ");
        let add_event = |request: reqwest::RequestBuilder| {
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
        self.endpoint.post(add_event).await
    }
}
