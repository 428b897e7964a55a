//! One HTTPS endpoint: a CloudEvent posted with a Standard Webhooks signature.
//!
//! The configured origin is the only one ever contacted: redirects are not followed, and its name
//! must resolve to public addresses, which are checked on the way to the connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Url;

use super::{DeliveryError, Destination, EndpointProblem, Event, WebhookSecret, address::is_public, endpoint};
use crate::{notification::Key, world::World};

const CONNECT: Duration = Duration::from_secs(5);
/// The whole of one attempt; the lease is several times as long.
const TOTAL: Duration = Duration::from_secs(20);
/// How much of an answer is read, so that the connection can be used again.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An endpoint of the team's own.
pub struct Https<W> {
    url: Url,
    secret: WebhookSecret,
    client: Client,
    world: Arc<W>,
}

/// Why an endpoint can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The URL leads where nothing may be sent.
    #[error("its URL {0}")]
    Url(#[from] EndpointProblem),
    /// No client can be made.
    #[error("no HTTPS client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl<W: World> Https<W> {
    /// An endpoint at `url`, whose receiver shares `secret`.
    pub fn new(url: &Url, secret: WebhookSecret, world: Arc<W>) -> Result<Self, HttpsError> {
        let url = endpoint(url.as_str())?;
        let stays_here = url.scheme() == "http"; // an endpoint may use it on loopback only
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .tls_backend_preconfigured(tls())
            .user_agent(concat!("pillarbox/", env!("CARGO_PKG_VERSION")));
        let client = if stays_here { client } else { client.dns_resolver(PublicOnly) };
        Ok(Self { url, secret, client: client.build()?, world })
    }
}

impl<W: World> Destination for Https<W> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let at = self.world.now();
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", key.as_str())
            .header("webhook-timestamp", at.as_seconds())
            .header("webhook-signature", self.secret.sign(key.as_str(), at, event.json()))
            .body(event.json().clone());
        let answer = request.send().await.map_err(|error| DeliveryError::Unavailable(describe(&error)))?;
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

async fn drain(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > LONGEST_ANSWER {
            return; // the connection is closed instead of used again
        }
    }
}

/// Says what went wrong without the URL, whose query may hold a token.
fn describe(error: &reqwest::Error) -> String {
    if is_caused_by_private_address(error) {
        return "https: the name resolves to a private address, where nothing is sent".to_owned();
    }
    if error.is_timeout() {
        "https: no answer in time"
    } else if error.is_connect() {
        "https: no connection"
    } else {
        "https: the exchange broke off"
    }
    .to_owned()
}

fn is_caused_by_private_address(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Resolves names as the system does, and keeps only public addresses.
struct PublicOnly;

#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NotPublic;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// TLS by ring, with the system's roots.
fn tls() -> rustls::ClientConfig {
    use rustls_platform_verifier::BuilderVerifierExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map(|builder| builder.with_no_client_auth())
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

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

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        let error = match PublicOnly.resolve(Name::from_str("localhost").unwrap()).await {
            Err(error) => error,
            Ok(_) => panic!("localhost has no public address"),
        };
        assert!(error.is::<NotPublic>());
    }
}
