//! What a sender posted, made fit to look at.
//!
//! A payload is hostile text with personal data, of up to 8 MB. So what is shown of it is bounded,
//! every character that steers a display is an escape, and each personal field is masked until a
//! person asks for it ([`personal`]). Nothing here changes a byte of what is stored.

mod hex_dump;
mod personal;
mod pretty;
mod tokens;

pub(crate) use hex_dump::{HEX_BYTES, hex_dump};
pub(crate) use personal::{PersonalField, fields, masked, repeats_personal};
pub(crate) use pretty::{JsonError, PayloadLine, PayloadPiece, PrettyPayload, json_error, pretty};

use pillarbox::telemetry::visible_lines;

/// The bytes of a text that are shown; the download has all of them.
const TEXT_BYTES: usize = 64 * 1024;

/// The beginning of a text, safe to show, and whether there is more.
pub(crate) fn beginning(text: &str) -> (String, bool) {
    let end = text.floor_char_boundary(TEXT_BYTES);
    (visible_lines(&text[..end]).into_owned(), end < text.len())
}
