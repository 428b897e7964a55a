//! How HMRC signs: HMAC-SHA1 over the text of the message, which is not always the bytes it sends.

use crate::senders::{MacAlgorithm, SignatureScheme, protocol::bare_digits};

pub(super) const SCHEME: SignatureScheme = SignatureScheme {
    header: "x-hub-signature",
    algorithm: MacAlgorithm::HmacSha1,
    parse: bare_digits,
    canonical,
};

/// The bytes HMRC signed, where they differ from those it sent.
///
/// HMRC signs a string, then parses it and writes it again as the body. The two writers differ in
/// one thing: a character beyond U+FFFF is signed raw and sent as a pair of `\uXXXX` escapes. This
/// restores every *unescaped* pair. `None` means that there is no pair.
fn canonical(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = body[at..].iter().position(|&byte| byte == b'\\') {
        at += found;
        if let Some(character) = surrogate_pair(&body[at..]) {
            out.extend_from_slice(&body[copied..at]);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += 12;
            copied = at;
        } else {
            // An escape of two bytes: the second of `\\` must not be read as the start of another.
            at = (at + 2).min(body.len());
        }
    }
    (copied > 0).then(|| {
        out.extend_from_slice(&body[copied..]);
        out
    })
}

/// The character written at the start of `bytes` as `\uD83D\uDE00`, if one is.
fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let high = unicode_escape(bytes)?;
    let low = unicode_escape(bytes.get(6..)?)?;
    char::decode_utf16([high, low])
        .next()?
        .ok()
        .filter(|c| u32::from(*c) > 0xffff)
}

/// The code unit written at the start of `bytes` as `\uXXXX`.
fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0u16, |unit, byte| {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((unit << 4) | u16::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unescaped_pairs_are_restored() {
        for (sent, signed) in [
            (r#"{"a":"\uD83D\uDE00"}"#, Some("{\"a\":\"😀\"}")),
            (
                r#"{"a":"x\uD83D\uDE00y\uD83D\uDCB7"}"#,
                Some("{\"a\":\"x😀y💷\"}"),
            ),
            (r#"{"a":"\ud83d\ude00"}"#, Some("{\"a\":\"😀\"}")),
            (r#"{"a":"\\\uD83D\uDE00"}"#, Some(r#"{"a":"\\😀"}"#)),
            (r#"{"a":"\\uD83D\\uDE00"}"#, None),
            (r#"{"a":"\\ud83d\\ude00"}"#, None),
            (r#"{"a":"\uD83D alone"}"#, None),
            (r#"{"a":"\uDE00\uD83D"}"#, None),
            (r#"{"a":"\uFFFF\uFFFF"}"#, None),
            (r#"{"a":"\uD83D\\uDE00"}"#, None),
            (r#"{"a":"é\u20AC"}"#, None),
            (r#"{"a":"\uD83D\uDE0"#, None),
            (r"\", None),
            ("", None),
        ] {
            let form = canonical(sent.as_bytes());
            assert_eq!(form.as_deref(), signed.map(str::as_bytes), "{sent}");
        }
    }
}
