//! A JSON text in lines, with its personal fields masked.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::{
    personal::PersonalField,
    tokens::{JsonTokens, TokenKind},
};
use pillarbox::telemetry::visible;

/// The largest number of lines that are shown.
const MAX_LINES: usize = 2_000;
/// The largest number of characters shown of one value.
const MAX_VALUE_CHARS: usize = 2_000;
/// The number of characters after which the output is cut.
const MAX_CHARS: usize = 128 * 1024;
/// The largest indentation, in levels.
const MAX_INDENT: usize = 40;

/// A JSON text in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PrettyPayload {
    pub(crate) lines: Vec<PayloadLine>,
    /// Whether the end is cut off.
    pub(crate) is_cut: bool,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PayloadLine {
    pub(crate) indent: String,
    pub(crate) pieces: Vec<PayloadPiece>,
}

/// A part of a line, escaped for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PayloadPiece {
    /// Text.
    Plain(String),
    /// A personal field that is masked: its number, its path and its length.
    Masked {
        number: usize,
        path: String,
        chars: usize,
    },
    /// A personal field that a person revealed.
    Shown(String),
}

/// The first syntax error of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The error, without any part of the text.
    pub(crate) what: String,
}

/// The first error of a text that is not JSON.
pub(crate) fn json_error(text: &str) -> Option<JsonError> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Some(JsonError {
        line: error.line(),
        column: error.column(),
        what: what.to_owned(),
    })
}

/// Formats the text in lines, up to its first error. The `personal` fields are masked, except those
/// whose numbers are in `shown`.
pub(crate) fn pretty(
    text: &str,
    personal: &[PersonalField],
    shown: &HashSet<usize>,
) -> PrettyPayload {
    let mut writer = PrettyWriter::default();
    let mut personal = personal.iter().enumerate().peekable();
    let mut tokens = JsonTokens::of(text).peekable();
    while let Some(token) = tokens.next() {
        if writer.is_full() {
            break;
        }
        let token_text = &text[token.range.clone()];
        match token.kind {
            TokenKind::Open => {
                writer.push(token_text);
                match tokens.next_if(|next| next.kind == TokenKind::Close) {
                    Some(close) => writer.push(&text[close.range]),
                    None => writer.indent(),
                }
            }
            TokenKind::Close => {
                writer.outdent();
                writer.push(token_text);
            }
            TokenKind::Comma => {
                writer.push(",");
                writer.begin_line();
            }
            TokenKind::Colon => writer.push(": "),
            TokenKind::Text | TokenKind::Scalar => {
                match personal.next_if(|(_, field)| field.range == token.range) {
                    Some((number, field)) => {
                        writer.push_personal(number, field, token_text, shown);
                    }
                    None => writer.push(&shortened(token_text)),
                }
            }
        }
    }
    writer.finish()
}

#[derive(Default)]
struct PrettyWriter {
    payload: PrettyPayload,
    line: PayloadLine,
    depth: usize,
    chars: usize,
}

impl PrettyWriter {
    fn is_full(&self) -> bool {
        self.payload.is_cut
    }

    fn push(&mut self, text: &str) {
        self.chars += text.len();
        if let Some(PayloadPiece::Plain(last)) = self.line.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.line.pieces.push(PayloadPiece::Plain(text.to_owned()));
        }
    }

    fn push_personal(
        &mut self,
        number: usize,
        field: &PersonalField,
        text: &str,
        shown: &HashSet<usize>,
    ) {
        self.chars += field.path.len();
        let piece = match (shown.contains(&number), field.is_message) {
            (true, true) => PayloadPiece::Plain("(below)".to_owned()),
            (true, false) => {
                self.chars += text.len().min(MAX_VALUE_CHARS);
                PayloadPiece::Shown(shortened(text))
            }
            (false, _) => PayloadPiece::Masked {
                number,
                path: field.path.clone(),
                chars: text.trim_matches('"').chars().count(),
            },
        };
        self.line.pieces.push(piece);
    }

    fn indent(&mut self) {
        self.depth += 1;
        self.begin_line();
    }

    fn outdent(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.begin_line();
    }

    fn begin_line(&mut self) {
        let next = PayloadLine {
            indent: "  ".repeat(self.depth.min(MAX_INDENT)),
            pieces: Vec::new(),
        };
        let line = std::mem::replace(&mut self.line, next);
        if !line.pieces.is_empty() {
            self.payload.lines.push(line);
        }
        self.payload.is_cut = self.payload.lines.len() >= MAX_LINES || self.chars >= MAX_CHARS;
    }

    fn finish(mut self) -> PrettyPayload {
        if !self.payload.is_cut && !self.line.pieces.is_empty() {
            self.payload.lines.push(self.line);
        }
        self.payload
    }
}

