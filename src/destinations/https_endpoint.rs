//! One HTTPS endpoint: where it is, how it is reached, and what its answers mean.
//!
//! The configured origin is the only one ever contacted: redirects are not followed, and its name
//! must resolve to public addresses, which are checked on the way to the connection.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use super::DeliveryError;
use crate::http_client::{ClientLimits, EndpointError, RequestError, client, endpoint, resolve};

/// The time limits of one attempt. The lease is several times longer.
const LIMITS: ClientLimits = ClientLimits {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};
/// The part of a response that is read, so that the connection can be reused.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An endpoint that can be used.
pub struct HttpsEndpoint {
    url: Url,
    client: Client,
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

impl HttpsEndpoint {
    /// The endpoint at `url`.
    pub fn new(url: &Url) -> Result<Self, HttpsError> {
        let url = endpoint(url.as_str())?;
        let client = client(&url, LIMITS)?;
        Ok(Self { url, client })
    }

    /// Posts one request, to which `complete` adds headers and body. Returns what the answer means.
    pub(super) async fn post(
        &self,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<(), DeliveryError> {
        let request = complete(self.client.post(self.url.clone()));
        let answer = request.send().await.map_err(|error| unavailable(&error))?;
        let outcome = classify_status(answer.status());
        drain(answer).await;
        outcome
    }

    /// Whether the endpoint answers on the path that a delivery takes, without an event: name,
    /// address rule, connection, TLS and HTTP. Any status will do.
    ///
    /// # Errors
    /// What a delivery would report.
    pub async fn probe(&self) -> Result<(), DeliveryError> {
        let answer = self.client.head(self.url.clone()).send().await;
        answer.map(drop).map_err(|error| unavailable(&error))
    }

    /// Whether the name of the endpoint resolves to an address that deliveries may use. Opens no
    /// connection.
    ///
    /// # Errors
    /// What a delivery would report.
    pub async fn resolve(&self) -> Result<(), DeliveryError> {
        let resolved = resolve(&self.url).await;
        resolved.map_err(|error| DeliveryError::Unavailable(format!("https: {error}")))
    }
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
        let endpoint = HttpsEndpoint {
            client: client(&url, LIMITS).unwrap(),
            url,
        };
        for found in [endpoint.probe().await, endpoint.resolve().await] {
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
        let endpoint = HttpsEndpoint::new(&url).unwrap();
        assert_eq!(endpoint.probe().await, Ok(()));
        let request = receiver.await.unwrap();
        assert!(request.starts_with("HEAD /x HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("webhook-"), "{request}");
        let gone = endpoint.probe().await;
        let why = "https: no connection".to_owned();
        assert_eq!(gone, Err(DeliveryError::Unavailable(why)));
        assert_eq!(
            endpoint.resolve().await,
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
                Err(_) => "again",
            };
            assert_eq!(found, outcome, "{status}");
        }
    }
}
