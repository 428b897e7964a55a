//! Finds the fields of a payload that are personal data.
//!
//! Pay's fields are known, but HMRC's producers choose their own, so only the name decides: names,
//! addresses, identifiers of a person, card digits, and every value below `metadata`, which a
//! service fills freely. References and descriptions are free text of a service, so they count,
//! too. The `message` of HMRC's envelope is one personal field. It is a text within the text, and
//! its own fields are found when it is read separately. Every unknown field of HMRC's envelope is
//! personal, and so is a value outside any field.

use std::ops::Range;

use super::tokens::{JsonTokens, TokenKind};
use pillarbox::telemetry::visible;

/// Fields below which every value is personal.
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

/// The path of a value outside any field.
const NO_FIELD: &str = "everything";

/// The largest number of characters of a field's path.
const PATH_CHARS: usize = 80;

/// A personal field of one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonalField {
    /// Its path, such as `resource.email`, escaped for display.
    pub(crate) path: String,
    /// The same for the audit trail, without names that a service chose, below `metadata`.
    pub(crate) audit_name: String,
    /// The position of its value in the text.
    pub(crate) range: Range<usize>,
    /// Whether it is the message in HMRC's envelope.
    pub(crate) is_message: bool,
}

/// The object or array around a value.
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
    /// Whether everything below the next value is personal.
    fn makes_personal(&self) -> bool {
        match self {
            Self::Object { name, is_personal } => {
                *is_personal || PERSONAL_PARENTS.contains(&normalised(name).as_str())
            }
            Self::Array { is_personal } => *is_personal,
        }
    }
}

/// Whether the value in the innermost of `parents` is personal. An element of an array counts as
/// the array does.
fn is_personal(parents: &[JsonParent]) -> bool {
    let innermost_name = parents.iter().rev().find_map(|parent| match parent {
        JsonParent::Object { name, .. } => Some(normalised(name)),
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

fn normalised(name: &str) -> String {
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
    fn a_message_of_hmrc_is_one_field_and_has_fields() {
        assert_eq!(paths(HMRC, true), ["message"]);
        let inner = r#"{"trader":{"name":"A","contacts":[{"Phone-Number":"1"}]},"mrn":"x"}"#;
        assert_eq!(
            paths(inner, false),
            ["trader.name", "trader.contacts.Phone-Number"]
        );
    }

    #[test]
    fn an_unknown_field_of_hmrcs_envelope_is_personal() {
        let text = r#"{"notificationId":"n1","boxId":"b","x":{"message":"Jo","boxId":"Jo"}}"#;
        assert_eq!(paths(text, true), ["x.message", "x.boxId"]);
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
}
