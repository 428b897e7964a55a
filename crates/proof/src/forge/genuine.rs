//! Genuine requests, from which every forgery is made.

use bytes::Bytes;
use proof::{
    receiver_under_test::SOURCES,
    second_verifier::{InstalledSource, PlainRequest, SigningSender},
};
use sender_simulator::{Sender, signature::sign};

use crate::simulate::SplitMix64;

/// The index of the signature among the headers.
pub(super) const SIGNATURE: usize = 1;

const HMRC_BODIES: [&str; 4] = [
    include_str!("../../../../tests/fixtures/hmrc/json-push.json"),
    include_str!("../../../../tests/fixtures/hmrc/xml-push.json"),
    include_str!("../../../../tests/fixtures/hmrc/astral-push.json"),
    r#"{"notificationId":"n1","message":"\\uD83D\uDE00 x\uD83D\uDE00 \\\uD83D\uDE00 é€"}"#,
];
const PAY_BODIES: [&str; 6] = [
    include_str!("../../../../tests/fixtures/pay/card_payment_captured.json"),
    include_str!("../../../../tests/fixtures/pay/card_payment_expired.json"),
    include_str!("../../../../tests/fixtures/pay/card_payment_failed.json"),
    include_str!("../../../../tests/fixtures/pay/card_payment_refunded.json"),
    include_str!("../../../../tests/fixtures/pay/card_payment_succeeded.json"),
    include_str!("../../../../tests/fixtures/pay/unit_test_envelope.json"),
];

/// A correctly signed request and its source.
#[derive(Clone)]
pub(super) struct GenuineRequest {
    pub(super) source: InstalledSource,
    pub(super) request: PlainRequest,
}

impl GenuineRequest {
    /// A request to any source that has a secret.
    pub(super) fn any(random: &mut SplitMix64) -> Self {
        let with_secret: Vec<InstalledSource> = SOURCES
            .into_iter()
            .filter(|source| !source.secrets.is_empty())
            .collect();
        let source = random.pick(&with_secret);
        let (body, signed) = message(source.sender, random);
        let secret = random.pick(source.secrets);
        // Signed by the simulated sender, a third implementation.
        let sender = match source.sender {
            SigningSender::Hmrc => Sender::Hmrc,
            SigningSender::GovukPay => Sender::GovukPay,
        };
        let signature = sign(sender, secret, &signed).into_bytes();
        let headers = vec![
            ("Content-Type".to_owned(), b"application/json".to_vec()),
            (source.sender.header().to_owned(), signature),
            ("Host".to_owned(), b"callbacks.example.gov.uk".to_vec()),
        ];
        let request = PlainRequest {
            method: "POST".to_owned(),
            path: format!("/{}", source.name),
            query: String::new(),
            headers,
            body,
        };
        Self { source, request }
    }
}

/// A body, and the form that is signed.
fn message(sender: SigningSender, random: &mut SplitMix64) -> (Bytes, Bytes) {
    if random.is(150) {
        let length = random.below(300);
        let noise: Vec<u8> = (0..length)
            .map(|_| random.next().to_le_bytes()[0])
            .collect();
        let noise = Bytes::from(noise);
        return (noise.clone(), noise);
    }
    let text = match sender {
        SigningSender::Hmrc => random.pick(&HMRC_BODIES),
        SigningSender::GovukPay => random.pick(&PAY_BODIES),
    };
    let body = Bytes::from_static(text.as_bytes());
    // HMRC signs characters beyond U+FFFF unescaped, and sends them escaped.
    let signs_raw = sender == SigningSender::Hmrc && random.is(500) && !text.contains(r"\\");
    let signed = match signs_raw {
        true => Bytes::from(text.replace(r"\uD83D\uDE00", "😀")),
        false => body.clone(),
    };
    (body, signed)
}
