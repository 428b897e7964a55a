//! One HTTPS endpoint: where it is, how it is reached, and what its answers mean.
//!
//! The configured origin is the only one ever contacted: redirects are not followed, and its name
//! must resolve to public addresses or those of an allowed network, which are checked on the way to
//! the connection.

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
/// The part of a response that is read, so that the connection can be reused.
const LONGEST_ANSWER: usize = 64 * 1024;
/// The longest that an endpoint can put off the next attempt.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// An endpoint that can be used.
pub struct HttpsEndpoint {
    url: Url,
    network: OutboundNetwork,
    client: Client,
    /// Opens a connection for each request.
    fresh_client: Client,
    /// Whether a request was answered, after which connections are reused.
    has_answered: AtomicBool,
    clock: Arc<dyn Clock>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL is not allowed.
    #[error("its URL {0}")]
    Url(#[from] EndpointError),
    /// The certificates of its authority cannot be read.
    #[error("its ca file cannot be read ({0}): check the path and its permissions")]
    NoFile(std::io::ErrorKind),
    /// The certificates of its authority cannot be used.
    #[error("its ca file cannot be used: {0}")]
    Roots(#[from] TrustedRootsError),
    /// There is no proxy to reach it through.
    #[error(transparent)]
    Proxy(#[from] OutboundProxyError),
    /// There is no client to reach it with.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

impl HttpsEndpoint {
    /// The endpoint at `url`, reached as `network` says.
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

    /// Posts one request, to which `complete` adds headers and body. Returns what the answer means.
    pub(super) async fn post(
        &self,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<(), DeliveryError> {
        let trace = DeliveryTrace::current_headers();
        let request = |client: &Client| client.post(self.url.clone()).headers(trace.clone());
        let answer = self.send(|client| complete(request(client)));
        let answer = answer.await.map_err(unavailable)?;
        let outcome = classify(&answer, self.clock.now());
        DeliveryReport::set_status(answer.status().as_u16());
        DeliveryReport::set_answer(&drain(answer).await);
        outcome
    }

    /// Whether the endpoint answers on the path that a delivery takes, without an event: name,
    /// address rule, proxy, connection, TLS and HTTP. Any status will do.
    ///
    /// # Errors
    /// What a delivery would report.
    pub async fn probe(&self) -> Result<(), DeliveryError> {
        let answer = self.send(|client| client.head(self.url.clone())).await;
        answer.map(drop).map_err(unavailable)
    }

    /// Whether the name of the endpoint resolves to an address that deliveries may use. Opens no
    /// connection.
    ///
    /// # Errors
    /// What a delivery would report.
    pub async fn resolve(&self) -> Result<(), DeliveryError> {
        resolve(&self.url, &self.network).await.map_err(unavailable)
    }

    /// Sends one request. A server closes idle connections when it likes, so a connection that was
    /// used before may break off under the next request: that is sent again at once, on a new one.
    async fn send(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, RequestError> {
        if self.network.proxy.is_some() {
            // The proxy connects, so this is the last time that an address can be checked.
            resolve(&self.url, &self.network).await?;
        }
        let sent = async |client| {
            let answer = request(client).send().await;
            answer.map_err(|error| RequestError::from(&error))
        };
        let answer = match sent(&self.client).await {
            Err(RequestError::BrokeOff) if self.has_answered.load(Ordering::Relaxed) => {
                sent(&self.fresh_client).await
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

/// How long an endpoint asks to be left alone: seconds or a date. At most an hour.
fn read_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let seconds = value.parse().map(Duration::from_secs).ok();
    let delay = seconds.or_else(|| Some(Timestamp::parse_http(value)?.since(now)));
    delay.map(|delay| delay.min(LONGEST_RETRY_AFTER))
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

fn unavailable(error: RequestError) -> DeliveryError {
    DeliveryError::Unavailable(format!("https: {error}"))
}

/// Reads the rest of an answer, and returns its first bytes.
async fn drain(mut answer: Response) -> Vec<u8> {
    let (mut first, mut read) = (Vec::new(), 0);
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_BYTES - first.len();
        first.extend_from_slice(&chunk[..chunk.len().min(room)]);
        read += chunk.len();
        if read > LONGEST_ANSWER {
            break; // the connection is closed instead of used again
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

    fn at(url: &Url) -> HttpsEndpoint {
        let network = OutboundNetwork::default();
        HttpsEndpoint::new(url, network, Arc::new(SystemClock)).unwrap()
    }

    const PRIVATE: &str = "https: the name resolves to a private address, where nothing is sent";

    #[tokio::test]
    async fn a_probe_of_a_name_with_a_private_address_says_what_a_delivery_says() {
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
        let endpoint = at(&url);
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

    /// Answers `answered` requests on its first connection and then resets it under the next; on
    /// later connections it answers one each. Returns how many connections were opened.
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
    async fn a_reset_of_a_used_connection_is_followed_by_one_request_on_a_new_one() {
        for (answered, outcomes, connections) in [
            (1, [Ok(()), Ok(())], 2),
            (0, [Err("https: the exchange broke off"), Ok(())], 2),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
            let receiver = tokio::spawn(reset_after(answered, listener));
            let endpoint = at(&url);
            for outcome in outcomes {
                let posted = endpoint.post(|request| request.body("{}")).await;
                let expected = outcome.map_err(|why| DeliveryError::Unavailable(why.to_owned()));
                assert_eq!(posted, expected, "{answered}");
            }
            assert_eq!(receiver.await.unwrap(), connections, "{answered}");
        }
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
