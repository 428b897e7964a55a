//! Where a request goes: a URL, cleared for sending test data to.

use url::{Host, Url};

/// Why nothing is sent to a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither http nor https.
    #[error("`{0}:` URLs can't receive callbacks; use https://")]
    Scheme(String),
    /// A name or password in the URL.
    #[error("the URL holds a user name or a password; take them out, neither sender sends them")]
    Credentials,
    /// Something after `#`.
    #[error("the URL holds a #fragment; take it out, it never reaches a receiver")]
    Fragment,
    /// Plain http to another machine.
    #[error(
        "plain http goes to this machine only, and `{0}` is not it; use https://, or localhost"
    )]
    PlainHttp(String),
}

/// A place to connect to, and what to ask for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Path and query, as they stand in the request line.
    pub(super) path: String,
}

impl Target {
    /// Clears a URL. Whether `localhost` is this machine is checked again on the connected address.
    pub(super) fn of(url: &Url) -> Result<Self, TargetError> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        let no_host = || TargetError::Scheme(url.scheme().to_owned());
        let host = url.host().ok_or_else(no_host)?;
        if !tls && !is_loopback(url) {
            return Err(TargetError::PlainHttp(host.to_string()));
        }
        Ok(Self {
            host: host.to_string().trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().ok_or_else(no_host)?,
            tls,
            path: url.query().map_or_else(
                || url.path().to_owned(),
                |query| format!("{}?{query}", url.path()),
            ),
        })
    }
}

/// Clears a URL for sending test data to it, or says why nothing is sent there.
pub fn clear(url: &Url) -> Result<(), TargetError> {
    Target::of(url).map(|_| ())
}

/// Whether a URL names this machine, so that test data sent to it stays here.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The host header's value: the port stands in it only where it is not the scheme's own.
pub(super) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<(String, u16, bool, String), TargetError> {
        Target::of(&Url::parse(url).unwrap()).map(|it| (it.host, it.port, it.tls, it.path))
    }

    #[test]
    fn a_url_is_cleared_with_its_path_and_query_as_they_stand() {
        for (url, host, port, tls, path) in [
            (
                "https://receiver.example.gov.uk/pay",
                "receiver.example.gov.uk",
                443,
                true,
                "/pay",
            ),
            (
                "https://receiver.example.gov.uk:8443/a%20b?x=1+2&y=",
                "receiver.example.gov.uk",
                8443,
                true,
                "/a%20b?x=1+2&y=",
            ),
            ("http://localhost:8080", "localhost", 8080, false, "/"),
            ("http://127.8.0.1/pay/", "127.8.0.1", 80, false, "/pay/"),
            ("http://[::1]:8080/pay", "::1", 8080, false, "/pay"),
        ] {
            assert_eq!(
                target(url),
                Ok((host.to_owned(), port, tls, path.to_owned()))
            );
        }
    }

    #[test]
    fn test_data_goes_nowhere_by_accident() {
        let plain = |host: &str| Err(TargetError::PlainHttp(host.to_owned()));
        for (url, expected) in [
            (
                "http://receiver.example.gov.uk/",
                plain("receiver.example.gov.uk"),
            ),
            ("http://10.0.0.1/", plain("10.0.0.1")),
            ("http://[2001:db8::1]/", plain("[2001:db8::1]")),
            (
                "http://localhost.example.com/",
                plain("localhost.example.com"),
            ),
            (
                "https://user:password@example.com/",
                Err(TargetError::Credentials),
            ),
            ("http://user@localhost/", Err(TargetError::Credentials)),
            ("https://example.com/#top", Err(TargetError::Fragment)),
            (
                "ftp://example.com/",
                Err(TargetError::Scheme("ftp".to_owned())),
            ),
            (
                "data:text/plain,x",
                Err(TargetError::Scheme("data".to_owned())),
            ),
        ] {
            assert_eq!(target(url), expected, "{url}");
        }
    }

    #[test]
    fn the_host_header_names_a_port_only_where_it_is_unusual() {
        for (url, expected) in [
            ("https://example.com/", "example.com"),
            ("https://example.com:443/", "example.com"),
            ("https://example.com:444/", "example.com:444"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(host_header(&Url::parse(url).unwrap()), expected);
        }
    }
}
