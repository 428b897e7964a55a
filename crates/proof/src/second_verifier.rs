//! A second implementation of a receiver's decision about a request, written from the senders'
//! documents, RFC 2104 and this product's table of statuses.
//!
//! It shares neither code nor algorithms with the receiver: a signature header is genuine if it
//! equals the text that the sender would have written. It is slow and not constant-time.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The longest body.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// The block of SHA-1 and of SHA-256.
const BLOCK_BYTES: usize = 64;

/// How a sender signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningSender {
    /// HMAC-SHA1 in `X-Hub-Signature`; sends challenges.
    Hmrc,
    /// HMAC-SHA256 in `Pay-Signature`.
    GovukPay,
}

/// A source as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct InstalledSource {
    /// Its path without the slash.
    pub name: &'static str,
    /// Its sender.
    pub sender: SigningSender,
    /// Its active secrets.
    pub secrets: &'static [&'static str],
}

/// A request before any parsing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRequest {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query without the question mark.
    pub query: String,
    /// The headers in order; a name may occur twice.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: bytes::Bytes,
}

/// The answer that a receiver must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// Return the challenge.
    Challenge(String),
    /// Answer a monitor.
    Monitor,
    /// Store the body, which is signed with a secret of this source.
    Proven(&'static str),
    /// Refuse the request with this status, and store nothing.
    Refused(u16),
}

impl SigningSender {
    /// The header that carries the signature.
    pub fn header(self) -> &'static str {
        match self {
            Self::Hmrc => "X-Hub-Signature",
            Self::GovukPay => "Pay-Signature",
        }
    }

    /// The value of the signature header for exactly these bytes.
    pub fn sign(self, secret: &[u8], body: &[u8]) -> String {
        match self {
            Self::Hmrc => lower_hex(&hmac_of::<Sha1>(secret, body)),
            Self::GovukPay => lower_hex(&hmac_of::<Sha256>(secret, body)),
        }
    }
}

/// Decides about a request.
pub fn judge(sources: &[InstalledSource], request: &PlainRequest) -> ExpectedAnswer {
    let is_get = request.method == "GET";
    if request.path == "/-/healthz" || request.path == "/-/readyz" {
        return match is_get {
            true => ExpectedAnswer::Monitor,
            false => ExpectedAnswer::Refused(405),
        };
    }
    let named = |source: &&InstalledSource| request.path == format!("/{}", source.name);
    let Some(source) = sources.iter().find(named) else {
        return ExpectedAnswer::Refused(404);
    };
    if is_get {
        let challenge = challenge(&request.query);
        let challenge = challenge.filter(|_| source.sender == SigningSender::Hmrc);
        return challenge.map_or(ExpectedAnswer::Refused(400), ExpectedAnswer::Challenge);
    }
    if request.method != "POST" {
        return ExpectedAnswer::Refused(405);
    }
    if request.body.len() > MAX_BODY_BYTES {
        return ExpectedAnswer::Refused(413);
    }
    if source.secrets.is_empty() {
        return ExpectedAnswer::Refused(503);
    }
    match is_genuine(source, request) {
        true => ExpectedAnswer::Proven(source.name),
        false => ExpectedAnswer::Refused(401),
    }
}

/// Whether there is exactly one signature header, and it is valid for one of the secrets.
fn is_genuine(source: &InstalledSource, request: &PlainRequest) -> bool {
    let mut signatures = Vec::new();
    for (name, value) in &request.headers {
        if name.to_lowercase() == source.sender.header().to_lowercase() {
            signatures.push(value);
        }
    }
    signatures.len() == 1 && is_signed(source, &request.body, signatures[0])
}

/// Whether this header is a signature of the body with one of the source's secrets.
pub fn is_signed(source: &InstalledSource, body: &[u8], header: &[u8]) -> bool {
    let mut forms = vec![body.to_vec()];
    if source.sender == SigningSender::Hmrc {
        forms.push(with_raw_astral_characters(body));
    }
    forms.iter().any(|form| {
        let signed = |secret: &&str| source.sender.sign(secret.as_bytes(), form);
        let mut secrets = source.secrets.iter();
        secrets.any(|secret| signed(secret).as_bytes() == header)
    })
}

