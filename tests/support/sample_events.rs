//! Events for destinations.

use bytes::Bytes;
use pillarbox::senders::SenderKind;
use pillarbox::{
    destinations::Event,
    domain::{Key, Origin, State, Timestamp},
    inbox::{DeliveryHistory, Row},
};
use sha2::{Digest, Sha256};

/// The time of every event: 2026-03-02T10:15:31.480Z.
pub const AT: Timestamp = Timestamp::from_millis(1_772_446_531_480);

/// The event of a captured payment under `key`.
pub fn captured(key: &str, subject: Option<&str>) -> (Key, Event) {
    event(
        key,
        "card_payment_captured",
        subject,
        br#"{"resource":{"amount":5000}}"#,
    )
}

/// The event of a notification of HMRC with a message of this length.
pub fn long(key: &str, length: usize) -> (Key, Event) {
    let message = format!(r#"{{\"x\":\"{}\"}}"#, "x".repeat(length));
    let body = format!(r#"{{"messageContentType":"application/json","message":"{message}"}}"#);
    event(key, "notification", Some("50dca3fc"), body.as_bytes())
}

fn event(key: &str, event_type: &str, subject: Option<&str>, body: &[u8]) -> (Key, Event) {
    let key = Key::parse(key).unwrap();
    let row = Row {
        key: key.clone(),
        body: Some(Bytes::copy_from_slice(body)),
        digest: Sha256::digest(body).into(),
        content_digest: [0; 32],
        signature: None,
        key_label: None,
        secret_fingerprint: None,
        kind: if event_type == "notification" {
            SenderKind::HMRC
        } else {
            SenderKind::GOVUK_PAY
        },
        event_type: event_type.to_owned(),
        subject: subject.map(str::to_owned),
        event_at: Some(AT),
        received_at: AT,
        origin: Origin::Push,
        state: State::Recorded,
        reason: None,
        index_partition: None,
        attempts: 1,
        lease: None,
        budget_from: AT,
        last_error: None,
        due_at: None,
        expires_at: None,
        history: DeliveryHistory::default(),
    };
    (key, Event::of(&row).unwrap())
}
