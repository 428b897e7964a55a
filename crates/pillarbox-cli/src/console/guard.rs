//! The checks of every request and the headers of every response.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::page::PageError;

/// The content security policy of every response. A sender's text that escaped all escaping could
/// still run no script, submit no form and open no frame.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri \
         'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    // No page of another site may embed a page of the console.
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The hosts under which a browser may request the console: the bound address, and every loopback
/// name with any port.
///
/// The check protects against DNS rebinding, in which a page's own name resolves to this machine.
/// Such a request carries the page's name, never a loopback name. The port protects nothing, and
/// through a tunnel it differs from the bound one.
#[derive(Clone)]
pub(super) struct AllowedHosts(Arc<str>);

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl AllowedHosts {
    pub(super) fn of(bound: SocketAddr) -> Self {
        // An unspecified address stands for every address of the machine, and is the name of none.
        let is_name = !bound.ip().is_unspecified();
        Self(
            if is_name {
                bound.to_string()
            } else {
                String::new()
            }
            .into(),
        )
    }

    fn contains(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_loopback = LOOPBACK_NAMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
        // Browsers leave the usual port out.
        let is_bound = host == &*self.0 || self.0.strip_suffix(":80") == Some(host);
        (is_bound && !host.is_empty()) || (is_loopback && is_port)
    }

    /// Whether a request names an allowed host, exactly once in its header and no other in its
    /// target.
    fn admit(&self, request: &Request) -> bool {
        let mut given = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return false;
        };
        let target = request
            .uri()
            .authority()
            .is_none_or(|authority| self.contains(authority.as_str()));
        target && host.to_str().is_ok_and(|host| self.contains(host))
    }
}

/// Passes on read requests for an allowed host, and adds the headers to every response.
pub(super) async fn guard(
    State(hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Response {
    let head = request.method() == Method::HEAD;
    let mut response = if !hosts.admit(&request) {
        PageError::Host.into_response()
    } else if head || request.method() == Method::GET {
        next.run(request).await
    } else {
        PageError::Method.into_response()
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_address_and_loopback_names_with_any_port_are_hosts() {
        for (bound, host, admitted) in [
            ("127.0.0.1:8081", "127.0.0.1:8081", true),
            ("127.0.0.1:8081", "localhost:8081", true),
            ("127.0.0.1:8081", "LocalHost:8081", true),
            ("127.0.0.1:8081", "localhost:9000", true),
            ("127.0.0.1:8081", "127.0.0.1:9000", true),
            ("127.0.0.1:8081", "[::1]:9000", true),
            ("127.0.0.1:8081", "localhost", true),
            ("127.0.0.1:8081", "127.0.0.1", true),
            ("127.0.0.1:8081", "[::1]", true),
            ("[::1]:8081", "127.0.0.1:8081", true),
            ("0.0.0.0:8081", "127.0.0.1:8081", true),
            ("0.0.0.0:8081", "0.0.0.0:8081", false),
            ("192.0.2.7:8081", "192.0.2.7:8081", true),
            ("192.0.2.7:8081", "192.0.2.7:9000", false),
            ("192.0.2.7:8081", "localhost:9000", true),
            ("192.0.2.7:80", "192.0.2.7", true),
            ("[2001:db8::7]:80", "[2001:db8::7]", true),
            ("127.0.0.1:8081", "", false),
            ("0.0.0.0:8081", "", false),
            ("127.0.0.1:8081", ":8081", false),
            ("127.0.0.1:8081", "evil.example:8081", false),
            ("127.0.0.1:8081", "localhost:8081.evil.example", false),
            ("127.0.0.1:8081", "localhost.evil.example", false),
            ("127.0.0.1:8081", "localhost:", false),
            ("127.0.0.1:8081", "localhost:x", false),
            ("127.0.0.1:8081", "localhost:99999", false),
            ("127.0.0.1:8081", "127.0.0.1@evil.example", false),
            ("127.0.0.1:8081", "evil.example@localhost:8081", false),
            ("127.0.0.1:8081", "::1", false),
        ] {
            assert_eq!(
                AllowedHosts::of(bound.parse().unwrap()).contains(host),
                admitted,
                "{host} at {bound}"
            );
        }
    }
}
