//! Rows, histories and packed bodies in an inbox, damaged in any way.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use pillarbox::{
    destinations::Event,
    inbox::{
        DeliveryHistory, MAX_HISTORY_BYTES, MAX_HISTORY_ENTRIES, PastAttempt, PastOutcome, Row,
        StoredBody,
        dynamodb::{AnyAttribute, read_any},
    },
};
use serde_json::{Value, value::RawValue};

use super::{
    input::{FuzzInput, SeedWriter},
    requests::PAY_BODIES,
};
use crate::receiver_under_test::NOW;

/// The longest stored body.
const MAX_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// The attributes of a row, and the type of each.
const ATTRIBUTES: [(&str, u8); 28] = [
    ("pk", 0),
    ("v", 1),
    ("digest", 2),
    ("content_digest", 2),
    ("signature", 2),
    ("key_label", 0),
    ("secret_fingerprint", 2),
    ("kind", 0),
    ("event_type", 0),
    ("subject", 0),
    ("event_at", 1),
    ("received_at", 1),
    ("origin", 0),
    ("state", 0),
    ("reason", 0),
    ("shelf", 0),
    ("attempts", 1),
    ("lease", 4),
    ("budget_from", 1),
    ("last_error", 0),
    ("due_at", 1),
    ("expires_at", 1),
    ("history", 2),
    ("deflated", 3),
    ("body", 2),
    ("parts", 1),
    ("parts_digest", 2),
    ("id", 2),
];

/// An item with any attributes of any type: an error, or a row that can be shown.
pub(super) fn dynamodb_item(bytes: &[u8]) {
    let mut input = FuzzInput::new(bytes);
    let mut item = HashMap::new();
    while !input.is_empty() && item.len() < 40 {
        let (name, usual) = ATTRIBUTES[usize::from(input.byte()) % ATTRIBUTES.len()];
        let as_type = match input.byte() {
            0..250 => usual,
            other => other % 5,
        };
        item.insert(name.to_owned(), attribute(as_type, &mut input));
    }
    let Ok((row, body)) = read_any(item) else {
        return;
    };
    let body = body.and_then(|body| body.unpack().ok());
    check_row(&Row { body, ..row });
}

fn attribute(as_type: u8, input: &mut FuzzInput<'_>) -> AnyAttribute {
    match as_type {
        0 => AnyAttribute::Text(input.text()),
        1 => AnyAttribute::Number(input.text()),
        2 => AnyAttribute::Binary(input.bytes().to_vec()),
        3 => AnyAttribute::Bool(input.byte() > 0),
        _ => AnyAttribute::Map(HashMap::from([
            (
                "id".to_owned(),
                AnyAttribute::Binary(input.bytes().to_vec()),
            ),
            ("until".to_owned(), AnyAttribute::Number(input.text())),
        ])),
    }
}

/// Uses a row in all ways in which the product does.
///
/// # Panics
/// If the product panics, or shows other data than the stored.
pub fn check_row(row: &Row) {
    let entries = row.full_history(NOW);
    assert!(
        entries.len() <= 2 * MAX_HISTORY_ENTRIES + 2,
        "{}",
        entries.len()
    );
    let _ = (row.id(), row.event(), row.is_leased(NOW));
    let _ = (row.replayable(NOW), row.discardable(true, NOW));
    let Ok(event) = Event::of(row) else { return };
    serde_json::from_slice::<&RawValue>(event.json()).expect("it is JSON");
    // The event embeds the sender's text unchanged. A `Value` cannot represent half a surrogate
    // pair, a number too large for a double, or nesting beyond the parser's limit.
    let whole = serde_json::from_slice(event.json()).unwrap_or(Value::Null);
    if let Some(id) = whole["id"].as_str() {
        assert_eq!(id, row.key.as_str());
        assert_eq!(
            whole["source"].as_str(),
            Some(&*format!("/{}", event.source()))
        );
    }
    let claim_check: Value = serde_json::from_slice(event.claim_check()).expect("it is JSON");
    assert_eq!(claim_check["dataref"], row.key.as_str());
    assert!(claim_check["data"].is_null());
    if let Some(signed) = event.signed() {
        assert_eq!(Some(&signed.body), row.body.as_ref());
    }
}

