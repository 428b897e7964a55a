//! Redirects, followed like the senders' HTTP clients do.

use url::Url;

use crate::{Sender, SenderRequest, is_loopback, target::host_header};

/// The number of redirects that a client follows.
pub(crate) const MAX_REDIRECTS: u32 = 5;

/// The URL of a `Location`, relative to the request's URL. `None` if it is invalid or must not
/// receive test data: it is another host, unless both are this machine.
pub(crate) fn resolve(from: &Url, location: &str) -> Option<Url> {
    let to = from.join(location).ok()?;
    let same_host = from.host_str() == to.host_str()
        && from.port_or_known_default() == to.port_or_known_default();
    let stays = same_host || (is_loopback(from) && is_loopback(&to));
    let downgraded = from.scheme() == "https" && to.scheme() != "https";
    (stays && !downgraded && matches!(to.scheme(), "http" | "https")).then_some(to)
}

/// The same request for another host or port.
pub(crate) fn readdress(mut request: SenderRequest, url: &Url) -> SenderRequest {
    request.set_header("host", &host_header(url));
    request
}

/// The GET that a client sends after 301, 302 or 303, without a body and the headers that describe
/// it. HMRC's client still sends the signature, Pay's does not.
pub(crate) fn without_body(sender: Sender, request: SenderRequest) -> SenderRequest {
    let keeps = |name: &str| match &*name.to_ascii_lowercase() {
        "content-type" | "content-length" => false,
        "pay-signature" => sender != Sender::GovukPay,
        _ => true,
    };
    let headers = request.headers.into_iter().filter(|(name, _)| keeps(name));
    SenderRequest::get(headers.collect(), request.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TestClock;

    #[test]
    fn a_redirect_is_followed_only_on_the_same_host_or_this_machine() {
        let from = Url::parse("https://receiver.example.gov.uk/pay").unwrap();
        for (location, expected) in [
            ("/pay/", Some("https://receiver.example.gov.uk/pay/")),
            ("login", Some("https://receiver.example.gov.uk/login")),
            (
                "https://receiver.example.gov.uk/other",
                Some("https://receiver.example.gov.uk/other"),
            ),
            ("http://receiver.example.gov.uk/pay", None),
            ("https://elsewhere.example.com/pay", None),
            ("https://receiver.example.gov.uk:8443/pay", None),
            ("https://", None),
        ] {
            assert_eq!(
                resolve(&from, location).as_ref().map(Url::as_str),
                expected,
                "{location}"
            );
        }
        let local = Url::parse("http://127.0.0.1:8080/pay").unwrap();
        assert_eq!(
            resolve(&local, "http://localhost:9/x")
                .map(String::from)
                .as_deref(),
            Some("http://localhost:9/x")
        );
        assert_eq!(resolve(&local, "http://receiver.example.gov.uk/"), None);
    }

    #[test]
    fn only_hmrc_sends_the_signature_with_a_get() {
        let url = Url::parse("http://localhost/x").unwrap();
        for (sender, names) in [
            (
                Sender::GovukPay,
                "Accept-Encoding Host Connection User-Agent",
            ),
            (
                Sender::Hmrc,
                "X-Hub-Signature User-Agent Http-ClientV2-Version host accept",
            ),
        ] {
            let post = sender.request(
                &sender.body(None, &TestClock::new()).unwrap(),
                "secret",
                &url,
            );
            let get = without_body(sender, post);
            let sent: Vec<&str> = get.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                (get.method, get.body.len(), sent.join(" ").as_str()),
                ("GET", 0, names)
            );
        }
    }
}
