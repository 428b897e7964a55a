//! `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.` and the body, accepted for five minutes.

use std::time::Duration;

use crate::{
    domain::Timestamp,
    senders::{MacAlgorithm, SignatureScheme, protocol::SignatureValue},
};

/// The maximum difference between the signed time and ours.
pub(super) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

pub(super) const SCHEME: SignatureScheme = SignatureScheme {
    header: "timestamped-signature",
    algorithm: MacAlgorithm::HmacSha256,
    parse,
    canonical: |_| None,
};

fn parse(value: &str) -> Option<SignatureValue<'_>> {
    let (seconds, digits) = value.strip_prefix("t=")?.split_once(",v1=")?;
    let signed_at = Timestamp::from_millis(seconds.parse::<i64>().ok()?.checked_mul(1000)?);
    Some(SignatureValue {
        digits,
        preamble: format!("{seconds}."),
        valid: Some(signed_at.minus(TOLERANCE)..=signed_at.plus(TOLERANCE)),
    })
}
