//! Payloads of senders, prepared for display.
//!
//! A payload is untrusted text with personal data, of up to 8 MB. So the part that is shown is
//! bounded, control characters are escaped, and each personal field is masked until a person
//! reveals it ([`personal`]). The stored bytes stay unchanged.

mod hex_dump;
mod masked;
mod personal;
mod pretty;
mod repeats;
mod tokens;

pub(crate) use hex_dump::{HEX_BYTES, hex_dump};
pub(crate) use masked::masked;
pub(crate) use personal::{PersonalField, fields};
pub(crate) use pretty::{JsonError, PayloadLine, PayloadPiece, PrettyPayload, json_error, pretty};
pub(crate) use repeats::repeats_personal;

use pillarbox::telemetry::visible_lines;

/// The number of bytes of a text that are shown; the download has all of them.
const TEXT_BYTES: usize = 64 * 1024;

/// The beginning of a text, escaped for display, and whether there is more.
pub(crate) fn beginning(text: &str) -> (String, bool) {
    let end = text.floor_char_boundary(TEXT_BYTES);
    (visible_lines(&text[..end]).into_owned(), end < text.len())
}
