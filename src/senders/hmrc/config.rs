//! The configuration of a source of HMRC.

use super::api;
use crate::senders::{PullTable, SecretShape, SenderConfig};

/// HMRC gives one secret to an application, however many boxes it has.
pub(super) const CONFIG: SenderConfig = SenderConfig {
    secret: SecretShape {
        description: "32 letters and digits",
        prefixes: &[],
        test_prefix: None,
        lengths: 32..=32,
        generated: (32, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    },
    shares_secrets: true,
    pull: Some(PullTable {
        environments: &[("sandbox", api::SANDBOX), ("production", api::PRODUCTION)],
        boxes: true,
        credentials: &["client_id", "client_secret"],
        test_prefix: None,
    }),
};
