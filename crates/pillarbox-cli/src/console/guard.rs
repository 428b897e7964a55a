//! What holds for every request and every answer, whichever page it is.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::page::PageError;

/// On every answer. A sender's text that slipped through all escaping would still find no script,
/// no form and no frame to work with.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri \
         'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    // No page of another site may embed what only this machine may see.
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The names under which a browser may ask for the console.
#[derive(Clone)]
pub(super) struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    /// The names of `bound`: itself and, on this machine, `localhost`.
    pub(super) fn of(bound: SocketAddr) -> Self {
        let port = bound.port();
        let mut names = Vec::new();
        if bound.ip().is_unspecified() {
            names.extend([format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
        } else {
            names.push(bound.to_string());
        }
        if bound.ip().is_loopback() || bound.ip().is_unspecified() {
            names.push(format!("localhost:{port}"));
        }
        if port == 80 {
            // Browsers leave the usual port out.
            let short: Vec<_> = names
                .iter()
                .filter_map(|name| name.strip_suffix(":80").map(str::to_owned))
                .collect();
            names.extend(short);
        }
        Self(names.into())
    }

    fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether a request names one of ours: once in its header, and nothing else in its target.
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

/// Lets through what asks for one of our names and only wants to read; adds the headers to every
/// answer.
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
    fn only_the_bound_address_and_its_local_names_are_hosts() {
        let refused = [
            "",
            "127.0.0.1",
            "localhost",
            "evil.example:8081",
            "127.0.0.1:80",
            "localhost:8081.evil.example",
        ];
        for (bound, host, admitted) in [
            ("127.0.0.1:8081", "127.0.0.1:8081", true),
            ("127.0.0.1:8081", "localhost:8081", true),
            ("127.0.0.1:8081", "LocalHost:8081", true),
            ("127.0.0.1:8081", "[::1]:8081", false),
            ("[::1]:8081", "[::1]:8081", true),
            ("[::1]:8081", "localhost:8081", true),
            ("[::1]:8081", "127.0.0.1:8081", false),
            ("0.0.0.0:8081", "127.0.0.1:8081", true),
            ("0.0.0.0:8081", "0.0.0.0:8081", false),
            ("192.0.2.7:8081", "192.0.2.7:8081", true),
            ("192.0.2.7:8081", "localhost:8081", false),
            ("127.0.0.1:80", "127.0.0.1", true),
            ("[::1]:80", "[::1]", true),
        ] {
            assert_eq!(
                AllowedHosts::of(bound.parse().unwrap()).contains(host),
                admitted,
                "{host} at {bound}"
            );
        }
        for host in refused {
            assert!(
                !AllowedHosts::of("127.0.0.1:8081".parse().unwrap()).contains(host),
                "{host}"
            );
        }
    }
}
