//! Every page of the console that a link leads to, before a person has shown anything.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use test_support::{
    canaries::{ALL_KINDS, CanaryKind, value},
    message::payment,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::serving::LeakTestServe;

/// Pages that no link may lead to.
const ADDRESSES: [&str; 10] = [
    "/",
    "/notifications",
    "/notifications?scan=yes",
    "/refusals",
    "/refusals.json",
    "/audit",
    "/charts",
    "/metrics",
    "/live",
    "/samples",
];
/// More pages than there are.
const MOST_PAGES: usize = 400;
/// How long a page may stay open; `/live` never ends.
const LIVE_FOR: Duration = Duration::from_secs(3);

async fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(LIVE_FOR, stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The pages of this console that a page has links to.
fn links(page: &str) -> impl Iterator<Item = String> {
    let links = page.split("href=\"/").skip(1);
    links.map(|link| {
        let path = link.split('"').next().unwrap_or_default();
        format!("/{}", path.replace("&amp;", "&").replace("&#38;", "&"))
    })
}

/// A page about a notification has its signature, which is evidence.
fn kinds(target: &str) -> Vec<CanaryKind> {
    let has_signature = target.starts_with("/notifications/");
    let is_sought = |kind: &CanaryKind| !has_signature || *kind != CanaryKind::Signature;
    ALL_KINDS.into_iter().filter(is_sought).collect()
}

/// A page without what is meant to be on it: the names that a service gave to metadata, and the
/// service's own reference, by which its staff know a payment, at the head of the payment's page.
fn without_meant(target: &str, page: &str) -> String {
    let page = page.replace(&value("Pay name in metadata"), "");
    match target.starts_with("/payments/") {
        true => page.replace(&value("Pay /reference"), ""),
        false => page,
    }
}

/// Looks at every page for canaries.
pub(super) async fn search(served: &LeakTestServe) {
    let address = served.address("console");
    let canaries = &served.sources.canaries;
    let mut open: Vec<String> = ADDRESSES.map(str::to_owned).into();
    for source in ["pay", "hmrc"] {
        for id in ["delivered", "refused", "retried", "stale"] {
            let page = format!("/notifications/{source}:{id}");
            open.extend([format!("{page}/fixture"), format!("{page}?hex"), page]);
        }
    }
    open.extend([
        format!("/payments/pay/{}", payment("delivered")),
        format!("/search?q={}", payment("refused")),
        "/search?q=pay:retried".to_owned(),
    ]);
    let (mut seen, mut leaks) = (BTreeSet::new(), Vec::new());
    while let Some(target) = open.pop() {
        if seen.len() >= MOST_PAGES || !seen.insert(target.clone()) {
            continue;
        }
        let page = get(address, &target).await;
        leaks.extend(canaries.leak(&kinds(&target), &target, without_meant(&target, &page)));
        open.extend(links(&page));
    }
    assert!(seen.len() > 30, "{seen:?}");
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    let reference = value("Pay /reference");
    // The person's own text is all that a page repeats.
    let found = get(address, &format!("/search?q={reference}")).await;
    canaries.assert_none("a search", found.replace(&reference, ""));
}
