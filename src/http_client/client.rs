//! An HTTP client that follows no redirects, and connects to permitted addresses only.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::CertificateError;
use url::Url;

use super::{AddressRule, OutboundProxy, TrustedRoots, tls::tls};

/// The time limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLimits {
    /// For opening a connection.
    pub connect: Duration,
    /// For the whole exchange.
    pub total: Duration,
}

/// How endpoints are reached: by default on the public internet, directly, with the system's roots.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutboundNetwork {
    /// The addresses that may be connected to.
    pub rule: AddressRule,
    /// The roots that certificates must lead to; the system's if `None`.
    pub roots: Option<TrustedRoots>,
    /// The proxy to go through.
    pub proxy: Option<OutboundProxy>,
}

/// Why there is no client, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The system has no roots.
    #[error(
        "this system has no certificate authorities: install them (ca-certificates), or set \
         SSL_CERT_FILE"
    )]
    NoRoots,
    /// The client cannot be created.
    #[error("cannot create an HTTPS client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client for requests to `url`, which an [`endpoint`](super::endpoint()) must have allowed. It
/// retries nothing.
pub(crate) fn client(
    url: &Url,
    limits: ClientLimits,
    network: &OutboundNetwork,
) -> Result<Client, HttpClientError> {
    Ok(builder(url, limits, network)?.build()?)
}

/// Like [`client`], but opens a new connection for each request.
pub(crate) fn fresh_client(
    url: &Url,
    limits: ClientLimits,
    network: &OutboundNetwork,
) -> Result<Client, HttpClientError> {
    let builder = builder(url, limits, network)?.pool_max_idle_per_host(0);
    Ok(builder.build()?)
}

fn builder(
    url: &Url,
    limits: ClientLimits,
    network: &OutboundNetwork,
) -> Result<ClientBuilder, HttpClientError> {
    let builder = Client::builder()
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("pillarbox/", env!("CARGO_PKG_VERSION")));
    if is_local(url) {
        // No TLS is used, and the system may have no roots.
        return Ok(builder.tls_backend_preconfigured(tls(Some(&TrustedRoots::default()))?));
    }
    let builder = builder
        .tls_backend_preconfigured(tls(network.roots.as_ref())?)
        .dns_resolver(PermittedResolver {
            rule: network.rule.clone(),
            proxy: network
                .proxy
                .as_ref()
                .and_then(OutboundProxy::host)
                .map(str::to_owned),
        });
    Ok(match &network.proxy {
        Some(proxy) => builder.proxy(proxy.proxy()?),
        None => builder,
    })
}

/// Whether requests to `url` stay on this machine: an endpoint may use http on loopback only.
fn is_local(url: &Url) -> bool {
    url.scheme() == "http"
}

/// Why a request has no response. Never contains the URL, whose query may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The host has no permitted address, so nothing was sent.
    #[error("the name resolves to a private address, where nothing is sent")]
    NotPublic,
    /// The timeout passed.
    #[error("no answer in time")]
    Late,
    /// No connection could be opened.
    #[error("no connection")]
    NoConnection,
    /// The certificate is not trusted, or TLS failed in another way.
    #[error("{0}")]
    Tls(TlsError),
    /// The connection broke before the response was complete.
    #[error("the exchange broke off")]
    BrokeOff,
}

/// What is wrong with the certificate or the TLS of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Its authority is unknown.
    #[error("its certificate is from an authority that is not trusted")]
    UnknownAuthority,
    /// It is not valid now.
    #[error("its certificate has expired or is not valid yet")]
    Expired,
    /// It is for another host.
    #[error("its certificate is for another name")]
    OtherName,
    /// Anything else.
    #[error("TLS failed")]
    Other,
}

