//! Redirects, followed like the senders' HTTP clients do.

use url::Url;

use crate::{Sender, SenderRequest, is_loopback, target::host_header};

/// A client's reaction to a redirect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RedirectStep {
    /// It sends the next request.
    Follow,
    /// It sends the request to a URL that must not receive test data, so the simulation does not.
    Elsewhere,
    /// It follows no further: there were too many redirects, or they lead in a circle.
    TooMany,
}

/// Where redirects led the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectOutcome {
    Nowhere,
    ToResponse,
    /// To a URL that must not receive test data.
    Elsewhere,
}

/// The requests of one attempt, each after a redirect of the one before it.
pub(crate) struct RedirectChain {
    sender: Sender,
    /// The current request, and its URL.
    pub(crate) request: SenderRequest,
    pub(crate) url: Url,
    /// The targets so far. The URL of the first request is not one.
    targets: Vec<Url>,
    pub(crate) outcome: RedirectOutcome,
}

impl RedirectChain {
    pub(crate) fn new(sender: Sender, request: SenderRequest, url: Url) -> Self {
        Self {
            sender,
            request,
            url,
            targets: Vec::new(),
            outcome: RedirectOutcome::Nowhere,
        }
    }

    /// Follows a redirect of the current request to `location`, with its body if `whole`.
    pub(crate) fn follow(&mut self, whole: bool, location: &str) -> RedirectStep {
        if self.targets.len() >= self.max_redirects() {
            return RedirectStep::TooMany;
        }
        let Some(target) = resolve(&self.url, location) else {
            self.outcome = RedirectOutcome::Elsewhere;
            return RedirectStep::Elsewhere;
        };
        if self.sender == Sender::GovukPay && self.targets.contains(&target) {
            return RedirectStep::TooMany;
        }
        self.targets.push(target.clone());
        let mut request = self.request.clone();
        if !whole {
            request = without_body(self.sender, request);
        }
        self.request = readdress(request, &target);
        self.url = target;
        self.outcome = RedirectOutcome::ToResponse;
        RedirectStep::Follow
    }

    /// The number of redirects that the client follows. HMRC's counts the fifth and gives up.
    fn max_redirects(&self) -> usize {
        match self.sender {
            Sender::Hmrc => 4,
            Sender::GovukPay => 50,
        }
    }
}

/// The URL of a `Location`, relative to the request's URL. `None` if it is invalid or must not
/// receive test data: it is another host, unless both are this machine.
fn resolve(from: &Url, location: &str) -> Option<Url> {
    let mut to = from.join(location).ok()?;
    to.set_fragment(None); // never sent
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
            ("/pay/#top", Some("https://receiver.example.gov.uk/pay/")),
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
    fn hmrc_follows_four_redirects_and_pay_fifty_and_no_circle() {
        let url = Url::parse("http://localhost/start").unwrap();
        let numbered = |n: usize| format!("/{n}");
        let between_two = |n: usize| format!("/{}", n % 2);
        let itself = |_: usize| "/start".to_owned();
        type RedirectTarget = fn(usize) -> String;
        for (sender, location, followed) in [
            (Sender::Hmrc, numbered as RedirectTarget, 4),
            (Sender::Hmrc, between_two, 4),
            (Sender::Hmrc, itself, 4),
            (Sender::GovukPay, numbered, 50),
            (Sender::GovukPay, between_two, 2),
            (Sender::GovukPay, itself, 1),
        ] {
            let body = sender.body(None, &TestClock::new()).unwrap();
            let request = sender.request(&body, "secret", &url);
            let mut chain = RedirectChain::new(sender, request.clone(), url.clone());
            let steps = (0..100).take_while(|n| {
                let step = chain.follow(true, &location(*n));
                assert_eq!(chain.request, request);
                step == RedirectStep::Follow
            });
            assert_eq!(steps.count(), followed, "{sender:?} {}", location(1));
        }
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
                "Http-ClientV2-Version User-Agent X-Hub-Signature host accept",
            ),
        ] {
            let post = sender.request(
                &sender.body(None, &TestClock::new()).unwrap(),
                "secret",
                &url,
            );
            let get = without_body(sender, post);
            assert_eq!((get.method, get.body.len()), ("GET", 0));
            assert_eq!(get.header_names().join(" "), names);
        }
    }
}