/// Any stored history: encoding and decoding it again gives the same history.
pub(super) fn history(bytes: &[u8]) {
    let read = DeliveryHistory::decode(bytes);
    assert!(read.entries().len() <= MAX_HISTORY_ENTRIES);
    let written = read.encode();
    assert_eq!(DeliveryHistory::decode(&written), read);
    let mut longer = read.clone();
    longer.add_attempt(attempt(3, "https: status 503"));
    assert!(longer.encode().len() <= MAX_HISTORY_BYTES);
    assert!(longer.entries().len() <= MAX_HISTORY_ENTRIES);
    assert_eq!(DeliveryHistory::decode(&longer.encode()), longer);
}

fn attempt(number: u32, error: &str) -> PastAttempt {
    PastAttempt {
        number,
        began_at: NOW,
        duration: Duration::from_millis(31),
        outcome: PastOutcome::Failed,
        destination: Some("ledger".to_owned()),
        status: Some(503),
        error: Some(error.to_owned()),
        answer: None,
    }
}

/// Any packed body: an error, or bytes within the limit. Packing and unpacking any bytes gives the
/// same bytes.
pub(super) fn stored_body(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let damaged = StoredBody {
        deflated: true,
        bytes: bytes.clone(),
    };
    if let Ok(unpacked) = damaged.unpack() {
        assert!(unpacked.len() <= MAX_UNPACKED_BYTES);
    }
    let packed = StoredBody::pack(&bytes);
    assert!(packed.bytes.len() <= bytes.len());
    assert_eq!(packed.unpack().ok(), Some(bytes));
}

/// Seeds of [`dynamodb_item`]: rows as the inbox writes them.
pub(super) fn item_seeds() -> Vec<Vec<u8>> {
    let index = |wanted: &str| {
        let at = ATTRIBUTES.iter().position(|(name, _)| *name == wanted);
        u8::try_from(at.unwrap_or(0)).unwrap_or(0)
    };
    let body = Bytes::from_static(PAY_BODIES[2].as_bytes());
    let packed = StoredBody::pack(&body);
    let history = history_seeds().remove(0);
    [&b"recorded"[..], b"dead", b"held"]
        .map(|state| {
            let texts: [(&str, &[u8]); 19] = [
                ("pk", b"pay:6otj8gn4i5k7rh7f8s0gq1mbu9"),
                ("v", b"1"),
                ("digest", &[7; 32]),
                ("content_digest", &[8; 32]),
                ("signature", &[9; 32]),
                ("key_label", b"1:env:PAY"),
                ("kind", b"govuk-pay"),
                ("event_type", b"card_payment_captured"),
                ("subject", b"7k2m9vq0d4r6t8b1n3p5h0j2e4"),
                ("event_at", b"1772446531480"),
                ("received_at", b"1772446531480"),
                ("origin", b"push"),
                ("state", state),
                ("shelf", b"open:3"),
                ("attempts", b"2"),
                ("budget_from", b"1772446531480"),
                ("due_at", b"1772446531480"),
                ("history", &history),
                ("body", &packed.bytes),
            ];
            let seed = texts
                .iter()
                .fold(SeedWriter::default(), |seed, (name, value)| {
                    seed.byte(index(name)).byte(0).bytes(value)
                });
            let seed = seed.byte(index("lease")).byte(0).bytes(&[1; 8]);
            seed.bytes(b"1772446531480").rest(b"")
        })
        .into()
}

/// Seeds of [`history`].
pub(super) fn history_seeds() -> Vec<Vec<u8>> {
    let mut history = DeliveryHistory::default();
    for number in 1..5 {
        history.add_attempt(attempt(number, "https: no connection"));
    }
    history.add_replay(NOW, 4);
    history.add_discard(NOW, 4, true);
    // The shortest attempt, repeated more often than any version writes.
    let attempt = [2, 2, 1, 0, 0, 0, 0, 0];
    let too_long = [&[1, 0][..], &attempt.repeat(MAX_HISTORY_ENTRIES + 5)].concat();
    vec![history.encode(), too_long]
}

/// Seeds of [`stored_body`].
pub(super) fn body_seeds() -> Vec<Vec<u8>> {
    PAY_BODIES
        .map(|body| {
            let packed = StoredBody::pack(&Bytes::from_static(body.as_bytes()));
            packed.bytes.to_vec()
        })
        .into()
}
