//! The address of a receiver: a URL that test data may be sent to.

use url::{Host, Url};

/// The URL is not one that test data may be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The scheme is neither http nor https.
    #[error("`{0}:` URLs cannot receive callbacks; use https://")]
    Scheme(String),
    /// The URL contains a user name or a password.
    #[error("the URL contains a user name or a password; remove them, neither sender sends them")]
    Credentials,
    /// The URL has a fragment.
    #[error("the URL contains a #fragment; remove it, it never reaches a receiver")]
    Fragment,
    /// The URL is plain http to another machine.
    #[error(
        "plain http is allowed to this machine only, and `{0}` is another; use https://, or \
         localhost"
    )]
    PlainHttp(String),
}

/// The address to connect to, and the path to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestTarget {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Path and query, as in the request line.
    pub(super) path: String,
}

impl RequestTarget {
    /// Validates a URL. The connected address is checked too, in case `localhost` is another
    /// machine.
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
            path: path_and_query(url),
        })
    }
}

/// Checks that test data may be sent to this URL.
pub fn check_target(url: &Url) -> Result<(), TargetError> {
    RequestTarget::of(url).map(|_| ())
}

/// Whether a URL names this machine, so that test data does not leave it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Path and query, as in the request line.
pub(super) fn path_and_query(url: &Url) -> String {
    let path = url.path();
    url.query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// The value of the host header. It includes the port only if that is not the scheme's default.
pub(super) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<(String, u16, bool, String), TargetError> {
        RequestTarget::of(&Url::parse(url).unwrap()).map(|it| (it.host, it.port, it.tls, it.path))
    }

    #[test]
    fn an_accepted_url_keeps_its_path_and_query_unchanged() {
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
    fn a_url_that_must_not_receive_test_data_is_refused() {
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
    fn the_host_header_includes_the_port_only_if_it_is_not_the_default() {
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
