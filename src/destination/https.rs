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
use url::{Host, Url};

use super::{DeliveryError, Destination, Event, WebhookSecret, address::is_public};
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
    #[error("{0}")]
    Url(&'static str),
    /// No client can be made.
    #[error("no HTTPS client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl<W: World> Https<W> {
    /// An endpoint at `url`, whose receiver shares `secret`.
    pub fn new(url: Url, secret: WebhookSecret, world: Arc<W>) -> Result<Self, HttpsError> {
        let to_loopback = check(&url).map_err(HttpsError::Url)?;
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .tls_backend_preconfigured(tls())
            .user_agent(concat!("pillarbox/", env!("CARGO_PKG_VERSION")));
        let client = if to_loopback { client } else { client.dns_resolver(PublicOnly) };
        Ok(Self { url, secret, client: client.build()?, world })
    }
}

/// Checks where a URL leads; true if that is this machine.
///
/// Plain http may only stay on the machine. Any other host must be https, and if it is written as
/// an address, a public one; a name is checked when it is resolved.
pub fn check(url: &Url) -> Result<bool, &'static str> {
    let host = url.host().ok_or("it names no host")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it carries a user name or password: use the secret instead");
    }
    let literal = match host {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    };
    let to_loopback = literal.is_some_and(|ip: std::net::IpAddr| ip.is_loopback()) || host == Host::Domain("localhost");
    match (url.scheme(), literal) {
        ("http", _) if to_loopback => Ok(true),
        ("http", _) => Err("plain http leaves this machine: use https"),
        ("https", Some(ip)) if !is_public(ip) => Err("it is an address in a private network: use a public name"),
        ("https", _) => Ok(false),
        _ => Err("it is neither https nor http"),
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

    #[test]
    fn a_url_leads_to_a_public_https_host_or_to_this_machine() {
        for (url, allowed) in [
            ("https://ledger.example.gov.uk/events", Some(false)),
            ("https://ledger.example.gov.uk:8443/events?x=1", Some(false)),
            ("https://1.1.1.1/", Some(false)),
            ("http://127.0.0.1:9000/", Some(true)),
            ("http://[::1]:9000/", Some(true)),
            ("http://localhost:9000/", Some(true)),
            ("http://ledger.example.gov.uk/", None),
            ("http://localhost.example.com/", None),
            ("https://127.0.0.1/", None),
            ("https://10.0.0.1/", None),
            ("https://2130706433/", None),
            ("https://0x7f.1/", None),
            ("https://0177.0.0.1/", None),
            ("https://[::ffff:127.0.0.1]/", None),
            ("https://169.254.169.254/latest/meta-data", None),
            ("https://user:pass@ledger.example.gov.uk/", None),
            ("ftp://ledger.example.gov.uk/", None),
        ] {
            assert_eq!(check(&Url::parse(url).unwrap()).ok(), allowed, "{url}");
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
