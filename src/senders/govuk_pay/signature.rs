//! How GOV.UK Pay signs: HMAC-SHA256 over the bytes it sends.

use crate::senders::{MacAlgorithm, SignatureScheme, protocol::bare_digits};

pub(super) const SCHEME: SignatureScheme = SignatureScheme {
    header: "pay-signature",
    algorithm: MacAlgorithm::HmacSha256,
    parse: bare_digits,
    canonical: |_| None,
};
