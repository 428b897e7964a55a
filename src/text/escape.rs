//! Makes stored text safe to display.
//!
//! A sender's text may hold characters that reorder, hide or overwrite the text around them, on a
//! page or in a terminal. This module makes such characters visible. It does not escape HTML.

use std::{borrow::Cow, fmt::Write};

/// One line of text, with every character that controls a display written as its escape, such as
/// `\u{202e}`.
///
/// A backslash is not escaped, so a sender can write text that looks like an escape. That hides
/// nothing.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, controls_display)
}

/// As [`visible`], for text of several lines: line feeds and tabs stay.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| controls_display(c) && !matches!(c, '\n' | '\t'))
}

/// As [`visible_lines`], for text with terminal styles: escape sequences stay too.
pub fn visible_styled(text: &str) -> Cow<'_, str> {
    escape(text, |c| {
        controls_display(c) && !matches!(c, '\n' | '\t' | '\u{1b}')
    })
}

/// As [`visible`], for a JSON document: such a character can only be part of a string, and becomes
/// its JSON escape, so the document keeps its value.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Below U+0020 JSON allows only whitespace between values.
    let is_unsafe = |c: char| c >= ' ' && controls_display(c);
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Appends `text` as a JSON string, with such characters escaped.
pub(crate) fn push_json(out: &mut String, text: &str) {
    // Most text is plain ASCII, and testing bytes is far quicker than testing characters.
    let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.extend(["\"", text, "\""]);
    } else {
        let json = serde_json::Value::from(text).to_string();
        out.push_str(&visible_json(&json));
    }
}

fn escape(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a display obeys the character instead of showing it. The joiners U+200C and U+200D are
/// allowed: words and emoji need them.
fn controls_display(c: char) -> bool {
    let format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}');
    c.is_control() || format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_control_a_display_are_shown_as_escapes() {
        for (text, shown) in [
            ("", ""),
            ("Payment 5 £ – café 💷", "Payment 5 £ – café 💷"),
            ("\u{1f469}\u{200d}\u{1f4bb}", "\u{1f469}\u{200d}\u{1f4bb}"),
            ("a\u{202e}b", r"a\u{202e}b"),
            ("\u{2066}x\u{2069}", r"\u{2066}x\u{2069}"),
            ("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}"),
            ("\u{1b}[31mred", r"\u{1b}[31mred"),
            ("\0\u{7f}\u{9b}", r"\u{0}\u{7f}\u{9b}"),
            ("\u{feff}{}", r"\u{feff}{}"),
            ("a\r\n\tb", r"a\u{d}\u{a}\u{9}b"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            (r"C:\u{202e}", r"C:\u{202e}"),
            ("<script>", "<script>"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }

    #[test]
    fn json_keeps_its_value_and_escapes_characters_that_control_a_display() {
        for (text, json) in [
            ("Payment 5 £ – café 💷", "\"Payment 5 £ – café 💷\""),
            ("a\u{202e}b", r#""a\u202eb""#),
            ("\u{2028}\u{2029}\u{feff}", r#""\u2028\u2029\ufeff""#),
            ("\u{7f}\u{85}\u{9b}", r#""\u007f\u0085\u009b""#),
            ("\u{1b}[31m\n", r#""\u001b[31m\n""#),
            ("tag\u{e0041}", r#""tag\udb40\udc41""#),
            (r"\u202e", r#""\\u202e""#),
        ] {
            let document = serde_json::to_string(text).unwrap();
            assert_eq!(visible_json(&document), json);
            let mut pushed = String::from(",");
            push_json(&mut pushed, text);
            assert_eq!(pushed, format!(",{json}"));
            assert_eq!(serde_json::from_str::<String>(json).unwrap(), text);
        }
        let document = "{\n\t\"a\": \"\u{202e}\"\r\n}";
        assert_eq!(visible_json(document), "{\n\t\"a\": \"\\u202e\"\r\n}");
    }

    #[test]
    fn line_breaks_and_terminal_styles_stay_where_they_are_allowed() {
        assert_eq!(
            visible_lines("{\r\n\t\"a\": \u{202e}1\n}"),
            "{\\u{d}\n\t\"a\": \\u{202e}1\n}"
        );
        assert_eq!(
            visible_styled("\u{1b}[1mkey\u{1b}[0m\n\u{9b}31m\u{202e}"),
            "\u{1b}[1mkey\u{1b}[0m\n\\u{9b}31m\\u{202e}"
        );
    }
}
