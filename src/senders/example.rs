//! Entries for tests, built from a proof like every entry.

#![allow(
    clippy::unwrap_used,
    reason = "test code: the helpers of a test are not seen as tests"
)]

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::{
    Acceptance, Entry, MacAlgorithm, ProvenBytes, Pulled, SenderKind, SigningKey, read, verify,
};
use crate::{
    domain::{SourceName, Timestamp},
    secrets::Secret,
};

/// The instant the examples were received.
pub const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);
/// A sender that no configuration can name.
pub const TIMESTAMPED: SenderKind = SenderKind::TIMESTAMPED;
const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// A Pay notification.
pub fn pay(id: &str, payment: &str, event: &str, at: Timestamp) -> Entry {
    let body = format!(
        r#"{{"webhook_message_id":"{id}","created_date":"{at}","resource_id":"{payment}",
            "event_type":"{event}","resource":{{"amount":5000}}}}"#
    );
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

/// A refund of a Pay payment. Refunds of all amounts have the same date.
pub fn pay_refund(id: &str, payment: &str, submitted: u32) -> Entry {
    let left = 5000 - submitted;
    let body = format!(
        r#"{{"webhook_message_id":"{id}","created_date":"{NOW}","resource_id":"{payment}",
            "event_type":"card_payment_refunded","resource":{{"amount":5000,
            "refund_summary":{{"amount_available":{left},"amount_submitted":{submitted}}}}}}}"#
    );
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

/// An HMRC notification.
pub fn hmrc(id: &str, message: &str) -> Entry {
    entry(SenderKind::HMRC, "hmrc", envelope(id, message, "PENDING"))
}

/// The same notification as a pull lists it, once HMRC has given up pushing it.
pub fn hmrc_pulled(id: &str, message: &str) -> Entry {
    from_proof("hmrc", Pulled::listed(envelope(id, message, "FAILED")))
}

fn envelope(id: &str, message: &str, status: &str) -> Bytes {
    let message = serde_json::to_string(message).unwrap();
    let body = format!(
        r#"{{"notificationId":"{id}","boxId":"50dca3fc","messageContentType":"application/json",
            "message":{message},"status":"{status}",
            "createdDateTime":"2026-03-02T10:15:31.480+0000"}}"#
    );
    body.into()
}

/// A successful payment that the API returned.
pub fn observed(payment: &str) -> Entry {
    let answer = format!(
        concat!(
            r#"{{"amount":5000,"state":{{"status":"success","finished":true}},"#,
            r#""payment_id":"{}","created_date":"2016-03-02T10:15:31.480Z"}}"#,
        ),
        payment
    );
    from_proof("pay", Pulled::payment(answer.into()))
}

/// Any authentic bytes.
pub fn entry(kind: SenderKind, source: &str, body: Bytes) -> Entry {
    let signature = sign(kind, &body);
    signed(kind, source, &signature, body)
}

/// One HMRC request in every spelling that has its signature: `text` contains 😀 in the signed form.
pub fn spellings(text: &str) -> Vec<Entry> {
    let signature = sign(SenderKind::HMRC, text.as_bytes());
    let spelled = [
        "😀",
        r"\uD83D\uDE00",
        r"\ud83d\ude00",
        r"\uD83d\uDe00",
        r"\ud83D\udE00",
        r"\uD83D\ude00",
        r"\ud83d\uDE00",
    ];
    spelled
        .map(|spelling| {
            let body = text.replace('😀', spelling).into();
            signed(SenderKind::HMRC, "hmrc", &signature, body)
        })
        .into()
}

fn signed(kind: SenderKind, source: &str, signature: &str, body: Bytes) -> Entry {
    let key = SigningKey::new(kind, "1:env:TEST", &Secret::new(SECRET.to_owned()));
    from_proof(
        source,
        verify(kind, &[key], &[signature.as_bytes()], body, NOW).unwrap(),
    )
}

fn from_proof(source: &str, proven: impl Into<ProvenBytes>) -> Entry {
    let window = Acceptance(Duration::from_secs(60 * 24 * 60 * 60));
    read(&SourceName::new(source).unwrap(), proven, NOW, window)
}

fn sign(kind: SenderKind, body: &[u8]) -> String {
    match kind.signature.algorithm {
        MacAlgorithm::HmacSha1 => {
            let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
            hex::encode(mac.chain_update(body).finalize().into_bytes())
        }
        MacAlgorithm::HmacSha256 => {
            let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            hex::encode(mac.chain_update(body).finalize().into_bytes())
        }
    }
}
