//! The tokens of a JSON text, up to its first error.
//!
//! The tokens before the error are shown. This accepts more than JSON: `json_error` decides whether
//! a text is valid.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    Comma,
    Colon,
    /// A string with its quotation marks.
    Text,
    /// A number, or a name such as `true`.
    Scalar,
}

impl TokenKind {
    /// Whether it is a string, a number or a literal.
    pub(super) fn is_value(self) -> bool {
        matches!(self, Self::Text | Self::Scalar)
    }
}

/// A token and its position in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonToken {
    pub(super) kind: TokenKind,
    pub(super) range: Range<usize>,
}

/// An iterator over the tokens of a text, up to the first character that begins none.
pub(super) struct JsonTokens<'a> {
    text: &'a str,
    /// The position after the last token.
    pub(super) position: usize,
}

impl<'a> JsonTokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, position: 0 }
    }
}

impl Iterator for JsonTokens<'_> {
    type Item = JsonToken;

    fn next(&mut self) -> Option<JsonToken> {
        let bytes = self.text.as_bytes();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.position += bytes[self.position..]
            .iter()
            .take_while(|byte| is_space(byte))
            .count();
        let start = self.position;
        let (kind, length) = match bytes.get(start)? {
            b'{' | b'[' => (TokenKind::Open, 1),
            b'}' | b']' => (TokenKind::Close, 1),
            b',' => (TokenKind::Comma, 1),
            b':' => (TokenKind::Colon, 1),
            b'"' => (TokenKind::Text, string_length(&bytes[start..])?),
            _ => (TokenKind::Scalar, scalar_length(&bytes[start..])?),
        };
        self.position += length;
        let range = start..self.position;
        Some(JsonToken { kind, range })
    }
}

/// The length of a string with both quotation marks; `None` if it has no end.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut position = 1;
    loop {
        match bytes.get(position)? {
            b'"' => return Some(position + 1),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
}

fn scalar_length(bytes: &[u8]) -> Option<usize> {
    let is_scalar = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = bytes.iter().take_while(is_scalar).count();
    (length > 0).then_some(length)
}
