//! An HTTP client that follows no redirects, uses no proxy, and connects to public addresses only.

use std::{net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use url::Url;

use super::address::is_public;

/// The time limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// For opening a connection.
    pub connect: Duration,
    /// For the whole exchange.
    pub total: Duration,
}

/// A client for requests to `url`, which an [`endpoint`](super::endpoint()) must have allowed.
/// Nothing is repeated.
pub(crate) fn client(url: &Url, limits: ClientLimits) -> Result<Client, reqwest::Error> {
    let client = Client::builder()
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls())
        .user_agent(concat!("pillarbox/", env!("CARGO_PKG_VERSION")));
    let client = if is_local(url) {
        client
    } else {
        client.dns_resolver(PublicResolver)
    };
    client.build()
}

/// Whether requests to `url` stay on this machine: an endpoint may use http on loopback only.
fn is_local(url: &Url) -> bool {
    url.scheme() == "http"
}

/// Why a request has no response. Never contains the URL, whose query may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing was sent.
    #[error("the name resolves to a private address, where nothing is sent")]
    NotPublic,
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// No connection could be opened.
    #[error("no connection")]
    NoConnection,
    /// It began, and did not end.
    #[error("the exchange broke off")]
    BrokeOff,
}

impl From<&reqwest::Error> for RequestError {
    fn from(error: &reqwest::Error) -> Self {
        if is_caused_by_private_address(error) {
            Self::NotPublic
        } else if error.is_timeout() {
            Self::Late
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::BrokeOff
        }
    }
}

fn is_caused_by_private_address(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<PrivateAddressError>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Whether a [`client`] for `url` finds an address to connect to; it connects to none.
///
/// # Errors
/// The one that a request would have.
pub(crate) async fn resolve(url: &Url) -> Result<(), RequestError> {
    let Some(url::Host::Domain(host)) = url.host() else {
        return Ok(()); // an IP address was checked when the configuration was read
    };
    if is_local(url) {
        return Ok(());
    }
    let name = Name::from_str(host).map_err(|_| RequestError::NoConnection)?;
    match PublicResolver.resolve(name).await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<PrivateAddressError>() => Err(RequestError::NotPublic),
        Err(_) => Err(RequestError::NoConnection),
    }
}

/// Resolves names as the system does, and keeps only public addresses.
struct PublicResolver;

#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct PrivateAddressError;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(PrivateAddressError.into());
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
    use super::*;

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        let error = match PublicResolver
            .resolve(Name::from_str("localhost").unwrap())
            .await
        {
            Err(error) => error,
            Ok(_) => panic!("localhost has no public address"),
        };
        assert!(error.is::<PrivateAddressError>());
    }
}
