//! Masks the personal values of a payload, for a fixture.

use std::ops::Range;

use super::{
    personal::fields,
    tokens::{JsonToken, JsonTokens},
};

/// The text with every personal field masked: letters become `x` and digits `0`, so that the shape
/// stays. Everything else is unchanged.
pub(crate) fn masked(text: &str, has_message: bool) -> String {
    let fields = fields(text, has_message).into_iter();
    mask_values(text, fields.map(|field| (field.range, field.is_message)))
}

/// `text` with these values masked, some of which are messages.
fn mask_values(text: &str, values: impl Iterator<Item = (Range<usize>, bool)>) -> String {
    let mut masked_text = String::with_capacity(text.len());
    let mut position = 0;
    for (range, is_message) in values {
        masked_text.push_str(&text[position..range.start]);
        masked_text.push_str(&masked_value(&text[range.clone()], is_message));
        position = range.end;
    }
    masked_text + &text[position..]
}

fn masked_value(value: &str, is_message: bool) -> String {
    let Ok(inner) = serde_json::from_str::<String>(value) else {
        return "0".to_owned(); // a number
    };
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&inner).is_ok();
    let masked_inner = match is_message && is_json() {
        true => all_masked(&inner),
        false => inner.chars().map(masked_character).collect(),
    };
    serde_json::Value::from(masked_inner).to_string()
}

/// A message of HMRC's producers with every value masked, since any may be personal.
fn all_masked(text: &str) -> String {
    let is_masked = |token: &JsonToken| {
        let is_name = text[token.range.end..].trim_start().starts_with(':');
        let is_literal = matches!(&text[token.range.clone()], "null" | "true" | "false");
        token.kind.is_value() && !is_name && !is_literal
    };
    let tokens = JsonTokens::of(text).filter(is_masked);
    mask_values(text, tokens.map(|token| (token.range, false)))
}

fn masked_character(character: char) -> char {
    match character {
        _ if character.is_numeric() => '0',
        _ if character.is_alphabetic() || !character.is_ascii() => 'x',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAY: &str = include_str!("../../../../events/bodies/pay-captured.json");
    const HMRC: &str = include_str!("../../../../events/bodies/hmrc-json.json");

    #[test]
    fn a_fixture_keeps_its_shape_and_no_personal_value() {
        let fixture = masked(PAY, false);
        for hidden in [
            "tester",
            "C-1029",
            "LS1 1AA",
            "Leeds",
            "4242",
            "PILLARBOX-TEST",
            "café",
        ] {
            assert!(
                PAY.to_lowercase().contains(&hidden.to_lowercase()),
                "{hidden}"
            );
            assert!(
                !fixture.to_lowercase().contains(&hidden.to_lowercase()),
                "{hidden}"
            );
        }
        for kept in [
            r#""email":"x.xxxxxx@xxxxxxx.xxx""#,
            r#""postcode":"xx0 0xx""#,
            r#""team":0"#,
        ] {
            assert!(fixture.contains(kept), "{kept} in {fixture}");
        }
        let parsed: serde_json::Value = serde_json::from_str(&fixture).unwrap();
        assert_eq!(parsed["resource_id"], "m71la6mqdgiqoa3l9ib56n8taq");

        let fixture = masked(HMRC, true);
        let parsed: serde_json::Value = serde_json::from_str(&fixture).unwrap();
        let message = parsed["message"].as_str().unwrap();
        assert!(
            message.contains(r#""key":"xxxxx""#) && !message.contains("TEST"),
            "{message}"
        );
        let xml = r#"{"message":"<name>Jo 7</name>"}"#;
        assert_eq!(masked(xml, true), r#"{"message":"<xxxx>xx 0</xxxx>"}"#);
    }
}
