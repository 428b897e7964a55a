//! A repeatable clock, and tests of both senders.

use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::Timestamp;

/// A clock with a fixed time and a fixed series of random numbers.
pub(super) struct TestClock {
    next: Mutex<Vec<u64>>,
    seed: Mutex<u64>,
}

impl TestClock {
    pub(super) fn new() -> Self {
        Self::of([])
    }

    /// Starts with these random numbers.
    pub(super) fn of<const N: usize>(numbers: [u64; N]) -> Self {
        Self {
            next: Mutex::new(numbers.into_iter().rev().collect()),
            seed: Mutex::new(7),
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_772_446_531_480)
    }

    fn random(&self) -> u64 {
        if let Some(number) = self.next.lock().unwrap().pop() {
            return number;
        }
        let mut seed = self.seed.lock().unwrap();
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15); // SplitMix64
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// All keys in order, with the type of their values.
fn shape(json: &str) -> Vec<(usize, String)> {
    let mut keys = Vec::new();
    let (mut depth, mut rest) = (0, json);
    while let Some(character) = rest.chars().next() {
        let mut read = character.len_utf8();
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            '"' => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let text = strings.next().unwrap().unwrap();
                read = strings.byte_offset();
                if let Some(value) = rest[read..].strip_prefix(':') {
                    keys.push((depth, format!("{text}: {}", kind(value))));
                }
            }
            _ => {}
        }
        rest = &rest[read..];
    }
    keys
}

fn kind(value: &str) -> &'static str {
    match value.as_bytes()[0] {
        b'"' => "text",
        b'{' => "object",
        b'[' => "array",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => "number",
    }
}

const SAMPLES: [(Sender, &str, &str); 8] = [
    (
        Sender::Hmrc,
        "json",
        include_str!("../../../tests/fixtures/hmrc/json-push.json"),
    ),
    (
        Sender::Hmrc,
        "xml",
        include_str!("../../../tests/fixtures/hmrc/xml-push.json"),
    ),
    (
        Sender::Hmrc,
        "astral",
        include_str!("../../../tests/fixtures/hmrc/astral-push.json"),
    ),
    (
        Sender::GovukPay,
        "succeeded",
        include_str!("../../../tests/fixtures/pay/card_payment_succeeded.json"),
    ),
    (
        Sender::GovukPay,
        "captured",
        include_str!("../../../tests/fixtures/pay/card_payment_captured.json"),
    ),
    (
        Sender::GovukPay,
        "refunded",
        include_str!("../../../tests/fixtures/pay/card_payment_refunded.json"),
    ),
    (
        Sender::GovukPay,
        "failed",
        include_str!("../../../tests/fixtures/pay/card_payment_failed.json"),
    ),
    (
        Sender::GovukPay,
        "expired",
        include_str!("../../../tests/fixtures/pay/card_payment_expired.json"),
    ),
];

#[test]
fn messages_have_the_keys_of_the_samples_in_the_same_order() {
    let clock = TestClock::new();
    for (sender, event, sample) in SAMPLES {
        let body = sender.body(Some(event), &clock).unwrap();
        let sent = shape(&body.wire);
        assert!(sent.len() >= 6, "{event}");
        assert_eq!(sent, shape(sample), "{event}");
        let (sent, sample): (Value, Value) = (
            serde_json::from_str(&body.wire).unwrap(),
            serde_json::from_str(sample).unwrap(),
        );
        for field in [
            "messageContentType",
            "status",
            "api_version",
            "resource_type",
            "event_type",
        ] {
            assert_eq!(sent[field], sample[field], "{event}");
        }
        assert_eq!(
            sent["resource"]["state"], sample["resource"]["state"],
            "{event}"
        );
    }
}

#[test]
fn pays_test_envelope_has_the_same_top_level() {
    let clock = TestClock::new();
    let top = |json: &str| {
        shape(json)
            .into_iter()
            .filter(|(depth, _)| *depth == 1)
            .collect::<Vec<_>>()
    };
    let sent = Sender::GovukPay.body(None, &clock).unwrap();
    assert_eq!(
        top(&sent.wire),
        top(include_str!(
            "../../../tests/fixtures/pay/unit_test_envelope.json"
        ))
    );
}

#[test]
fn the_same_clock_sends_the_same_bytes_and_never_the_same_id_twice() {
    for sender in Sender::ALL {
        for event in sender.events() {
            let clock = TestClock::new();
            let first = sender.body(Some(event), &clock).unwrap();
            assert_eq!(first, sender.body(Some(event), &TestClock::new()).unwrap());
            assert_ne!(first.id, sender.body(Some(event), &clock).unwrap().id);
        }
        let unnamed = sender.body(None, &TestClock::new()).unwrap();
        assert_eq!(
            unnamed,
            sender
                .body(Some(sender.events()[0]), &TestClock::new())
                .unwrap()
        );
    }
}

#[test]
fn a_sender_is_parsed_from_its_kind() {
    for sender in Sender::ALL {
        assert_eq!(Sender::parse(sender.as_str()), Some(sender));
    }
    assert_eq!(Sender::parse("pay"), None);
}
