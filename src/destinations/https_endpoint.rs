//! One HTTPS endpoint: its URL, how it is reached, and what its answers mean.
//!
//! Only the configured origin is contacted: redirects are not followed, and its name must resolve
//! to public addresses or to those of an allowed network. The addresses are checked immediately
//! before the connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header::RETRY_AFTER};
use url::Url;

use super::{DeliveryError, DeliveryReport, DeliveryTrace, report::ANSWER_BYTES};
use crate::{
    domain::{Clock, Timestamp},
    http_client::{
        ClientLimits, EndpointError, HttpClientError, OutboundNetwork, OutboundProxyError,
        RequestError, TrustedRootsError, client, endpoint_within, fresh_client, resolve,
    },
};

/// The time limits of one attempt. The lease is several times longer.
const LIMITS: ClientLimits = ClientLimits {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};
/// How much of an answer is read, so that the connection can be reused.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// A usable endpoint.
pub struct HttpsEndpoint {
    url: Url,
    network: OutboundNetwork,
    client: Client,
    /// Opens a connection for each request.
    fresh_client: Client,
    /// Whether the endpoint has answered a request. From then on, connections are reused.
    has_answered: AtomicBool,
    clock: Arc<dyn Clock>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL is not allowed.
    #[error("its URL {0}")]
    Url(#[from] EndpointError),
    /// The file of root certificates cannot be read.
    #[error("its ca file cannot be read ({0}): check the path and its permissions")]
    NoFile(std::io::ErrorKind),
    /// The root certificates cannot be used.
    #[error("its ca file cannot be used: {0}")]
    Roots(#[from] TrustedRootsError),
    /// The outbound proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] OutboundProxyError),
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

impl HttpsEndpoint {
    /// The endpoint at `url`, reached over `network`.
    pub(super) fn new(
        url: &Url,
        network: OutboundNetwork,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpsError> {
        let url = endpoint_within(url.as_str(), &network.rule)?;
        let client = client(&url, LIMITS, &network)?;
        let fresh_client = fresh_client(&url, LIMITS, &network)?;
        Ok(Self {
            url,
            network,
            client,
            fresh_client,
            has_answered: AtomicBool::new(false),
            clock,
        })
    }

    /// Posts one request, to which `add_content` adds headers and body. Returns what the answer
    /// means.
    pub(super) async fn post(
        &self,
        add_content: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<(), DeliveryError> {
        let trace = DeliveryTrace::current_headers();
        let request = |client: &Client| client.post(self.url.clone()).headers(trace.clone());
        let answer = self.send(|client| add_content(request(client)));
        let answer = answer.await.map_err(unavailable)?;
        let outcome = classify(&answer, self.clock.now());
        DeliveryReport::set_status(answer.status().as_u16());
        DeliveryReport::set_answer(&drain(answer).await);
        outcome
    }

    /// Sends a request without an event the way a delivery goes: name, address rule, proxy,
    /// connection, TLS and HTTP. Any status is a success.
    ///
    /// # Errors
    /// Those of a delivery.
    pub async fn probe(&self) -> Result<(), DeliveryError> {
        let answer = self.send(|client| client.head(self.url.clone())).await;
        answer.map(drop).map_err(unavailable)
    }

    /// Checks that the name of the endpoint resolves to an address that deliveries may use. Opens
    /// no connection.
    ///
    /// # Errors
    /// Those of a delivery.
    pub async fn resolve(&self) -> Result<(), DeliveryError> {
        resolve(&self.url, &self.network).await.map_err(unavailable)
    }

    /// Sends one request. A server can close an idle connection at any time, so a request on a
    /// reused connection may fail. It is then sent again immediately, on a new connection.
    async fn send(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RequestError> {
        if self.network.proxy.is_some() {
            // The proxy connects, so the address cannot be checked later.
            resolve(&self.url, &self.network).await?;
        }
        let send_with = async |client| {
            let answer = request(client).send().await;
            answer.map_err(|error| RequestError::from(&error))
        };
        let answer = match send_with(&self.client).await {
            Err(RequestError::BrokeOff) if self.has_answered.load(Ordering::Relaxed) => {
                send_with(&self.fresh_client).await
            }
            answer => answer,
        };
        if answer.is_ok() {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// What an answer means.
fn classify(answer: &Response, now: Timestamp) -> Result<(), DeliveryError> {
    let outcome = classify_status(answer.status());
    let retry_after = answer.headers().get(RETRY_AFTER);
    match (outcome, retry_after.and_then(|value| value.to_str().ok())) {
        (Err(DeliveryError::Unavailable(reason)), Some(value)) => {
            Err(match read_retry_after(value, now) {
                Some(delay) => DeliveryError::Busy { reason, delay },
                None => DeliveryError::Unavailable(reason),
            })
        }
        (outcome, _) => outcome,
    }
}

/// The delay that a `Retry-After` asks for, in seconds or by a date; at most an hour.
fn read_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let seconds = value.parse().map(Duration::from_secs).ok();
    let delay = seconds.or_else(|| Some(Timestamp::parse_http(value)?.since(now)));
    delay.map(|delay| delay.min(MAX_RETRY_AFTER))
}

/// The outcome of a status. 403 and 404 are retried, because an endpoint may answer them during a
/// deployment.
fn classify_status(status: StatusCode) -> Result<(), DeliveryError> {
    let reason = format!("https: status {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(()),
        400 | 410 | 413 | 415 | 422 => Err(DeliveryError::Refused(reason)),
        _ => Err(DeliveryError::Unavailable(reason)),
    }
}

fn unavailable(error: RequestError) -> DeliveryError {
    DeliveryError::Unavailable(format!("https: {error}"))
}

/// Reads the body of an answer, and returns its first bytes.
async fn drain(mut answer: Response) -> Vec<u8> {
    let (mut first, mut read) = (Vec::new(), 0);
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_BYTES - first.len();
        first.extend_from_slice(&chunk[..chunk.len().min(room)]);
        read += chunk.len();
        if read > MAX_ANSWER_BYTES {
            break; // the connection is closed, not reused
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::domain::SystemClock;

    fn endpoint_at(url: &Url) -> HttpsEndpoint {
        let network = OutboundNetwork::default();
        HttpsEndpoint::new(url, network, Arc::new(SystemClock)).unwrap()
    }

    const PRIVATE: &str = "https: the name resolves to a private address, where nothing is sent";

    #[tokio::test]
    async fn a_probe_of_a_name_with_a_private_address_fails_as_a_delivery_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("https://localhost:{port}/")).unwrap();
        let network = OutboundNetwork::default();
        let endpoint = HttpsEndpoint {
            client: client(&url, LIMITS, &network).unwrap(),
            fresh_client: fresh_client(&url, LIMITS, &network).unwrap(),
            url,
            network,
            has_answered: AtomicBool::new(false),
            clock: Arc::new(SystemClock),
        };
        for found in [endpoint.probe().await, endpoint.resolve().await] {
            assert_eq!(found, Err(DeliveryError::Unavailable(PRIVATE.to_owned())));
        }
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "a connection was opened");
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
        let endpoint = endpoint_at(&url);
        assert_eq!(endpoint.probe().await, Ok(()));
        let request = receiver.await.unwrap();
        assert!(request.starts_with("HEAD /x HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("webhook-"), "{request}");
        let no_connection = DeliveryError::Unavailable("https: no connection".to_owned());
        assert_eq!(endpoint.probe().await, Err(no_connection));
        let resolved = endpoint.resolve().await;
        assert_eq!(resolved, Ok(()), "http is allowed to loopback");
    }

    #[test]
    fn an_endpoint_may_ask_for_seconds_or_name_a_time_of_up_to_an_hour_ahead() {
        let now = Timestamp::parse("1994-11-06T08:49:30Z").unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("3601", Some(3600)),
            ("18446744073709551615", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let read = read_retry_after(value, now);
            assert_eq!(read, seconds.map(Duration::from_secs), "{value}");
        }
    }

    /// Answers `answered` requests on its first connection and resets it during the next. Answers
    /// one request on each later connection. Returns how many connections were opened.
    async fn reset_after(answered: usize, listener: TcpListener) -> usize {
        let mut opened = 0;
        while let Ok(Ok((mut stream, _))) =
            tokio::time::timeout(Duration::from_secs(2), listener.accept()).await
        {
            opened += 1;
            let limit = if opened == 1 { answered } else { 1 };
            let mut head = [0; 1024];
            for _ in 0..limit {
                if stream.read(&mut head).await.unwrap() > 0 {
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            }
            if opened == 1 {
                let _ = stream.read(&mut head).await.unwrap();
                stream.set_zero_linger().unwrap();
            }
        }
        opened
    }

    #[tokio::test]
    async fn a_request_on_a_reused_connection_that_is_reset_is_sent_once_more_on_a_new_one() {
        for (answered, outcomes, connections) in [
            (1, [Ok(()), Ok(())], 2),
            (0, [Err("https: the exchange broke off"), Ok(())], 2),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
            let receiver = tokio::spawn(reset_after(answered, listener));
            let endpoint = endpoint_at(&url);
            for outcome in outcomes {
                let posted = endpoint.post(|request| request.body("{}")).await;
                let expected = outcome.map_err(|text| DeliveryError::Unavailable(text.to_owned()));
                assert_eq!(posted, expected, "{answered}");
            }
            assert_eq!(receiver.await.unwrap(), connections, "{answered}");
        }
    }

    #[test]
    fn only_five_statuses_are_refusals_for_good() {
        let retried = [301, 304, 307, 401, 403, 404, 408, 429, 500, 503];
        for (outcome, statuses) in [
            ("delivered", &[200, 202, 204][..]),
            ("retried", &retried),
            ("dead", &[400, 410, 413, 415, 422]),
        ] {
            for status in statuses {
                let found = match classify_status(StatusCode::from_u16(*status).unwrap()) {
                    Ok(()) => "delivered",
                    Err(DeliveryError::Refused(_)) => "dead",
                    Err(_) => "retried",
                };
                assert_eq!(found, outcome, "{status}");
            }
        }
    }
}