/// The beginning of a token, escaped for display.
fn shortened(token: &str) -> String {
    match token.char_indices().nth(MAX_VALUE_CHARS) {
        None => visible(token).into_owned(),
        Some((end, _)) => {
            let more = token[end..].chars().count();
            format!("{}… and {more} more characters", visible(&token[..end]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fields, *};

    /// The lines of a payload without a message.
    fn lines(text: &str, shown: &[usize]) -> Vec<String> {
        lines_with(text, &fields(text, false), shown)
    }

    /// The lines as text; a masked field is its number in brackets.
    fn lines_with(text: &str, fields: &[PersonalField], shown: &[usize]) -> Vec<String> {
        let shown = shown.iter().copied().collect();
        let payload = pretty(text, fields, &shown);
        let piece = |piece: &PayloadPiece| match piece {
            PayloadPiece::Plain(text) | PayloadPiece::Shown(text) => text.clone(),
            PayloadPiece::Masked { number, chars, .. } => format!("[{number}: {chars}]"),
        };
        let line = |line: &PayloadLine| {
            let pieces: String = line.pieces.iter().map(piece).collect();
            format!("{}{pieces}", line.indent)
        };
        payload.lines.iter().map(line).collect()
    }

    #[test]
    fn a_text_is_shown_in_lines_with_its_personal_fields_masked() {
        let text = r#"{"a":[1.10,{}, []],"name":"J\"o","email":"x","n":1e400,"b\u202e":true}"#;
        let masked = [
            "{",
            "  \"a\": [",
            "    1.10,",
            "    {},",
            "    []",
            "  ],",
            "  \"name\": [0: 4],",
            "  \"email\": [1: 1],",
            "  \"n\": 1e400,",
            "  \"b\\u202e\": true",
            "}",
        ];
        assert_eq!(lines(text, &[]), masked);
        let one = lines(text, &[1]);
        assert_eq!(
            (one[6].as_str(), one[7].as_str()),
            (masked[6], "  \"email\": \"x\",")
        );
        let with_message = r#"{"message":"{}"}"#;
        assert_eq!(
            lines_with(with_message, &fields(with_message, true), &[0])[1],
            "  \"message\": (below)"
        );
    }

    #[test]
    fn control_characters_are_escaped() {
        let shown = lines("{\"a\u{202e}\":\"\u{1b}[2J\",\"name\":\"\u{200f}\"}", &[0]).join("\n");
        assert!(
            shown.contains(r"a\u{202e}") && shown.contains(r"\u{1b}[2J"),
            "{shown}"
        );
        assert!(shown.contains(r"\u{200f}"), "{shown}");
    }

    #[test]
    fn a_damaged_text_is_shown_up_to_its_first_error_and_the_error_has_a_position() {
        for (text, shown, line, column) in [
            ("{\"a\":1,}", "{ \"a\": 1, }", 1, 8),
            ("{\n\"a\":\u{1}}", "{ \"a\": ", 2, 5),
            ("{\"a\":\"x", "{ \"a\": ", 1, 7),
            ("no JSON", "[0: 2][1: 4]", 1, 2),
            ("", "", 1, 0),
        ] {
            let lines = lines(text, &[]);
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_start()).collect();
            let joined = lines.join(" ");
            assert_eq!(joined, shown, "{text}");
            let error = json_error(text).unwrap();
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text}: {error:?}"
            );
            assert!(!error.what.contains(" line "), "{error:?}");
        }
        assert_eq!(json_error("{\"a\":1e400}"), None);
    }

    #[test]
    fn the_lines_of_a_long_text_are_bounded() {
        let many = format!("[{}0]", "0,".repeat(1_000_000));
        let long = format!(
            "{{\"a\":\"{}\",\"name\":\"{}\"}}",
            "x".repeat(2_000_000),
            "y".repeat(9)
        );
        let deep = "[".repeat(100_000);
        for text in [many, long, deep] {
            let shown = lines(&text, &[0]);
            let chars: usize = shown.iter().map(String::len).sum();
            assert!(shown.len() <= MAX_LINES && chars < 2 * MAX_CHARS, "{chars}");
        }
    }
}
