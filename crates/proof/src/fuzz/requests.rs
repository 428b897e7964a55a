//! Requests at the receiver: signatures, signed bodies, and challenges.

use std::cell::OnceCell;

use bytes::Bytes;

use super::input::{FuzzInput, SeedWriter};
use crate::{
    attack::{AttackedReceiver, EntryPoint},
    receiver_under_test::SOURCES,
    second_verifier::{InstalledSource, PlainRequest},
};

thread_local! {
    static ATTACKED: OnceCell<AttackedReceiver> = const { OnceCell::new() };
}

/// The samples in the senders' documents.
pub(super) const HMRC_BODIES: [&str; 3] = [
    include_str!("../../../../tests/fixtures/hmrc/json-push.json"),
    include_str!("../../../../tests/fixtures/hmrc/xml-push.json"),
    include_str!("../../../../tests/fixtures/hmrc/astral-push.json"),
];
pub(super) const PAY_BODIES: [&str; 3] = [
    include_str!("../../../../tests/fixtures/pay/card_payment_refunded.json"),
    include_str!("../../../../tests/fixtures/pay/card_payment_failed.json"),
    include_str!("../../../../tests/fixtures/pay/unit_test_envelope.json"),
];

/// Calls `work` with the receiver of this thread.
pub(super) fn with_receiver<T>(work: impl FnOnce(&AttackedReceiver) -> T) -> T {
    ATTACKED.with(|attacked| work(attacked.get_or_init(AttackedReceiver::default)))
}

/// Sends a request, and compares its outcome with the second implementation.
pub(super) fn attack(request: &PlainRequest, entry_point: EntryPoint) {
    if !entry_point.carries(request) {
        return;
    }
    let outcome = with_receiver(|attacked| attacked.attack(request, entry_point));
    if let Err(problem) = outcome.check(request, entry_point) {
        panic!("{problem}\n{} {request:?}", entry_point.as_str());
    }
}

/// A request of any method to any source, with a genuine signature, a changed one or none.
pub fn request(input: &mut FuzzInput<'_>) -> PlainRequest {
    let source = input.pick(&SOURCES);
    let path = match input.byte() {
        0..200 => format!("/{}", source.name),
        200..210 => format!("/{}", input.pick(&SOURCES).name),
        210..215 => "/-/healthz".to_owned(),
        _ => input.text(),
    };
    let method = match input.byte() {
        0..180 => "POST".to_owned(),
        180..220 => "GET".to_owned(),
        _ => input.text(),
    };
    let query = input.text();
    let header = input.byte();
    let edits: Vec<(u8, u8)> = (0..input.byte() % 4)
        .map(|_| (input.byte(), input.byte()))
        .collect();
    let mut headers = Vec::new();
    for _ in 0..input.byte() % 4 {
        headers.push((input.text(), input.bytes().to_vec()));
    }
    let body = Bytes::copy_from_slice(input.rest());
    if header < 220 {
        let mut value = signature(&source, header, &body);
        for (at, byte) in edits {
            let at = usize::from(at) % (value.len() + 1);
            match value.get_mut(at) {
                Some(digit) => *digit = byte,
                None => value.push(byte),
            }
        }
        headers.push((source.sender.header().to_owned(), value));
    }
    PlainRequest {
        method,
        path,
        query,
        headers: headers
            .into_iter()
            .filter(|(name, _)| is_token(name))
            .collect(),
        body,
    }
}

/// Whether the name can reach the receiver. Fronts and servers refuse other names, and some values
/// of `Host`.
fn is_token(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(plain) && !name.eq_ignore_ascii_case("host")
}

fn signature(source: &InstalledSource, choice: u8, body: &[u8]) -> Vec<u8> {
    let secret = match source.secrets {
        [] => "no secret of any source",
        secrets => secrets[usize::from(choice) % secrets.len()],
    };
    source.sender.sign(secret.as_bytes(), body).into_bytes()
}

/// Any request: the same outcome as in the second implementation.
pub(super) fn verification(bytes: &[u8]) {
    attack(&request(&mut FuzzInput::new(bytes)), EntryPoint::Direct);
}

/// A signed request with this body.
fn signed_request(source: &InstalledSource, choice: u8, body: Bytes) -> PlainRequest {
    let signature = signature(source, choice, &body);
    PlainRequest {
        method: "POST".to_owned(),
        path: format!("/{}", source.name),
        headers: vec![(source.sender.header().to_owned(), signature)],
        body,
        ..PlainRequest::default()
    }
}

/// Any signed body: it is stored unchanged.
pub(super) fn signed_body(bytes: &[u8]) {
    let mut input = FuzzInput::new(bytes);
    let source = input.pick(&SOURCES[..4]);
    let choice = input.byte();
    let body = Bytes::copy_from_slice(input.rest());
    attack(&signed_request(&source, choice, body), EntryPoint::Direct);
}

/// A GET with any query: the receiver returns only a single, harmless challenge.
pub(super) fn challenge(bytes: &[u8]) {
    let request = PlainRequest {
        method: "GET".to_owned(),
        path: "/hmrc".to_owned(),
        query: String::from_utf8_lossy(bytes).into_owned(),
        ..PlainRequest::default()
    };
    attack(&request, EntryPoint::Direct);
}

/// Genuine requests.
pub fn seed_requests() -> Vec<PlainRequest> {
    let hmrc = HMRC_BODIES.map(|body| (SOURCES[0], body));
    let pay = PAY_BODIES.map(|body| (SOURCES[2], body));
    let bodies = hmrc.into_iter().chain(pay);
    bodies
        .map(|(source, body)| signed_request(&source, 0, body.into()))
        .collect()
}

/// Seeds of [`request`].
pub fn structured_seeds() -> Vec<Vec<u8>> {
    let source_of = |body: &str| u8::from(PAY_BODIES.contains(&body)) * 2;
    let genuine = |body: &&str| {
        let seed = SeedWriter::default().byte(source_of(body)).byte(0).byte(0);
        seed.bytes(b"")
            .byte(0)
            .byte(0)
            .byte(0)
            .rest(body.as_bytes())
    };
    let challenge = SeedWriter::default().byte(0).byte(0).byte(180);
    let two_headers = SeedWriter::default().byte(0).byte(0).byte(0).bytes(b"");
    let two_headers = two_headers
        .byte(0)
        .byte(0)
        .byte(1)
        .bytes(b"X-Hub-Signature");
    let bodies = HMRC_BODIES.iter().chain(&PAY_BODIES);
    bodies
        .map(genuine)
        .chain([
            challenge
                .bytes(b"challenge=1ed5f407-8096")
                .byte(255)
                .rest(b""),
            two_headers.bytes(&[b'0'; 40]).rest(b"{}"),
        ])
        .collect()
}

/// Seeds of [`signed_body`].
pub(super) fn body_seeds() -> Vec<Vec<u8>> {
    let seed_of = |index: u8, body: &&str| {
        let seed = SeedWriter::default().byte(index).byte(0);
        seed.rest(body.as_bytes())
    };
    let hmrc = HMRC_BODIES.iter().map(|body| seed_of(0, body));
    hmrc.chain(PAY_BODIES.iter().map(|body| seed_of(2, body)))
        .collect()
}

/// Seeds of [`challenge`].
pub(super) fn query_seeds() -> Vec<Vec<u8>> {
    [
        "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
        "team=7&challenge=A-z0&x",
        "challenge=a&%63hallenge=b",
        "challenge=%3Cscript%3E+%ff",
    ]
    .map(|query| query.as_bytes().to_vec())
    .into()
}
