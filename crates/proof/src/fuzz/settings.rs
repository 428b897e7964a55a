//! An operator's settings: configurations, and the URLs of destinations.

use std::{net::IpAddr, time::Duration};

use pillarbox::config::{self, Config, DestinationConfig};
use url::{Host, Url};

use crate::second_policy::is_public;

/// Secrets pasted in place of a reference. No error message may repeat them.
const PASTED: [&str; 3] = [
    "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "api_test_q7k2m9vq0d4r6t8b1n3p5h0j2e4",
];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Any document: a valid configuration, or errors that repeat no secret.
pub(super) fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let config = match Config::read(&text, "pillarbox.toml") {
        Ok(config) => config,
        Err(errors) => {
            let shown = errors.to_string();
            assert!(!shown.is_empty() && errors.iter().count() > 0);
            for pasted in PASTED {
                assert!(!shown.contains(pasted), "a secret is shown");
            }
            return;
        }
    };
    assert!(!config.sources.is_empty());
    assert!(config.console.ip().to_canonical().is_loopback());
    assert!(config.acceptance.0 + 7 * DAY < config.retention);
    let named = config.destinations.values();
    for destination in named.chain([&config.destination]) {
        if let DestinationConfig::Https(https) = destination
            && https.allow.is_empty()
        {
            check_url(&https.url);
        }
    }
    let _ = format!("{config:?}");
}

/// Any URL: it is refused, or its host is public or this machine.
pub(super) fn destination_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = config::destination_url(&text, &[]) {
        check_url(&url);
        // The printed URL is accepted too, and parses as the same URL.
        assert_eq!(config::destination_url(url.as_str(), &[]), Ok(url));
    }
}

/// # Panics
/// If this URL must not receive events.
fn check_url(url: &Url) {
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(url.fragment().is_none());
    let address: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
        Some(Host::Domain(name)) => {
            assert!(!name.is_empty());
            None
        }
        None => panic!("a URL without a host"),
    };
    match (url.scheme(), address) {
        ("http", None) => assert_eq!(url.host_str(), Some("localhost")),
        ("http", Some(address)) => assert!(address.is_loopback(), "{address}"),
        ("https", None) => assert_ne!(url.host_str(), Some("localhost")),
        ("https", Some(address)) => assert!(is_public(address), "{address}"),
        (scheme, _) => panic!("the scheme {scheme}"),
    }
}

/// Seeds of [`configuration`].
pub(super) fn documents() -> Vec<Vec<u8>> {
    const WHOLE: &str = r#"listen = "127.0.0.1:8080"
console = "127.0.0.1:8081"
retention_days = 90
acceptance_days = 60
outbound_proxy = true
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET", "file:/run/secrets/hmrc"]
[sources.hmrc.pull]
environment = "sandbox"
boxes = ["50dca3fc-c37c-4f03-b719-63571333624c"]
client_id = "env:HMRC_CLIENT_ID"
client_secret = "env:HMRC_CLIENT_SECRET"
[sources.pay]
kind = "govuk-pay"
secrets = ["secretsmanager:arn:aws:secretsmanager:eu-west-2:123456789012:secret:pay-AbCdEf#current"]
live = false
events = ["card_payment_captured"]
destination = "ledger"
[sources.pay.pull]
api_key = "env:PAY_API_KEY"
[inbox]
kind = "sqlite"
path = "pillarbox.db"
[destination]
kind = "log"
[destinations.ledger]
kind = "https"
url = "https://ledger.example.gov.uk/events"
secrets = ["env:LEDGER_WHSEC"]
allow = ["10.20.0.0/16"]
ca = "/etc/ca.pem"
in_flight = 4
[destinations.queue]
kind = "sqs"
queue_url = "https://sqs.eu-west-2.amazonaws.com/123456789012/q.fifo"
[destinations.bus]
kind = "eventbridge"
bus = "events"
[[routes]]
source = "pay"
types = ["card_payment_captured"]
destination = "queue"
"#;
    let least = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n";
    let table = "[inbox]\nkind = \"dynamodb\"\ntable = \"pillarbox\"\nshards = 4\n";
    let pasted = format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"{}\"]\n",
        PASTED[0]
    );
    let https = "[destination]\nkind = \"https\"\nurl = \"http://localhost:9000/\"\n";
    let https = format!("{https}format = \"as-sent\"\n{least}");
    vec![
        WHOLE.into(),
        least.into(),
        format!("{least}{table}").into_bytes(),
        pasted.into_bytes(),
        https.into_bytes(),
        format!("retention_days = 60\nacceptance_days = 60\n{least}").into_bytes(),
    ]
}

/// Seeds of [`destination_url`].
pub(super) fn urls() -> Vec<Vec<u8>> {
    [
        "https://ledger.example.gov.uk:8443/events?team=7",
        "https://9.9.9.9/",
        "https://[2620:fe::fe]/",
        "http://localhost:9000/events",
        "http://127.1.2.3/",
        "http://[::1]:9000/",
        "https://me:word@ledger.example.gov.uk/#top",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://１２７.0.0.1/",
        "https://2130706433/",
        "https://xn--caf-dma.example./",
    ]
    .map(|url| url.as_bytes().to_vec())
    .into()
}
