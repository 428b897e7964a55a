//! Which URLs may receive requests: https to public hosts, and plain http to this machine only.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;

/// Why a URL cannot be used, and what to do. Never contains the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text is not an absolute URL with a host.
    #[error("is not a URL: write https://HOST/PATH")]
    NoUrl,
    /// A scheme other than http and https.
    #[error("is neither https nor http: write https://HOST/PATH")]
    Scheme,
    /// Credentials in the URL.
    #[error("carries a user name or a password: remove them, since a URL is printed and logged")]
    Credentials,
    /// A fragment.
    #[error("has a fragment (#…), which is never sent: remove it")]
    Fragment,
    /// Plain http to another machine.
    #[error(
        "is plain http to another machine: write https, which http may replace on loopback only"
    )]
    Plain,
    /// https to an address that is not public.
    #[error(
        "is https to a private, link-local or loopback address: write the name of a public host"
    )]
    NotPublic,
}

/// Parses the URL of an endpoint that requests are sent to.
pub(crate) fn endpoint(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::NoUrl)?;
    let problem = match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) if !url.username().is_empty() || url.password().is_some() => {
            EndpointError::Credentials
        }
        ("http" | "https", Some(_)) if url.fragment().is_some() => EndpointError::Fragment,
        ("http", Some(host)) if !is_loopback(&host) => EndpointError::Plain,
        ("https", Some(host)) if !may_be_public(&host) => EndpointError::NotPublic,
        ("http" | "https", Some(_)) => return Ok(url),
        ("http" | "https", None) => EndpointError::NoUrl,
        _ => EndpointError::Scheme,
    };
    Err(problem)
}

/// The address of `path` under that of an API.
pub(crate) fn under(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// Whether `host` is this machine.
fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// A name may be public. Its addresses are checked when a connection is opened.
fn may_be_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name != "localhost",
        Host::Ipv4(address) => is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(*address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_behind_that_of_the_api_and_can_not_leave_it() {
        for (base, path, whole) in [
            (
                "https://api.example.gov.uk",
                &["v1", "payments"][..],
                "https://api.example.gov.uk/v1/payments",
            ),
            (
                "http://localhost:9000/pay/",
                &["v1"],
                "http://localhost:9000/pay/v1",
            ),
            (
                "http://localhost:9000/pay",
                &["..", "a/b?c#d"],
                "http://localhost:9000/pay/a%2Fb%3Fc%23d",
            ),
        ] {
            assert_eq!(under(&Url::parse(base).unwrap(), path).as_str(), whole);
        }
    }

    #[test]
    fn https_goes_to_public_hosts_and_http_to_this_machine() {
        for good in [
            "https://ledger.example.gov.uk/events?team=7",
            "https://ledger.example.gov.uk:8443",
            "https://9.9.9.9/",
            "https://[2620:fe::fe]/",
            "http://localhost:9000/events",
            "http://127.0.0.1:9000",
            "http://127.1.2.3/",
            "http://[::1]:9000/",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for (bad, problem) in [
            ("", EndpointError::NoUrl),
            ("ledger.example.gov.uk/events", EndpointError::NoUrl),
            ("https://", EndpointError::NoUrl),
            ("ftp://ledger.example.gov.uk", EndpointError::Scheme),
            ("data:text/plain,hello", EndpointError::Scheme),
            (
                "https://me@ledger.example.gov.uk/",
                EndpointError::Credentials,
            ),
            (
                "https://:word@ledger.example.gov.uk/",
                EndpointError::Credentials,
            ),
            (
                "https://ledger.example.gov.uk/#top",
                EndpointError::Fragment,
            ),
            ("http://ledger.example.gov.uk/", EndpointError::Plain),
            ("http://10.0.0.1/", EndpointError::Plain),
            ("http://localhost.example.gov.uk/", EndpointError::Plain),
            ("https://localhost/", EndpointError::NotPublic),
            ("https://127.0.0.1/", EndpointError::NotPublic),
            ("https://0x7f.1/", EndpointError::NotPublic),
            ("https://169.254.169.254/latest", EndpointError::NotPublic),
            ("https://192.168.1.1/", EndpointError::NotPublic),
            ("https://[::1]/", EndpointError::NotPublic),
            ("https://[::ffff:10.0.0.1]/", EndpointError::NotPublic),
        ] {
            assert_eq!(endpoint(bad), Err(problem), "{bad}");
        }
    }
}
