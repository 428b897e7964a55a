//! A destination of the kind `https`: where it is, and what it gets.

use std::fmt;

use url::Url;

use super::{
    destination::url, document_reader::TableReader, error::Located, reference,
    secrets::RequiredSecret,
};
use crate::secrets::SecretRef;

/// A receiver over https.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpsConfig {
    /// Where to POST: https, or http on loopback.
    pub url: Url,
    /// What to POST.
    pub format: HttpsFormatConfig,
}

/// What a receiver over https gets.
#[derive(Clone, Debug)]
pub enum HttpsFormatConfig {
    /// CloudEvents.
    CloudEvents {
        /// The `whsec_` secret to sign with.
        secret: Located<SecretRef>,
    },
    /// The sender's own messages, with the sender's signature.
    AsSent {
        /// The name of the destination of what was pulled, which no sender signed; without one it
        /// is held.
        pulled: Option<Located<String>>,
    },
}

impl fmt::Debug for HttpsConfig {
    /// Shows only the origin of the URL, because paths and queries often hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        f.debug_struct("HttpsConfig")
            .field("origin", &origin)
            .field("format", &self.format)
            .finish()
    }
}

const FORMATS: [&str; 2] = ["cloudevents", "as-sent"];

/// Reads the keys of an https destination.
pub(super) fn read(
    table: &mut TableReader<'_, '_>,
    wanted: &mut Vec<RequiredSecret>,
) -> Option<HttpsConfig> {
    let url = table
        .need("url", "write url = \"https://HOST/PATH\"")
        .and_then(url);
    let format = match table.take("format") {
        None => Some("cloudevents"),
        Some(item) => item.word(&FORMATS),
    };
    let format = match format {
        Some("as-sent") => Some(as_sent(table)),
        _ => cloud_events(table, wanted),
    };
    Some(HttpsConfig {
        url: url?,
        format: format?,
    })
}

fn cloud_events(
    table: &mut TableReader<'_, '_>,
    wanted: &mut Vec<RequiredSecret>,
) -> Option<HttpsFormatConfig> {
    table.refuse(
        "pulled",
        "is for format = \"as-sent\" only: a CloudEvent is signed here, also if it was pulled; \
         remove it",
    );
    let secret = table
        .need("secret", "write secret = \"env:NAME\"")
        .and_then(reference::read);
    wanted.extend(secret.clone().map(RequiredSecret::Whsec));
    Some(HttpsFormatConfig::CloudEvents { secret: secret? })
}

fn as_sent(table: &mut TableReader<'_, '_>) -> HttpsFormatConfig {
    table.refuse(
        "secret",
        "is not used with format = \"as-sent\", which carries the sender's own signature: remove \
         it, or the format",
    );
    let pulled = table.take("pulled").and_then(|item| {
        let name = item.text("must be the name of a destination in quotes")?;
        item.located(Ok::<_, &str>(name))
    });
    HttpsFormatConfig::AsSent { pulled }
}
