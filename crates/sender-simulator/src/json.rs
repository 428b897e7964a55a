//! JSON as the senders' Java libraries write it, character for character.

use serde_json::Value;

/// A JSON string as Jackson writes it: `/`, `<` and everything beyond ASCII unescaped, control
/// characters by their short names or as `\u00XX` with upper-case digits.
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// A compact object, in the given order. The values are already JSON.
pub(super) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, json)| format!("{}:{json}", string(name)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Replaces every character beyond U+FFFF by a pair of escapes, such as `\uD83D\uDE00`.
pub(super) fn escape_astral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if u32::from(character) > 0xffff {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Compact JSON with the keys of every object in the order of Postgres' JSONB: by length, then by
/// bytes.
pub(super) fn jsonb(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| (key.len(), key.as_str()));
            let fields: Vec<_> = fields
                .into_iter()
                .map(|(key, value)| (key.as_str(), jsonb(value)))
                .collect();
            object(&fields)
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(jsonb).collect::<Vec<_>>().join(",")
        ),
        Value::String(text) => string(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_are_escaped_as_jackson_escapes_them() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("\n\r\t\u{8}\u{c}", r#""\n\r\t\b\f""#),
            ("\0\u{1b}\u{1f}", r#""\u0000\u001B\u001F""#),
            ("\u{7f}", "\"\u{7f}\""),
            ("a/b<c>&d", r#""a/b<c>&d""#),
            ("café €\u{2028}", "\"café €\u{2028}\""),
            ("😀", "\"😀\""),
        ] {
            assert_eq!(string(text), expected);
            let read: String = serde_json::from_str(expected).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn only_characters_beyond_the_basic_plane_are_escaped() {
        assert_eq!(
            escape_astral("é€ 😀 end 💷"),
            r"é€ \uD83D\uDE00 end \uD83D\uDCB7"
        );
        assert_eq!(
            escape_astral("\u{ffff}\u{10000}\u{10ffff}"),
            "\u{ffff}\\uD800\\uDC00\\uDBFF\\uDFFF"
        );
    }

    #[test]
    fn keys_are_ordered_by_length_then_by_bytes_at_every_level() {
        let inner = json!({"ccc": null, "B": [{"yy": 1, "z": 2}], "a": true});
        let value = json!({"bb": 1, "a": inner, "aa": "x", "Z": 2});
        assert_eq!(
            jsonb(&value),
            r#"{"Z":2,"a":{"B":[{"z":2,"yy":1}],"a":true,"ccc":null},"aa":"x","bb":1}"#
        );
    }
}
