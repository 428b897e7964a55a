//! Which fields of a payload are personal data.
//!
//! Pay's fields are known. HMRC's producers choose their own, so a field counts by its name
//! alone: names, addresses, numbers that stand for a person, card digits, and every value below
//! `metadata`, which a service fills as it likes. A reference and a description are free text of a
//! service, too. What HMRC carries, `message`, is one field: it is a text within a text,
//! and its own fields are found when it is read a second time. In HMRC's envelope, whatever is not
//! a field of the envelope counts, and so does a value that no field holds.

use std::ops::Range;

use super::tokens::{JsonToken, JsonTokens, TokenKind};
use pillarbox::telemetry::visible;

/// Fields whose every value is personal, however deep.
const PERSONAL_PARENTS: [&str; 8] = [
    "metadata",
    "address",
    "billingaddress",
    "deliveryaddress",
    "homeaddress",
    "postaladdress",
    "person",
    "individual",
];

/// Fields that are personal, in lower case and without `_` and `-`.
const PERSONAL_NAMES: [&str; 42] = [
    "accountname",
    "accountnumber",
    "addressline1",
    "addressline2",
    "cardholdername",
    "cardnumber",
    "contactname",
    "customername",
    "cvc",
    "dateofbirth",
    "description",
    "dob",
    "email",
    "emailaddress",
    "eori",
    "eorinumber",
    "expirydate",
    "familyname",
    "firstdigitscardnumber",
    "firstname",
    "forename",
    "fullname",
    "givenname",
    "iban",
    "ipaddress",
    "lastdigitscardnumber",
    "lastname",
    "mobile",
    "mobilenumber",
    "name",
    "nationalinsurancenumber",
    "nino",
    "phone",
    "phonenumber",
    "postcode",
    "reference",
    "returnurl",
    "sortcode",
    "surname",
    "telephone",
    "telephonenumber",
    "utr",
];

/// The field of HMRC's envelope that holds the producer's message.
const MESSAGE: &str = "message";

/// The other fields of HMRC's envelope.
const ENVELOPE: [&str; 6] = [
    "notificationId",
    "boxId",
    "messageContentType",
    "status",
    "createdDateTime",
    "readDateTime",
];

/// The name of a value that no field holds.
const NO_FIELD: &str = "everything";

/// The characters of a field's path that the audit trail keeps.
const PATH_CHARS: usize = 80;

/// A personal field of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonalField {
    /// Where it is, as `resource.email`; safe to show.
    pub(crate) path: String,
    /// The same for the audit trail: names that a service chose, below `metadata`, are left out.
    pub(crate) audit_name: String,
    /// The place of its value in the text.
    pub(crate) range: Range<usize>,
    /// Whether it is the message that HMRC carries.
    pub(crate) is_message: bool,
}

/// Where a value stands.
enum JsonParent {
    Object { name: String, is_personal: bool },
    Array { is_personal: bool },
}

/// The personal fields of a JSON text in their order. With `has_message`, the text is HMRC's
/// envelope.
pub(crate) fn fields(text: &str, has_message: bool) -> Vec<PersonalField> {
    let mut found = Vec::new();
    let mut parents: Vec<JsonParent> = Vec::new();
    let mut is_name_next = false;
    for token in JsonTokens::of(text) {
        let token_text = &text[token.range.clone()];
        match token.kind {
            TokenKind::Open => {
                let is_personal = parents.last().is_some_and(JsonParent::makes_personal);
                is_name_next = token_text == "{";
                parents.push(match is_name_next {
                    true => JsonParent::Object {
                        name: String::new(),
                        is_personal,
                    },
                    false => JsonParent::Array { is_personal },
                });
            }
            TokenKind::Close => {
                parents.pop();
                is_name_next = false;
            }
            TokenKind::Comma => {
                is_name_next = matches!(parents.last(), Some(JsonParent::Object { .. }));
            }
            TokenKind::Colon => is_name_next = false,
            TokenKind::Text if is_name_next => {
                if let Some(JsonParent::Object { name, .. }) = parents.last_mut() {
                    *name = serde_json::from_str(token_text).unwrap_or_default();
                }
                is_name_next = false;
            }
            TokenKind::Text | TokenKind::Scalar => {
                let is_message = has_message && is_message(&parents);
                let has_value = !matches!(token_text, "null" | "true" | "false" | "\"\"");
                let is_of_envelope = has_message && is_of_envelope(&parents);
                let is_hidden = is_personal(&parents) || (has_message && !is_of_envelope);
                if has_value && is_hidden {
                    found.push(PersonalField {
                        path: path(&parents),
                        audit_name: path(known_part(&parents)),
                        range: token.range,
                        is_message,
                    });
                }
            }
        }
    }
    found
}