impl From<&reqwest::Error> for RequestError {
    fn from(error: &reqwest::Error) -> Self {
        if find_cause::<PrivateAddressError>(error).is_some() {
            Self::NotPublic
        } else if error.is_timeout() {
            Self::Late
        } else if let Some(failure) = find_cause::<rustls::Error>(error).map(TlsError::from) {
            Self::Tls(failure)
        } else if error.is_connect() {
            Self::NoConnection
        } else {
            Self::BrokeOff
        }
    }
}

impl From<&rustls::Error> for TlsError {
    fn from(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::Other;
        };
        match error {
            // Another authority with the same name may have signed it.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::UnknownAuthority
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            _ => Self::Other,
        }
    }
}

/// The error of that type in `error` and its causes, if there is one.
fn find_cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref::<E>() {
        return Some(found);
    }
    // The source of an I/O error is the source of the error that it wraps, so that error would be
    // missed.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match wrapped {
        Some(inner) => find_cause(inner),
        None => find_cause(error.source()?),
    }
}

/// Checks that a [`client`] for `url` finds an address to connect to, without connecting.
///
/// A proxy resolves the name again, so with a proxy this machine need not be able to.
///
/// # Errors
/// The error that a request would return.
pub(crate) async fn resolve(url: &Url, network: &OutboundNetwork) -> Result<(), RequestError> {
    let Some(url::Host::Domain(host)) = url.host() else {
        return Ok(()); // an IP address was checked when the configuration was read
    };
    if is_local(url) {
        return Ok(());
    }
    let resolver = PermittedResolver {
        rule: network.rule.clone(),
        proxy: None,
    };
    let name = Name::from_str(host).map_err(|_| RequestError::NoConnection)?;
    match resolver.resolve(name).await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<PrivateAddressError>() => Err(RequestError::NotPublic),
        Err(_) if network.proxy.is_some() => Ok(()),
        Err(_) => Err(RequestError::NoConnection),
    }
}

/// Resolves names as the system does, and keeps only the addresses that are permitted.
struct PermittedResolver {
    rule: AddressRule,
    /// The host of the proxy, which may have any address.
    proxy: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("no permitted address")]
struct PrivateAddressError;

impl Resolve for PermittedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.rule.clone();
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted = permitted(found, |ip| is_proxy || rule.permits(ip))?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// The permitted addresses of one DNS response. The client resolves the name again for each
/// connection and connects only to these addresses, so a response that changes in between is
/// checked too.
fn permitted(
    found: impl Iterator<Item = SocketAddr>,
    permits: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, PrivateAddressError> {
    let permitted: Vec<SocketAddr> = found.filter(|address| permits(address.ip())).collect();
    match permitted.is_empty() {
        true => Err(PrivateAddressError),
        false => Ok(permitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        let resolver = PermittedResolver {
            rule: AddressRule::default(),
            proxy: None,
        };
        let error = match resolver.resolve(Name::from_str("localhost").unwrap()).await {
            Err(error) => error,
            Ok(_) => panic!("localhost has no public address"),
        };
        assert!(error.is::<PrivateAddressError>());
    }

    #[test]
    fn private_addresses_among_public_ones_are_omitted() {
        for (response, expected) in [
            (&["93.184.215.14:0"][..], &["93.184.215.14:0"][..]),
            (
                &["127.0.0.1:0", "93.184.215.14:0", "[::1]:0"],
                &["93.184.215.14:0"],
            ),
            (
                &["[2606:2800:21f::1]:0", "[::ffff:10.0.0.1]:0"],
                &["[2606:2800:21f::1]:0"],
            ),
            (&["169.254.169.254:0", "10.0.0.1:0"], &[]),
            (&[], &[]),
        ] {
            let found = response.iter().map(|address| address.parse().unwrap());
            let rule = AddressRule::default();
            let permitted = permitted(found, |ip| rule.permits(ip)).unwrap_or_default();
            let expected: Vec<SocketAddr> = expected
                .iter()
                .map(|address| address.parse().unwrap())
                .collect();
            assert_eq!(permitted, expected, "{response:?}");
        }
    }
}
