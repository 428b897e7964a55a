//! Reads the bytes of a signature from a header value, and finds the errors in its form.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    FailureCause,
    secrets::{INVISIBLE, QUOTES},
};
use pillarbox::senders::SenderKind;

/// Longer than any prefix, shorter than any signature.
const LONGEST_PREFIX: usize = 32;

/// The signature in a header.
pub(super) struct HeaderSignature {
    /// The sender whose signatures have this length.
    pub(super) made_as: SenderKind,
    /// What is signed before the body.
    pub(super) preamble: String,
    /// The signature in bytes.
    pub(super) bytes: Vec<u8>,
}

/// Finds the signature in `header` and the errors for which the receiver refuses the header, or the
/// reasons why it has no signature.
pub(super) fn read(
    kind: SenderKind,
    header: &[u8],
) -> Result<(HeaderSignature, Vec<FailureCause>), Vec<FailureCause>> {
    let text = String::from_utf8_lossy(header);
    let trimmed = text.trim_matches(is_padding);
    if trimmed.is_empty() {
        return Err(vec![FailureCause::HeaderEmpty]);
    }
    let mut causes = Vec::new();
    let value = (kind.signature.parse)(trimmed);
    let is_malformed = value.is_none();
    causes.extend(is_malformed.then_some(FailureCause::HeaderMalformed));
    // A sender that writes digits alone has no parts, and then a prefix is a mistake.
    let parts = value.filter(|value| value.digits != trimmed);
    let rest = match &parts {
        Some(parts) => parts.digits,
        None => without_prefix(trimmed),
    };
    let digits: String = rest.chars().filter(|c| !is_padding(*c)).collect();
    causes.extend((trimmed != text || digits != rest).then_some(FailureCause::HeaderPadded));
    let is_prefixed = !is_malformed && parts.is_none() && rest != trimmed;
    causes.extend(is_prefixed.then_some(FailureCause::HeaderPrefixed));
    if rest.contains(',') {
        causes.push(FailureCause::HeaderSeveral);
        return Err(causes);
    }
    let Some((made_as, bytes)) = decode(kind, &digits, &mut causes) else {
        causes.push(form_error(kind, &digits));
        return Err(causes);
    };
    causes.extend((made_as != kind).then_some(FailureCause::OtherSender { sender: made_as }));
    let signature = HeaderSignature {
        made_as,
        preamble: parts.map_or_else(String::new, |parts| parts.preamble),
        bytes,
    };
    Ok((signature, causes))
}

fn is_padding(c: char) -> bool {
    c.is_whitespace() || QUOTES.contains(&c) || INVISIBLE.contains(&c)
}

/// `text` after its last separator, if the text before it is too short for a signature.
fn without_prefix(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix("0x") {
        return rest;
    }
    match text.rfind(['=', ',', ':']) {
        // The equals sign that ends Base64 does not end a prefix.
        Some(at) if at + 1 < text.len() && at < LONGEST_PREFIX => text[at + 1..].trim_start(),
        _ => text,
    }
}

fn decode(
    kind: SenderKind,
    digits: &str,
    causes: &mut Vec<FailureCause>,
) -> Option<(SenderKind, Vec<u8>)> {
    if let Ok(bytes) = hex::decode(digits) {
        let made_as = sender_of(kind, &bytes)?;
        causes.extend(
            digits
                .contains(|c: char| c.is_ascii_uppercase())
                .then_some(FailureCause::HeaderUpperCase),
        );
        return Some((made_as, bytes));
    }
    let bytes = BASE64_STANDARD.decode(digits).ok()?;
    let made_as = sender_of(kind, &bytes)?;
    causes.push(FailureCause::HeaderBase64);
    Some((made_as, bytes))
}

/// The sender whose signatures are as long as this one: `kind`, if its signatures are.
fn sender_of(kind: SenderKind, signature: &[u8]) -> Option<SenderKind> {
    let others = SenderKind::ALL.iter().copied();
    std::iter::once(kind)
        .chain(others)
        .find(|kind| kind.signature.algorithm.digits() == 2 * signature.len())
}

fn form_error(kind: SenderKind, digits: &str) -> FailureCause {
    if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        FailureCause::HeaderLength {
            found: digits.len(),
            expected: kind.signature.algorithm.digits(),
        }
    } else {
        FailureCause::HeaderNotHex
    }
}