impl JsonParent {
    /// Whether everything below the value that comes next is personal.
    fn makes_personal(&self) -> bool {
        match self {
            Self::Object { name, is_personal } => {
                *is_personal || PERSONAL_PARENTS.contains(&plain(name).as_str())
            }
            Self::Array { is_personal } => *is_personal,
        }
    }
}

/// Whether the value in the innermost of `parents` is personal. An element of an array is what the
/// array is.
fn is_personal(parents: &[JsonParent]) -> bool {
    let innermost_name = parents.iter().rev().find_map(|parent| match parent {
        JsonParent::Object { name, .. } => Some(plain(name)),
        JsonParent::Array { .. } => None,
    });
    parents.last().is_some_and(JsonParent::makes_personal)
        || innermost_name.is_none_or(|name| PERSONAL_NAMES.contains(&name.as_str()))
}

fn is_message(parents: &[JsonParent]) -> bool {
    matches!(parents, [JsonParent::Object { name, .. }] if name == MESSAGE)
}

fn is_of_envelope(parents: &[JsonParent]) -> bool {
    matches!(parents, [JsonParent::Object { name, .. }] if ENVELOPE.contains(&name.as_str()))
}

fn plain(name: &str) -> String {
    name.replace(['_', '-'], "").to_lowercase()
}

/// The parents down to the first below which everything is personal.
fn known_part(parents: &[JsonParent]) -> &[JsonParent] {
    let is_parent = |parent: &JsonParent| matches!(parent, JsonParent::Object { .. });
    let first = parents
        .iter()
        .position(|parent| is_parent(parent) && parent.makes_personal());
    &parents[..first.map_or(parents.len(), |first| first + 1)]
}

fn path(parents: &[JsonParent]) -> String {
    let names = parents.iter().filter_map(|parent| match parent {
        JsonParent::Object { name, .. } => Some(name.as_str()),
        JsonParent::Array { .. } => None,
    });
    let path = names.collect::<Vec<_>>().join(".");
    if path.is_empty() {
        return NO_FIELD.to_owned();
    }
    let path: String = path.chars().take(PATH_CHARS).collect();
    visible(&path).into_owned()
}

