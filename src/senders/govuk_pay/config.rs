//! The configuration of a source of GOV.UK Pay.

use std::time::Duration;

use super::api;
use crate::senders::{PullTable, SecretShape, SenderConfig};

/// Pay writes 130 random bits in base 32 without leading zeros, so the length varies.
pub(super) const CONFIG: SenderConfig = SenderConfig {
    secret: SecretShape {
        description: "webhook_test_ or webhook_live_ and then letters and digits",
        prefixes: &["webhook_test_", "webhook_live_"],
        test_prefix: Some("webhook_test_"),
        lengths: 1..=64,
        generated: (26, b"0123456789abcdefghijklmnopqrstuv"),
    },
    shares_secrets: false,
    webhook_events: &[
        "card_payment_succeeded",
        "card_payment_captured",
        "card_payment_failed",
        "card_payment_expired",
        "card_payment_refunded",
    ],
    pull: Some(PullTable {
        environments: &[("", api::BASE_URL)],
        boxes: false,
        credentials: &["api_key"],
        test_prefix: Some("api_test_"),
        every: Duration::from_secs(30 * 60),
        after: Some(Duration::from_secs(3 * 60 * 60)),
    }),
};
