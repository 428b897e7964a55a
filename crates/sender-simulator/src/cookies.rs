//! Cookies, kept and sent back as Pay's HTTP client does. HMRC's client keeps none.
//!
//! A load balancer sets a cookie to have the next request on the same machine. Pay's client shares
//! one store between all its requests, so a receiver's cookies come back with later messages.

use std::time::Duration;

use url::Url;

use crate::{ReceiverResponse, Timestamp, date};

/// The cookies of one client.
#[derive(Debug, Default)]
pub(crate) struct CookieStore(Vec<ReceivedCookie>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct ReceivedCookie {
    name: String,
    value: String,
    domain: String,
    /// Whether the receiver named the domain, which then includes its subdomains.
    has_subdomains: bool,
    path: String,
    secure: bool,
    /// `None` if it lasts as long as the client.
    expires: Option<Timestamp>,
}

impl CookieStore {
    /// Keeps the cookies of a response from `url`.
    pub(crate) fn store(&mut self, url: &Url, response: &ReceiverResponse, now: Timestamp) {
        let set = response
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        for cookie in set.filter_map(|(_, text)| ReceivedCookie::parse(url, text, now)) {
            self.0.retain(|known| !known.is_replaced_by(&cookie));
            if !cookie.is_expired(now) {
                self.0.push(cookie);
            }
        }
    }

    /// The value of the `Cookie` header for a request to `url`; `None` if there is no cookie. A
    /// longer path comes first.
    pub(crate) fn header(&self, url: &Url, now: Timestamp) -> Option<String> {
        let mut sent: Vec<&ReceivedCookie> = self
            .0
            .iter()
            .filter(|cookie| cookie.is_for(url) && !cookie.is_expired(now))
            .collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = sent
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl ReceivedCookie {
    /// Reads a `Set-Cookie` header. `None` if it is invalid, or names the domain of another site.
    fn parse(url: &Url, text: &str, now: Timestamp) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: url.host_str()?.to_owned(),
            has_subdomains: false,
            path: default_path(url),
            secure: false,
            expires: None,
        };
        let mut max_age = None;
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match &*name.trim().to_ascii_lowercase() {
                "domain" if !value.is_empty() => {
                    cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.has_subdomains = true;
                }
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "secure" => cookie.secure = true,
                "expires" => cookie.expires = date::parse(value).or(cookie.expires),
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            cookie.expires = Some(now.plus(Duration::from_secs(seconds)));
        }
        (!cookie.name.is_empty() && cookie.is_of_host(url)).then_some(cookie)
    }

    fn is_of_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_subdomain = || {
            let above = host.strip_suffix(&*self.domain);
            url.domain().is_some() && above.is_some_and(|above| above.ends_with('.'))
        };
        host == self.domain || (self.has_subdomains && is_subdomain())
    }

    fn is_for(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(&*self.path);
        let in_path = below.is_some_and(|below| {
            below.is_empty() || self.path.ends_with('/') || below.starts_with('/')
        });
        in_path && self.is_of_host(url) && (!self.secure || url.scheme() == "https")
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The folder of the request's path.
fn default_path(url: &Url) -> String {
    match url.path().rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => url.path()[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000); // 6 November 1994, 08:49:37 UTC

    /// The header for a request to `to`, after a response from `from` with these cookies.
    fn sent(from: &str, cookies: &[&str], to: &str) -> Option<String> {
        let mut store = CookieStore::default();
        for cookie in cookies {
            let headers = [("set-cookie", (*cookie).to_owned())];
            let response = ReceiverResponse::new(200, &headers, "");
            store.store(&Url::parse(from).unwrap(), &response, NOW);
        }
        store.header(&Url::parse(to).unwrap(), NOW)
    }

    #[test]
    fn a_cookie_is_sent_back_to_the_host_and_path_that_it_is_for() {
        let pay = "https://receiver.example.gov.uk/callbacks/pay";
        for (cookie, to, expected) in [
            ("AWSALB=a1; Path=/; HttpOnly", pay, Some("AWSALB=a1")),
            ("a=b", pay, Some("a=b")),
            (
                "a=b",
                "https://receiver.example.gov.uk/callbacks/hmrc",
                Some("a=b"),
            ),
            ("a=b", "https://receiver.example.gov.uk/callbackspay", None),
            ("a=b", "https://receiver.example.gov.uk/", None),
            ("a=b; Path=/other", pay, None),
            ("a=b; Path=/callbacks/", pay, Some("a=b")),
            ("a=b; Path=/", "https://other.example.gov.uk/", None),
            (
                "a=b; Path=/; Domain=.example.gov.uk",
                "https://other.example.gov.uk/",
                Some("a=b"),
            ),
            (
                "a=b; Domain=elsewhere.example.com",
                "https://elsewhere.example.com/callbacks/x",
                None,
            ),
            ("a=b; Domain=ver.example.gov.uk", pay, None),
            ("a=b; Secure", pay, Some("a=b")),
            (
                "a=b; Secure",
                "http://receiver.example.gov.uk/callbacks/pay",
                None,
            ),
            ("a=b; Max-Age=60", pay, Some("a=b")),
            ("a=b; Max-Age=0", pay, None),
            ("a=b; Max-Age=-1", pay, None),
            (
                "a=b; Expires=Sun, 06 Nov 1994 08:49:47 GMT",
                pay,
                Some("a=b"),
            ),
            ("a=b; Expires=Sun, 06 Nov 1994 08:49:27 GMT", pay, None),
            (
                "a=b; Expires=Sun, 06 Nov 1994 08:49:27 GMT; Max-Age=60",
                pay,
                Some("a=b"),
            ),
            ("no name", pay, None),
            ("=b", pay, None),
        ] {
            assert_eq!(
                sent(pay, &[cookie], to).as_deref(),
                expected,
                "{cookie} to {to}"
            );
        }
    }

    #[test]
    fn a_cookie_replaces_the_one_before_and_a_longer_path_comes_first() {
        let url = "http://localhost/callbacks/pay";
        for (cookies, expected) in [
            (&["a=1; Path=/", "a=2; Path=/"][..], Some("a=2")),
            (&["a=1; Path=/", "a=x; Path=/; Max-Age=0"], None),
            (&["a=1; Path=/", "b=2; Path=/callbacks"], Some("b=2; a=1")),
            (&["a=1; Path=/", "b=2; Path=/"], Some("a=1; b=2")),
        ] {
            assert_eq!(sent(url, cookies, url).as_deref(), expected, "{cookies:?}");
        }
    }
}
