//! How a source of the timestamped sender is configured.

use crate::senders::{SecretShape, SenderConfig};

pub(super) const CONFIG: SenderConfig = SenderConfig {
    secret: SecretShape {
        description: "ts_ and then 24 letters and digits",
        prefixes: &["ts_"],
        test_prefix: None,
        lengths: 24..=24,
        generated: (24, b"0123456789abcdefghijklmnopqrstuv"),
    },
    shares_secrets: false,
    webhook_events: &[],
    pull: None,
};
