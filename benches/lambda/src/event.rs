//! Signed, distinct notifications of GOV.UK Pay, as an HTTP API passes them to a function (payload
//! 2.0).

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A message of Pay. Every notification is this message with other ids and another date.
const MESSAGE: &str = include_str!("../../../tests/fixtures/pay/card_payment_captured.json");
const MESSAGE_ID: &str = "9d3h7l1p5t9b2f6j0n4r8v1q5";
const PAYMENT: &str = "7k2m9vq0d4r6t8b1n3p5h0j2e4";
const CREATED: &str = "2026-03-02T10:16:20.512Z";

/// The signing secret of every program.
pub(crate) const SECRET: &str = "webhook_live_7f3kq92mzx4v8b1n6p0t";

/// Simulates GOV.UK Pay.
pub(crate) struct Sender {
    key: Hmac<Sha256>,
    count: u64,
}

/// The event of an invocation.
pub(crate) struct Event {
    /// The notification's id, which is unique.
    pub(crate) id: String,
    pub(crate) json: String,
}

impl Sender {
    pub(crate) fn new() -> Self {
        // Every run has other ids, so that an inbox which stores them finds no duplicates.
        let count = since_1970()
            .as_micros()
            .try_into()
            .expect("it is before the year 586,524");
        Self {
            key: Hmac::new_from_slice(SECRET.as_bytes()).expect("HMAC accepts a key of any length"),
            count,
        }
    }

    /// The next notification, sent now.
    pub(crate) fn next(&mut self) -> Event {
        self.count += 1;
        let (id, payment) = (scattered(self.count, 25), scattered(!self.count, 26));
        let created = format!("{:.3}", jiff::Timestamp::now());
        let body = MESSAGE
            .trim_end()
            .replace(PAYMENT, &payment)
            .replacen(MESSAGE_ID, &id, 1);
        let body = body.replacen(CREATED, &created, 1);
        let signature = hex::encode(self.key.clone().chain_update(&body).finalize().into_bytes());
        Event {
            json: event(&body, &signature).to_string(),
            id,
        }
    }
}

fn event(body: &str, signature: &str) -> Value {
    let host = "a1b2c3d4e5.execute-api.eu-west-2.amazonaws.com";
    let (agent, address) = ("Apache-HttpClient/5.6.4 (Java/25.0.1)", "198.51.100.7");
    json!({
        "version": "2.0",
        "routeKey": "POST /pay",
        "rawPath": "/pay",
        "rawQueryString": "",
        "headers": {
            "accept-encoding": "gzip, deflate, x-gzip",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": host,
            "pay-signature": signature,
            "user-agent": agent,
            "x-amzn-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
            "x-forwarded-for": address,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": host,
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": "/pay",
                "protocol": "HTTP/1.1",
                "sourceIp": address,
                "userAgent": agent,
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "POST /pay",
            "stage": "$default",
            "time": jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": u64::try_from(since_1970().as_millis()).expect("milliseconds since 1970 \
             fit"),
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// An id as random as real ones.
fn scattered(number: u64, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut state = number;
    let mut next = || {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let words = [next(), next(), next()];
    let digit = |at: usize| char::from(ALPHABET[(words[at / 12] >> (5 * (at % 12))) as usize % 32]);
    (0..length).map(digit).collect()
}

fn since_1970() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_signed_and_have_unique_ids() {
        let mut sender = Sender::new();
        let (one, two) = (sender.next(), sender.next());
        assert_ne!(one.id, two.id);
        let event: Value = serde_json::from_str(&one.json).unwrap();
        let body = event["body"].as_str().unwrap();
        assert!(
            body.contains(&one.id)
                && !body.contains(MESSAGE_ID)
                && !body.contains(PAYMENT)
                && !body.contains(CREATED)
        );
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())
            .unwrap()
            .chain_update(body);
        mac.verify_slice(
            &hex::decode(event["headers"]["pay-signature"].as_str().unwrap()).unwrap(),
        )
        .unwrap();
    }
}
