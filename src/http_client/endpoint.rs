//! Which URLs may receive requests: https to public hosts, and plain http to this machine only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::AddressRule;

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
        "is https to a private, link-local or loopback address: write the name of a public host, \
         or allow its network"
    )]
    NotPublic,
}

/// Parses the URL of an endpoint on the public internet or on this machine.
pub(crate) fn endpoint(text: &str) -> Result<Url, EndpointError> {
    endpoint_within(text, &AddressRule::default())
}

/// Parses the URL of an endpoint whose address `rule` permits.
pub(crate) fn endpoint_within(text: &str, rule: &AddressRule) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::NoUrl)?;
    let problem = match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) if !url.username().is_empty() || url.password().is_some() => {
            EndpointError::Credentials
        }
        ("http" | "https", Some(_)) if url.fragment().is_some() => EndpointError::Fragment,
        ("http", Some(host)) if !is_loopback(&host) => EndpointError::Plain,
        ("https", Some(host)) if !may_be_permitted(&host, rule) => EndpointError::NotPublic,
        ("http" | "https", Some(_)) => return Ok(url),
        ("http" | "https", None) => EndpointError::NoUrl,
        _ => EndpointError::Scheme,
    };
    Err(problem)
}

/// The URL of `path` below the base URL of an API.
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

/// Whether the address of `host` may be permitted. The addresses of a name are checked when a
/// connection is opened.
fn may_be_permitted(host: &Host<&str>, rule: &AddressRule) -> bool {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    match host {
        Host::Domain("localhost") => loopback.into_iter().any(|address| rule.permits(address)),
        Host::Domain(_) => true,
        Host::Ipv4(address) => rule.permits(IpAddr::V4(*address)),
        Host::Ipv6(address) => rule.permits(IpAddr::V6(*address)),
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointError::*, *};

    #[test]
    fn a_path_is_appended_to_the_base_url_and_cannot_escape_it() {
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
    fn an_allowed_network_opens_https_and_nothing_else() {
        let allow = ["10.0.0.0/8", "127.0.0.1/32"].map(|network| network.parse().unwrap());
        let rule = AddressRule::allowing(&allow);
        for (text, outcome) in [
            ("https://10.1.2.3/", Ok(())),
            ("https://127.0.0.1:8443/", Ok(())),
            ("https://localhost:8443/", Ok(())),
            ("https://192.168.1.1/", Err(NotPublic)),
            ("https://169.254.169.254/", Err(NotPublic)),
            ("http://10.1.2.3/", Err(Plain)),
        ] {
            assert_eq!(endpoint_within(text, &rule).map(drop), outcome, "{text}");
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
            ("", NoUrl),
            ("ledger.example.gov.uk/events", NoUrl),
            ("https://", NoUrl),
            ("ftp://ledger.example.gov.uk", Scheme),
            ("data:text/plain,hello", Scheme),
            ("https://me@ledger.example.gov.uk/", Credentials),
            ("https://:word@ledger.example.gov.uk/", Credentials),
            ("https://ledger.example.gov.uk/#top", Fragment),
            ("http://ledger.example.gov.uk/", Plain),
            ("http://10.0.0.1/", Plain),
            ("http://localhost.example.gov.uk/", Plain),
            ("https://localhost/", NotPublic),
            ("https://127.0.0.1/", NotPublic),
            ("https://0x7f.1/", NotPublic),
            ("https://169.254.169.254/latest", NotPublic),
            ("https://192.168.1.1/", NotPublic),
            ("https://[::1]/", NotPublic),
            ("https://[::ffff:10.0.0.1]/", NotPublic),
        ] {
            assert_eq!(endpoint(bad), Err(problem), "{bad}");
        }
    }
}
