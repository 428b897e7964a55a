//! Identifies the content of a message independently of its serialisation. It does not use the
//! product's code, which has its own definition of equal notifications.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::history;

/// The SHA-256 digest of `bytes`.
pub(crate) fn digest_of(bytes: &[u8]) -> history::Sha256Digest {
    Sha256::digest(bytes).into()
}

/// A hash of the fields that are equal in all copies of a message: HMRC's box and message, or Pay's
/// event. For any other body, a hash of its bytes.
pub(crate) fn content_of(body: &[u8]) -> u64 {
    const NAMES: [&str; 2] = ["boxId", "resource_id"];
    let read = serde_json::from_slice::<Value>(body).ok();
    let facts = read.and_then(|value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        NAMES.iter().any(|name| value.get(name).is_some()).then(|| {
            // Two refunds of one payment may have the same date. Their sums differ.
            let refunded = value.pointer("/resource/refund_summary/amount_submitted");
            let refunded = refunded.filter(|_| text("event_type").ends_with("refunded"));
            format!(
                "{}|{}|{}|{}|{}|{}|{refunded:?}",
                text("boxId"),
                text("messageContentType"),
                text("message"),
                text("resource_id"),
                text("event_type"),
                if value.get("resource_id").is_some() {
                    text("created_date")
                } else {
                    ""
                },
            )
        })
    });
    let digest = facts.map_or_else(|| digest_of(body), |facts| digest_of(facts.as_bytes()));
    u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer"))
}
