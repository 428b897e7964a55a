//! Decides whether the answer of a destination repeats personal data of a payload.

use super::{personal::fields, tokens::JsonTokens};

/// A match of this many characters is not a coincidence.
const RUN: usize = 8;
/// Shorter values are ignored.
const MIN_CHARS: usize = 3;

/// Whether `answer` contains a personal value of the payload `text`, or ends with the beginning of
/// one, since answers are cut. An answer that has a short value by chance is hidden, too, which
/// does no harm.
pub(crate) fn repeats_personal(answer: &str, text: &str, has_message: bool) -> bool {
    let answer = comparable(answer);
    personal_values(text, has_message)
        .iter()
        .any(|value| repeats(&answer, &comparable(value)))
}

/// The personal values of a payload, and every value of the message in HMRC's envelope.
fn personal_values(text: &str, has_message: bool) -> Vec<String> {
    let mut values = Vec::new();
    for field in fields(text, has_message) {
        let value = plain_value(&text[field.range]);
        if field.is_message {
            let tokens = JsonTokens::of(&value).filter(|token| token.kind.is_value());
            values.extend(tokens.map(|token| plain_value(&value[token.range])));
        }
        values.push(value);
    }
    values
}

fn plain_value(token: &str) -> String {
    serde_json::from_str(token).unwrap_or_else(|_| token.to_owned())
}

/// Only the letters and digits, in lower case: an answer may escape or change everything else.
fn comparable(text: &str) -> Vec<char> {
    let characters = text.chars().filter(|character| character.is_alphanumeric());
    characters.flat_map(char::to_lowercase).collect()
}

/// Whether `answer` contains any [`RUN`] characters of `value`, or the whole of a shorter one, or
/// ends with its beginning.
fn repeats(answer: &[char], value: &[char]) -> bool {
    if value.len() < MIN_CHARS {
        return false;
    }
    let run = value.len().min(RUN);
    let is_in = value
        .windows(run)
        .any(|part| answer.windows(run).any(|found| found == part));
    is_in || (MIN_CHARS..run).any(|length| answer.ends_with(&value[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_personal_data_however_it_quotes_it() {
        let hmrc = r#"{"message":"{\"eori\":\"GB123456789000\",\"n\":7}"}"#;
        let pay =
            r#"{"resource":{"reference":"REF 0042","description":"Fee \"A\"","email":"j@x.io"}}"#;
        for (text, has_message, answer, expected) in [
            (pay, false, "cannot read REF 0042", true),
            (pay, false, r#"{"ref":"ref-0042"}"#, true),
            (pay, false, r#"{\"description\":\"Fee \\"A\\"\"}"#, true),
            (pay, false, "cannot read REF 0", true),
            (pay, false, "j%40x.io is not an address, and jx.io", true),
            (pay, false, r#"{"error":"closed"}"#, false),
            (pay, false, "", false),
            (hmrc, true, "no such EORI: gb123456789000", true),
            (hmrc, true, "no such EORI: GB12345678", true),
            (hmrc, true, "status 503", false),
        ] {
            assert_eq!(
                repeats_personal(answer, text, has_message),
                expected,
                "{answer}"
            );
        }
    }
}
