//! The checks of every request and the headers of every response.
//!
//! The checks run in this order: the host is one of the console's, the method is supported, the
//! browser has signed in if it must, and a form comes from a page of this process. Only then is a
//! [`ConsoleForm`] made, and no handler can change anything without one.

use std::net::SocketAddr;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    form::{CSRF_FIELD, ConsoleForm},
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, with_error_page},
    sign_in,
    state::{ConsoleState, SharedConsoleState},
};

/// The headers of every response. With this policy, even a sender's text that was not escaped could
/// not run a script, submit a form elsewhere or open a frame.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
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

/// The longest form that is read.
pub(super) const MAX_FORM_BYTES: usize = 64 * 1024;

/// The prefix of the addresses whose forms change rows. The guard refuses them unless changes are
/// allowed.
const ACTS: &str = "/acts/";

/// The hosts under which a browser may request the console: the bound address, every loopback name
/// with any port, and the names that the console was started with, with any port.
///
/// The check protects against DNS rebinding, in which a page's own name resolves to this machine.
/// Such a request carries the page's name, never a loopback name. The port protects nothing, and
/// through a tunnel it differs from the bound one.
#[derive(Clone)]
pub(super) struct AllowedHosts {
    bound: String,
    named: Vec<String>,
}

/// Whether `name` is this machine's own in every browser: its loopback addresses, `localhost`, and
/// the names below it, for which no name server is queried.
fn is_loopback(name: &str) -> bool {
    let domain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let above = domain.strip_suffix("localhost");
    ["127.0.0.1", "[::1]"].contains(&name)
        || above.is_some_and(|above| above.is_empty() || is_labels(above))
}

/// Whether `text` is labels of a domain name, each with a dot behind it.
fn is_labels(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    text.strip_suffix('.')
        .is_some_and(|labels| labels.split('.').all(is_label))
}

impl AllowedHosts {
    pub(super) fn of(bound: SocketAddr, named: &[String]) -> Self {
        // An unspecified address means every address of the machine. No browser uses it as a host.
        let is_name = !bound.ip().is_unspecified();
        let bound = is_name.then(|| bound.to_string());
        Self {
            bound: bound.unwrap_or_default(),
            named: named.to_vec(),
        }
    }

    fn contains(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_known = is_loopback(name)
            || self
                .named
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name));
        // Browsers leave the usual port out.
        let is_bound = host == self.bound || self.bound.strip_suffix(":80") == Some(host);
        (is_bound && !host.is_empty()) || (is_known && is_port)
    }

    /// Whether a request has exactly one `Host` header, and an allowed host there and in its
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