/// The text with every personal field masked, for a fixture: letters become `x` and digits `0`, so
/// that lengths and shapes stay. Every other byte stays as it is.
pub(crate) fn masked(text: &str, has_message: bool) -> String {
    let mut masked_text = String::with_capacity(text.len());
    let mut position = 0;
    for field in fields(text, has_message) {
        masked_text.push_str(&text[position..field.range.start]);
        masked_text.push_str(&masked_value(&text[field.range.clone()], field.is_message));
        position = field.range.end;
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
    let mut masked_text = String::with_capacity(text.len());
    let mut position = 0;
    for token in JsonTokens::of(text) {
        let after = text[token.range.end..].trim_start();
        let is_value = matches!(token.kind, TokenKind::Text | TokenKind::Scalar);
        let value = &text[token.range.clone()];
        if is_value && !after.starts_with(':') && !matches!(value, "null" | "true" | "false") {
            masked_text.push_str(&text[position..token.range.start]);
            masked_text.push_str(&masked_value(value, false));
            position = token.range.end;
        }
    }
    masked_text + &text[position..]
}

/// Whether `answer` repeats a personal value of the payload `text`, or the beginning of one at its
/// end, where an answer is cut. A short value may be in an answer by chance, which hides it for
/// nothing and does no harm.
pub(crate) fn repeats_personal(answer: &str, text: &str, has_message: bool) -> bool {
    let answer = comparable(answer);
    personal_values(text, has_message)
        .iter()
        .any(|value| repeats(&answer, &comparable(value)))
}

/// The personal values of a payload, and every value of the message that HMRC carries.
fn personal_values(text: &str, has_message: bool) -> Vec<String> {
    let mut values = Vec::new();
    for field in fields(text, has_message) {
        let value = plain_value(&text[field.range]);
        if field.is_message {
            let is_value =
                |token: &JsonToken| matches!(token.kind, TokenKind::Text | TokenKind::Scalar);
            let tokens = JsonTokens::of(&value).filter(is_value);
            values.extend(tokens.map(|token| plain_value(&value[token.range])));
        }
        values.push(value);
    }
    values
}

fn plain_value(token: &str) -> String {
    serde_json::from_str(token).unwrap_or_else(|_| token.to_owned())
}

/// Without what an answer may escape or change.
fn comparable(text: &str) -> Vec<char> {
    let characters = text.chars().filter(|character| character.is_alphanumeric());
    characters.flat_map(char::to_lowercase).collect()
}

/// Whether any run of `RUN` characters of `value` is in `answer`, the whole of a shorter one, or
/// its beginning at the end.
fn repeats(answer: &[char], value: &[char]) -> bool {
    /// The fewest characters that are no coincidence.
    const RUN: usize = 8;
    const FEWEST: usize = 3;
    if value.len() < FEWEST {
        return false;
    }
    let run = value.len().min(RUN);
    let is_in = value
        .windows(run)
        .any(|part| answer.windows(run).any(|found| found == part));
    is_in || (FEWEST..run).any(|length| answer.ends_with(&value[..length]))
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

    fn paths(text: &str, has_message: bool) -> Vec<String> {
        let found = fields(text, has_message);
        found.into_iter().map(|field| field.path).collect()
    }

    #[test]
    fn the_personal_fields_of_a_payment_are_found_and_nothing_else() {
        assert_eq!(
            paths(PAY, false),
            [
                "resource.email",
                "resource.metadata.team",
                "resource.metadata.case_id",
                "resource.reference",
                "resource.return_url",
                "resource.description",
                "resource.card_details.expiry_date",
                "resource.card_details.billing_address.city",
                "resource.card_details.billing_address.line1",
                "resource.card_details.billing_address.country",
                "resource.card_details.billing_address.postcode",
                "resource.card_details.cardholder_name",
                "resource.card_details.last_digits_card_number",
                "resource.card_details.first_digits_card_number",
            ]
        );
    }

    #[test]
    fn the_audit_trail_gets_no_name_that_a_service_chose() {
        let names = fields(PAY, false).into_iter().map(|field| field.audit_name);
        let names: Vec<String> = names.collect();
        assert_eq!(names[0], "resource.email");
        assert_eq!(
            (names[1].as_str(), names[2].as_str()),
            ("resource.metadata", "resource.metadata")
        );
    }

    #[test]
    fn a_message_of_hmrc_is_one_field_and_has_its_own() {
        assert_eq!(paths(HMRC, true), ["message"]);
        let inner = r#"{"trader":{"name":"A","contacts":[{"Phone-Number":"1"}]},"mrn":"x"}"#;
        assert_eq!(
            paths(inner, false),
            ["trader.name", "trader.contacts.Phone-Number"]
        );
    }

    #[test]
    fn what_is_no_field_of_the_envelope_of_hmrc_is_hidden() {
        let text = r#"{"notificationId":"n1","boxId":"b","x":{"message":"Jo","boxId":"Jo"}}"#;
        assert_eq!(paths(text, true), ["x.message", "x.boxId"]);
    }

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
            (pay, false, "j%40x.io is no address, and jx.io", true),
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

    #[test]
    fn a_field_is_found_however_it_is_written() {
        for (text, expected) in [
            (r#"{"e\u006dail":"x"}"#, "email"),
            (r#"{"EMAIL":"x"}"#, "EMAIL"),
            (r#"{"a":[{"name":"x"}]}"#, "a.name"),
            (r#"{"name":["x"]}"#, "name"),
            (r#"{"metadata":{"a":{"b":[1]}}}"#, "metadata.a.b"),
            (r#"{"metadata":[["x"]]}"#, "metadata"),
            (r#"{ "a" : 1 , "name" : "x" "#, "name"),
            ("{\"\u{202e}\":{\"name\":\"x\"}}", r"\u{202e}.name"),
            (r#""Jo Tester""#, NO_FIELD),
            (r#"["Jo Tester"]"#, NO_FIELD),
        ] {
            assert_eq!(paths(text, false), [expected], "{text}");
        }
        for text in ["", "{", r#"{"name":null,"email":"","name":true}"#] {
            assert_eq!(paths(text, false), [""; 0], "{text}");
        }
    }

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
