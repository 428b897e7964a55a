//! Where a sender's client goes when it is told to go elsewhere.

use url::Url;

use crate::{Request, Sender, is_loopback, target::host_header};

/// How often a client lets itself be sent on.
pub(super) const MOST: u32 = 5;

/// The place a `Location` names, seen from where the request went. `None` where it names none, or a
/// place that test data must not go to: another host, unless both are this machine.
pub(super) fn place(from: &Url, location: &str) -> Option<Url> {
    let to = from.join(location).ok()?;
    let same_host = from.host_str() == to.host_str()
        && from.port_or_known_default() == to.port_or_known_default();
    let stays = same_host || (is_loopback(from) && is_loopback(&to));
    let downgraded = from.scheme() == "https" && to.scheme() != "https";
    (stays && !downgraded && matches!(to.scheme(), "http" | "https")).then_some(to)
}

/// The same request, to another host or port.
pub(super) fn addressed(request: &Request, url: &Url) -> Request {
    let mut request = request.clone();
    for (_, value) in request
        .headers
        .iter_mut()
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        *value = host_header(url);
    }
    request
}

/// The GET that a 301, 302 or 303 makes of a POST: no body, and nothing that describes one. HMRC's
/// client still sends the signature, Pay's doesn't.
pub(super) fn without_body(sender: Sender, request: &Request) -> Request {
    let goes = |name: &str| {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "content-type" | "content-length" => false,
            "pay-signature" => sender != Sender::GovukPay,
            _ => true,
        }
    };
    Request {
        method: "GET",
        headers: request
            .headers
            .iter()
            .filter(|(name, _)| goes(name))
            .cloned()
            .collect(),
        body: Vec::new(),
        id: request.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TestClock;

    #[test]
    fn a_place_is_followed_on_the_same_host_and_on_this_machine_only() {
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
                place(&from, location).as_ref().map(Url::as_str),
                expected,
                "{location}"
            );
        }
        let local = Url::parse("http://127.0.0.1:8080/pay").unwrap();
        assert_eq!(
            place(&local, "http://localhost:9/x")
                .map(String::from)
                .as_deref(),
            Some("http://localhost:9/x")
        );
        assert_eq!(place(&local, "http://receiver.example.gov.uk/"), None);
    }

    #[test]
    fn only_hmrc_sends_the_signature_along_with_a_get() {
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
            let get = without_body(sender, &post);
            let sent: Vec<&str> = get.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(
                (get.method, get.body.len(), sent.join(" ").as_str()),
                ("GET", 0, names)
            );
        }
    }
}
