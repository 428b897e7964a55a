//! The forms that a body may have had when it was signed, before it was altered.

use std::{borrow::Cow, iter};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{FailureCause, rewritten};
use pillarbox::senders::SenderKind;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Undoes one alteration of a body; `None` if the body does not have it.
type UndoAlteration = fn(&[u8]) -> Option<Vec<u8>>;

/// The alterations of bodies in transit, and how each is undone.
const UNDOINGS: [(UndoAlteration, FailureCause); 14] = [
    (without_newline, FailureCause::BodyNewlineAdded),
    (
        |body| Some([body, b"\n"].concat()),
        FailureCause::BodyNewlineRemoved,
    ),
    (
        |body| Some([body, b"\r\n"].concat()),
        FailureCause::BodyNewlineRemoved,
    ),
    (with_lf, FailureCause::BodyCrlfAdded),
    (with_crlf, FailureCause::BodyCrlfRemoved),
    (
        |body| body.strip_prefix(BOM).map(<[u8]>::to_vec),
        FailureCause::BodyBomAdded,
    ),
    (
        |body| Some([BOM, body].concat()),
        FailureCause::BodyBomRemoved,
    ),
    (latin1_to_utf8, FailureCause::BodyToLatin1),
    (utf8_to_latin1, FailureCause::BodyFromLatin1),
    (utf16_to_utf8, FailureCause::BodyToUtf16),
    (
        |body| BASE64_STANDARD.decode(body.trim_ascii()).ok(),
        FailureCause::BodyStillBase64,
    ),
    (
        |body| Some(BASE64_STANDARD.encode(body).into_bytes()),
        FailureCause::BodyDecodedTwice,
    ),
    (
        |body| serde_json::from_slice(body).ok().map(String::into_bytes),
        FailureCause::BodyStillQuoted,
    ),
    (
        |body| {
            serde_json::from_slice(&[b"\"", body, b"\""].concat())
                .ok()
                .map(String::into_bytes)
        },
        FailureCause::BodyStillQuoted,
    ),
];

/// Every form of `body` to try, with its cause; the unchanged body first.
pub(super) fn forms(
    kind: SenderKind,
    body: &[u8],
) -> impl Iterator<Item = (Cow<'_, [u8]>, Option<FailureCause>)> {
    let undone = UNDOINGS
        .into_iter()
        .filter_map(move |(undo, cause)| Some((Cow::Owned(undo(body)?), Some(cause))));
    let written = rewritten::forms(kind, body).map(|(form, signed)| {
        (
            Cow::Owned(form.into_bytes()),
            Some(FailureCause::BodyRewritten { signed }),
        )
    });
    iter::once((Cow::Borrowed(body), None))
        .chain(undone)
        .chain(written)
}

/// The likely cause in a body of which no form matches.
pub(super) fn suspected_cause(body: &[u8]) -> Option<FailureCause> {
    match std::str::from_utf8(body) {
        Ok("") => Some(FailureCause::BodyEmpty),
        Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => None,
        _ => Some(FailureCause::BodyNotText),
    }
}

fn without_newline(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.strip_suffix(b"\n")?;
    Some(body.strip_suffix(b"\r").unwrap_or(body).to_vec())
}

fn with_lf(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    text.contains("\r\n")
        .then(|| text.replace("\r\n", "\n").into_bytes())
}

fn with_crlf(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    (text.contains('\n') && !text.contains('\r')).then(|| text.replace('\n', "\r\n").into_bytes())
}

/// Decodes Latin-1: every byte is the code point of a character.
fn latin1_to_utf8(body: &[u8]) -> Option<Vec<u8>> {
    (!body.is_ascii()).then(|| {
        body.iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into_bytes()
    })
}

/// Encodes as Latin-1, if every character has a code point of one byte.
fn utf8_to_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    if text.is_ascii() {
        return None;
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}

/// Reads text that begins with a UTF-16 byte order mark.
fn utf16_to_utf8(body: &[u8]) -> Option<Vec<u8>> {
    let unit: fn([u8; 2]) -> u16 = match body {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units: Vec<u16> = body[2..]
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    let text = String::from_utf16(&units).ok()?;
    // Shells that write UTF-16 also add a newline.
    Some(text.trim_end_matches(['\r', '\n']).to_owned().into_bytes())
}
