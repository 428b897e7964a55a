//! One HTTPS endpoint: a CloudEvent posted with a Standard Webhooks signature.
//!
//! The configured origin is the only one ever contacted: redirects are not followed, and its name
//! must resolve to public addresses, which are checked on the way to the connection.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::{DeliveryError, DeliveryTrace, Destination, Event, WebhookSecret};
use crate::{
    domain::{Clock, Key},
    http_client::{ClientLimits, EndpointError, RequestError, client, endpoint, resolve},
};

/// The time limits of one attempt. The lease is several times longer.
const LIMITS: ClientLimits = ClientLimits {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};
/// The part of a response that is read, so that the connection can be reused.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An HTTPS endpoint.
pub struct HttpsDestination {
    url: Url,
    secret: WebhookSecret,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL is not allowed.
    #[error("its URL {0}")]
    Url(#[from] EndpointError),
    /// The HTTPS client cannot be created.
    #[error("cannot create an HTTPS client: {0}")]
    Client(#[from] reqwest::Error),
}

impl HttpsDestination {
    /// An endpoint at `url`, whose receiver shares `secret`.
    pub fn new(
        url: &Url,
        secret: WebhookSecret,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpsError> {
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

impl Destination for HttpsDestination {
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
            .headers(DeliveryTrace::current_headers())
            .body(event.json().clone());
        let answer = request.send().await.map_err(|error| unavailable(&error))?;
        let status = answer.status();
        let outcome = classify_status(status);
        drain(answer).await;
        outcome
    }
}

/// Whether an endpoint answers on the path that a delivery takes, without an event: name, address
/// rule, connection, TLS and HTTP. Any status will do.
///
/// # Errors
/// What a delivery would report.
pub async fn probe_https(url: &Url) -> Result<(), DeliveryError> {
    let client = client(url, LIMITS).map_err(|error| unavailable(&error))?;
    let answer = client.head(url.clone()).send().await;
    answer.map(|_| ()).map_err(|error| unavailable(&error))
}

/// Whether the name of an endpoint resolves to an address that deliveries may use. Opens no
/// connection.
///
/// # Errors
/// What a delivery would report.
pub async fn resolve_https(url: &Url) -> Result<(), DeliveryError> {
    let resolved = resolve(url).await;
    resolved.map_err(|error| DeliveryError::Unavailable(format!("https: {error}")))
}

/// The outcome of a status. During a deployment an endpoint may answer 404 or 403, so these are
/// tried again.
fn classify_status(status: StatusCode) -> Result<(), DeliveryError> {
    let reason = format!("https: status {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        400 | 410 | 413 | 415 | 422 => Err(DeliveryError::Refused(reason)),
        _ => Err(DeliveryError::Unavailable(reason)),
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const PRIVATE: &str = "https: the name resolves to a private address, where nothing is sent";

    #[tokio::test]
    async fn a_probe_of_a_name_with_a_private_address_says_what_a_delivery_says() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        for found in [probe_https(&url).await, resolve_https(&url).await] {
            assert_eq!(found, Err(DeliveryError::Unavailable(PRIVATE.to_owned())));
        }
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "nothing connects to it");
    }

    #[tokio::test]
    async fn a_probe_accepts_any_status_and_sends_no_event() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
        let receiver = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            let answer = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        });
        assert_eq!(probe_https(&url).await, Ok(()));
        let request = receiver.await.unwrap();
        assert!(request.starts_with("HEAD /x HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("webhook-"), "{request}");
        let gone = probe_https(&url).await;
        let why = "https: no connection".to_owned();
        assert_eq!(gone, Err(DeliveryError::Unavailable(why)));
        assert_eq!(
            resolve_https(&url).await,
            Ok(()),
            "loopback with http is allowed"
        );
    }

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
            let found = match classify_status(StatusCode::from_u16(status).unwrap()) {
                Ok(()) => "arrived",
                Err(DeliveryError::Refused(_)) => "dead",
                Err(DeliveryError::Unavailable(_)) => "again",
            };
            assert_eq!(found, outcome, "{status}");
        }
    }
}
