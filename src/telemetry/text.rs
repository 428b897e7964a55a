//! Makes stored text safe to display.
//!
//! A sender's text may hold characters that reorder, hide or overwrite the text around them, on a
//! page or in a terminal. This module makes such characters visible. It does not escape HTML.

use std::{borrow::Cow, fmt::Write};

/// One line of text, with every character that steers a display written as its escape, `\u{202e}`.
///
/// A backslash stays as it is, so a sender can write what looks like an escape; it cannot hide
/// anything by that.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, steers)
}

/// The same for text of many lines: line feeds and tabs stay.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| steers(c) && !matches!(c, '\n' | '\t'))
}

fn escape(text: &str, unsafe_to_show: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unsafe_to_show) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unsafe_to_show(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a display obeys the character instead of showing it. The joiners U+200C and U+200D are
/// not among them: words and emoji need them.
fn steers(c: char) -> bool {
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
    fn what_steers_a_display_is_shown_as_its_escape() {
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
    fn many_lines_stay_lines() {
        assert_eq!(
            visible_lines("{\r\n\t\"a\": \u{202e}1\n}"),
            "{\\u{d}\n\t\"a\": \\u{202e}1\n}"
        );
    }
}
