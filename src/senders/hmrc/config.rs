//! The configuration of a source of HMRC.

use std::time::Duration;

use super::api;
use crate::senders::{PullTable, SecretShape, SenderConfig};

/// HMRC issues one secret for each application, which may have several boxes.
pub(super) const CONFIG: SenderConfig = SenderConfig {
    secret: SecretShape {
        description: "32 letters and digits",
        prefixes: &[],
        test_prefix: None,
        lengths: 32..=32,
        generated: (32, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    },
    shares_secrets: true,
    webhook_events: &[],
    pull: Some(PullTable {
        environments: &[("sandbox", api::SANDBOX), ("production", api::PRODUCTION)],
        boxes: true,
        every: Duration::from_secs(5 * 60),
        after: None,
        credentials: &["client_id", "client_secret"],
        test_prefix: None,
    }),
};