/// Passes admitted requests to their handlers, and adds the headers to every response.
pub(super) async fn guard<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    request: Request,
    next: Next,
) -> Response {
    let is_read = is_read(request.method());
    let frame = PageFrame::of(&state, request.uri(), request.headers(), is_read);
    let response = match admit(&state, request).await {
        Ok(mut request) => {
            request.extensions_mut().insert(frame.clone());
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let mut response = with_error_page(response, frame);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Checks a request, and reads its form if it has one.
async fn admit<I>(state: &ConsoleState<I>, request: Request) -> Result<Request, PageError> {
    if !state.hosts.admit(&request) {
        return Err(PageError::Host);
    }
    let is_read = is_read(request.method());
    if !is_read && request.method() != Method::POST {
        return Err(PageError::Method);
    }
    let path = request.uri().path();
    let is_open = path == sign_in::ADDRESS || path == super::STYLE_ADDRESS;
    if !is_open && !sign_in::is_signed_in(state, request.headers()) {
        return Err(PageError::SignIn);
    }
    if is_read {
        return Ok(request);
    }
    if path.starts_with(ACTS) && !state.changes_allowed() {
        return Err(PageError::ReadOnly);
    }
    if !is_same_origin(request.headers()) {
        return Err(PageError::Forged);
    }
    let (parts, body) = request.into_parts();
    let form = read_form(&parts, body).await?;
    if !state.csrf.matches(form.get(CSRF_FIELD).unwrap_or_default()) {
        return Err(PageError::Forged);
    }
    let mut request = Request::from_parts(parts, Body::empty());
    request.extensions_mut().insert(form);
    Ok(request)
}

async fn read_form(parts: &Parts, body: Body) -> Result<ConsoleForm, PageError> {
    let media_type = parts.headers.get(header::CONTENT_TYPE);
    let form_type = b"application/x-www-form-urlencoded";
    let is_form = media_type.is_some_and(|given| given.as_bytes().starts_with(form_type));
    if !is_form {
        return Err(PageError::Forged);
    }
    let body = to_bytes(body, MAX_FORM_BYTES)
        .await
        .map_err(|_| PageError::FormSize)?;
    Ok(ConsoleForm::read(&body))
}

/// Whether a browser sent this from a page of the console, as far as its headers show.
///
/// Pages have the referrer policy `no-referrer`, with which browsers send the origin `null` from
/// them, too. Then the browser's `Sec-Fetch-Site` counts, which it sends to addresses that it
/// trusts: to loopback names, and over TLS.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let only = |name: header::HeaderName| {
        let mut given = headers.get_all(name).iter();
        let first = given.next().and_then(|value| value.to_str().ok());
        first.filter(|_| given.next().is_none())
    };
    let fetch_site = only(header::HeaderName::from_static("sec-fetch-site"));
    if fetch_site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (only(header::ORIGIN), only(header::HOST)) {
        (Some("null") | None, _) => fetch_site == Some("same-origin"),
        (Some(origin), Some(host)) => {
            let authority = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        }
        (Some(_), None) => false,
    }
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
            ("127.0.0.1:8081", "localhost.:9000", true),
            ("127.0.0.1:8081", "Pillarbox.Localhost:9000", true),
            ("127.0.0.1:8081", "a.b.localhost.", true),
            ("127.0.0.1:8081", "127.0.0.2:9000", false),
            ("127.0.0.1:8081", "[::ffff:127.0.0.1]:9000", false),
            ("127.0.0.1:8081", "localhost..", false),
            ("127.0.0.1:8081", ".localhost", false),
            ("127.0.0.1:8081", "a..localhost", false),
            ("127.0.0.1:8081", "evil.example/.localhost", false),
            ("127.0.0.1:8081", "evil@a.localhost", false),
            ("127.0.0.1:8081", "notlocalhost", false),
            ("127.0.0.1:8081", "[127.0.0.1]", false),
            ("127.0.0.1:8081", "[[::1]]", false),
            ("127.0.0.1:8081", "127.0.0.1.evil.example", false),
            ("127.0.0.1:8081", "127.0.0.1.", false),
            ("127.0.0.1:8081", "127.1", false),
            ("127.0.0.1:8081", "128.0.0.1", false),
            ("127.0.0.1:8081", "[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(
                AllowedHosts::of(bound.parse().unwrap(), &[]).contains(host),
                admitted,
                "{host} at {bound}"
            );
        }
    }

    #[test]
    fn a_host_name_of_the_command_line_is_a_host_with_any_port() {
        let bound = "0.0.0.0:8081".parse().unwrap();
        let hosts = AllowedHosts::of(bound, &["console.example".to_owned()]);
        for (host, admitted) in [
            ("console.example", true),
            ("Console.Example:443", true),
            ("console.example.evil", false),
            ("evil.console.example", false),
        ] {
            assert_eq!(hosts.contains(host), admitted, "{host}");
        }
    }

    #[test]
    fn only_a_page_of_the_same_origin_may_send_a_form() {
        const HOST: &str = "localhost:8081";
        for (origin, fetch_site, admitted) in [
            (Some("http://localhost:8081"), None, true),
            (Some("https://localhost:8081"), None, true),
            (Some("http://localhost:8081"), Some("same-origin"), true),
            (Some("null"), Some("same-origin"), true),
            (None, Some("same-origin"), true),
            (None, None, false),
            (Some("null"), None, false),
            (Some("null"), Some("cross-site"), false),
            (Some("null"), Some("none"), false),
            (Some("http://localhost:8081"), Some("cross-site"), false),
            (Some("http://localhost:8080"), None, false),
            (Some("http://127.0.0.1:8081"), None, false),
            (Some("http://evil.example"), Some("same-site"), false),
            (Some("http://localhost:8081.evil.example"), None, false),
            (Some("file://localhost:8081"), None, false),
            (Some(""), None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(HOST));
            for (name, value) in [("origin", origin), ("sec-fetch-site", fetch_site)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(
                is_same_origin(&headers),
                admitted,
                "{origin:?} {fetch_site:?}"
            );
        }
    }
}
