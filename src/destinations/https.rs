//! One HTTPS endpoint: a CloudEvent posted with a Standard Webhooks signature.
//!
//! The configured origin is the only one ever contacted: redirects are not followed, and its name
//! must resolve to public addresses, which are checked on the way to the connection.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::{DeliveryError, Destination, Event, WebhookSecret};
use crate::{
    domain::{Clock, Key},
    http_client::{ClientLimits, EndpointError, RequestError, client, endpoint},
};

/// The whole of one attempt; the lease is several times as long.
const LIMITS: ClientLimits = ClientLimits {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};
/// How much of an answer is read, so that the connection can be used again.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An endpoint of the team's own.
pub struct HttpsDestination<W> {
    url: Url,
    secret: WebhookSecret,
    client: Client,
    clock: Arc<W>,
}

/// Why an endpoint can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL leads where nothing may be sent.
    #[error("its URL {0}")]
    Url(#[from] EndpointError),
    /// No client can be made.
    #[error("no HTTPS client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl<W: Clock> HttpsDestination<W> {
    /// An endpoint at `url`, whose receiver shares `secret`.
    pub fn new(url: &Url, secret: WebhookSecret, clock: Arc<W>) -> Result<Self, HttpsError> {
        let url = endpoint(url.as_str())?;
        let client = client(&url, LIMITS)?;
        Ok(Self {
            url,
            secret,
            client,
            clock,
        })
    }
}

impl<W: Clock> Destination for HttpsDestination<W> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let at = self.clock.now();
        let request = self
            .client
            .post(self.url.clone())
            .header(
                "content-type",
                "application/cloudevents+json; charset=utf-8",
            )
            .header("webhook-id", key.as_str())
            .header("webhook-timestamp", at.as_seconds())
            .header(
                "webhook-signature",
                self.secret.sign(key.as_str(), at, event.json()),
            )
            .body(event.json().clone());
        let answer = request.send().await.map_err(|error| unavailable(&error))?;
        let status = answer.status();
        let outcome = judge(status);
        drain(answer).await;
        outcome
    }
}

/// What a status means. A deployment in progress answers 404 or 403, so those are tried again.
fn judge(status: StatusCode) -> Result<(), DeliveryError> {
    let said = format!("https: status {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        400 | 410 | 413 | 415 | 422 => Err(DeliveryError::Refused(said)),
        _ => Err(DeliveryError::Unavailable(said)),
    }
}

fn unavailable(error: &reqwest::Error) -> DeliveryError {
    DeliveryError::Unavailable(format!("https: {}", RequestError::from(error)))
}

async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > LONGEST_ANSWER {
            return; // the connection is closed instead of used again
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_statuses_are_refusals_for_good() {
        for (status, outcome) in [
            (200, "arrived"),
            (202, "arrived"),
            (204, "arrived"),
            (301, "again"),
            (304, "again"),
            (307, "again"),
            (400, "dead"),
            (401, "again"),
            (403, "again"),
            (404, "again"),
            (408, "again"),
            (410, "dead"),
            (413, "dead"),
            (415, "dead"),
            (422, "dead"),
            (429, "again"),
            (500, "again"),
            (503, "again"),
        ] {
            let said = match judge(StatusCode::from_u16(status).unwrap()) {
                Ok(()) => "arrived",
                Err(DeliveryError::Refused(_)) => "dead",
                Err(DeliveryError::Unavailable(_)) => "again",
            };
            assert_eq!(said, outcome, "{status}");
        }
    }
}
