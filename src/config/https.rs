//! A destination of the kind `https`: its address and its format.

use std::{fmt, path::PathBuf};

use ipnet::IpNet;
use url::Url;

use super::{
    document_reader::{TableReader, TomlItem, all_or_none},
    error::LocatedValue,
    reference,
    secrets::RequiredSecret,
};
use crate::{
    http_client::{AddressRule, endpoint_within},
    secrets::SecretRef,
};

/// The maximum of `in_flight`; a server makes no more deliveries concurrently.
const MAX_IN_FLIGHT: u32 = 128;
/// The widest networks that can be allowed, as prefix lengths of IPv4 and IPv6.
const SHORTEST_PREFIX: (u8, u8) = (8, 16);

/// A receiver over https.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpsConfig {
    /// Where to POST: https, or http on loopback.
    pub url: Url,
    /// What to POST.
    pub format: HttpsFormatConfig,
    /// The networks that it may be in besides the public internet.
    pub allow: Vec<IpNet>,
    /// The file with the certificates of the authority that it is verified by; the system's
    /// authorities if `None`.
    pub ca: Option<PathBuf>,
    /// The maximum number of concurrent deliveries; unlimited if `None`.
    pub in_flight: Option<usize>,
}

/// The format that a receiver over https gets.
#[derive(Clone, Debug)]
pub enum HttpsFormatConfig {
    /// CloudEvents.
    CloudEvents {
        /// The `whsec_` secrets to sign with: several are the overlap of a rotation.
        secrets: Vec<LocatedValue<SecretRef>>,
    },
    /// The sender's own messages, with the sender's signature.
    AsSent {
        /// The name of the destination of pulled notifications, which no sender signed; without one
        /// they are held.
        pulled: Option<LocatedValue<String>>,
    },
}

impl fmt::Debug for HttpsConfig {
    /// Shows only the origin of the URL, because paths and queries often hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        f.debug_struct("HttpsConfig")
            .field("origin", &origin)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

const FORMATS: [&str; 2] = ["cloudevents", "as-sent"];

/// Reads the keys of an https destination.
pub(super) fn read(
    table: &mut TableReader<'_, '_>,
    required: &mut Vec<RequiredSecret>,
) -> Option<HttpsConfig> {
    let allow = match table.take("allow") {
        None => Some(Vec::new()),
        Some(item) => networks(&item),
    };
    let rule = AddressRule::allowing(allow.as_deref().unwrap_or_default());
    let url = table
        .require("url", "write url = \"https://HOST/PATH\"")
        .and_then(|item| {
            let text = item.text("must be a URL in quotes")?;
            item.located(endpoint_within(&text, &rule))
        });
    let ca = table
        .take("ca")
        .and_then(|item| item.text("must be the path of a file in quotes"));
    let in_flight = table
        .take("in_flight")
        .and_then(|item| item.count(MAX_IN_FLIGHT));
    let format = match table.take("format") {
        None => Some("cloudevents"),
        Some(item) => item.word(&FORMATS),
    };
    let format = match format {
        Some("as-sent") => Some(as_sent(table)),
        _ => cloud_events(table, required),
    };
    Some(HttpsConfig {
        url: url?.value,
        format: format?,
        allow: allow?,
        ca: ca.map(PathBuf::from),
        in_flight: in_flight.and_then(|count| usize::try_from(count).ok()),
    })
}

/// The URL of a destination, if it is on the public internet or in the networks `allow`.
#[cfg(any(test, feature = "test-support"))]
pub fn destination_url(text: &str, allow: &[IpNet]) -> Result<Url, String> {
    let rule = AddressRule::allowing(allow);
    endpoint_within(text, &rule).map_err(|error| error.to_string())
}

fn networks(item: &TomlItem<'_, '_>) -> Option<Vec<IpNet>> {
    let list = item.list("must be a list of networks: write [\"10.20.0.0/16\"]")?;
    all_or_none(list.iter().map(network))
}

fn network(item: &TomlItem<'_, '_>) -> Option<IpNet> {
    let must = "must be a network, such as 10.20.0.0/16 or 127.0.0.1/32";
    let network: Option<IpNet> = item.text(must)?.parse().ok();
    let Some(network) = network else {
        item.report(must);
        return None;
    };
    let (v4, v6) = SHORTEST_PREFIX;
    let shortest = match network {
        IpNet::V4(_) => v4,
        IpNet::V6(_) => v6,
    };
    if network.prefix_len() < shortest {
        item.report(format_args!(
            "is too wide: name the network of the endpoint, of /{shortest} at most"
        ));
        return None;
    }
    Some(network)
}

/// Reads `secrets`, or `secret`, which is a list of one.
fn secrets(table: &mut TableReader<'_, '_>) -> Option<Vec<LocatedValue<SecretRef>>> {
    let Some(list) = table.take("secrets") else {
        let secret = table.require("secret", "write secret = \"env:NAME\"")?;
        return reference::read(secret).map(|secret| vec![secret]);
    };
    table.refuse(
        "secret",
        "cannot be combined with secrets: add it to that list",
    );
    let must = "must be a list of one or more references: write [\"env:NAME\"]";
    let items = list.list(must)?;
    if items.is_empty() {
        list.report(must);
        return None;
    }
    all_or_none(items.into_iter().map(reference::read))
}

fn cloud_events(
    table: &mut TableReader<'_, '_>,
    required: &mut Vec<RequiredSecret>,
) -> Option<HttpsFormatConfig> {
    table.refuse(
        "pulled",
        "is for format = \"as-sent\" only: a CloudEvent is signed here, also if it was pulled; \
         remove it",
    );
    let secrets = secrets(table)?;
    required.extend(secrets.iter().cloned().map(RequiredSecret::Whsec));
    Some(HttpsFormatConfig::CloudEvents { secrets })
}

fn as_sent(table: &mut TableReader<'_, '_>) -> HttpsFormatConfig {
    for key in ["secret", "secrets"] {
        table.refuse(
            key,
            "is not used with format = \"as-sent\", which carries the sender's own signature: \
             remove it, or the format",
        );
    }
    let pulled = table.take("pulled").and_then(|item| {
        let name = item.text("must be the name of a destination in quotes")?;
        item.located(Ok::<_, &str>(name))
    });
    HttpsFormatConfig::AsSent { pulled }
}