/// HMAC as RFC 2104 defines it.
fn hmac_of<D: Digest>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = match key.len() > BLOCK_BYTES {
        true => D::digest(key).to_vec(),
        false => key.to_vec(),
    };
    block.resize(BLOCK_BYTES, 0);
    let mut inner = D::new();
    inner.update(block.iter().map(|byte| byte ^ 0x36).collect::<Vec<u8>>());
    inner.update(text);
    let mut outer = D::new();
    outer.update(block.iter().map(|byte| byte ^ 0x5c).collect::<Vec<u8>>());
    outer.update(inner.finalize());
    outer.finalize().to_vec()
}

fn lower_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

/// The text that HMRC signed: it contains a character in place of each pair of surrogate escapes.
fn with_raw_astral_characters(body: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, ..] = rest {
        let high = escaped_unit(rest).filter(|unit| (0xd800..0xdc00).contains(unit));
        let low = rest.get(6..).and_then(escaped_unit);
        let low = low.filter(|unit| (0xdc00..0xe000).contains(unit));
        if let (Some(high), Some(low)) = (high, low) {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            let character = char::from_u32(code).expect("a pair is a character");
            written.extend_from_slice(character.to_string().as_bytes());
            rest = &rest[12..];
            continue;
        }
        // A backslash escapes the next byte.
        let taken = if *first == b'\\' { 2 } else { 1 }.min(rest.len());
        written.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    written
}

/// The UTF-16 unit of `\uXXXX` at the start of `text`.
fn escaped_unit(text: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text else {
        return None;
    };
    let mut unit = 0;
    for digit in digits.get(..4)? {
        unit = unit * 16 + char::from(*digit).to_digit(16)?;
    }
    Some(unit)
}

/// The only challenge in a query, if an answer may contain it.
fn challenge(query: &str) -> Option<String> {
    let mut found = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(name) == b"challenge" {
            found.push(decoded(value));
        }
    }
    let [value] = found.as_slice() else {
        return None;
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let is_challenge = (1..=128).contains(&value.len()) && value.iter().all(is_plain);
    is_challenge.then(|| String::from_utf8_lossy(value).into_owned())
}

/// Decodes a name or value of a query as form data.
fn decoded(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::new();
    while let [first, after @ ..] = rest {
        let value = |byte: &u8| char::from(*byte).to_digit(16);
        let pair = after
            .first()
            .and_then(value)
            .zip(after.get(1).and_then(value));
        match (first, pair) {
            (b'%', Some((high, low))) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two digits are one byte"));
                rest = &rest[3..];
            }
            (b'+', _) => {
                decoded.push(b' ');
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_published_vectors_are_judged_as_marked() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../../tests/fixtures/vectors.json")).unwrap();
        assert_eq!(vectors.len(), 11);
        for vector in vectors {
            let text = |name: &str| -> &'static str {
                String::leak(vector[name].as_str().unwrap().to_owned())
            };
            let sender = match text("scheme") {
                "hmrc-sha1" => SigningSender::Hmrc,
                _ => SigningSender::GovukPay,
            };
            let secrets: &'static [&'static str] = Vec::leak(vec![text("secret")]);
            let source = InstalledSource {
                name: "source",
                sender,
                secrets,
            };
            let request = PlainRequest {
                method: "POST".to_owned(),
                path: "/source".to_owned(),
                headers: vec![(sender.header().to_owned(), text("signature").into())],
                body: STANDARD.decode(text("body_base64")).unwrap().into(),
                ..PlainRequest::default()
            };
            let expected = match vector["valid"].as_bool().unwrap() {
                true => ExpectedAnswer::Proven("source"),
                false => ExpectedAnswer::Refused(401),
            };
            assert_eq!(judge(&[source], &request), expected, "{}", text("name"));
        }
    }

    /// Vectors of RFC 2202 and RFC 4231, one with a key longer than a block.
    #[test]
    fn hmac_matches_the_vectors_of_the_rfcs() {
        let text = b"what do ya want for nothing?";
        for (digest, known) in [
            (
                SigningSender::Hmrc.sign(b"Jefe", text),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                SigningSender::GovukPay.sign(b"Jefe", text),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                SigningSender::GovukPay.sign(
                    &[0xaa; 131],
                    b"Test Using Larger Than Block-Size Key - Hash Key First",
                ),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(digest, known);
        }
    }
}
