//! HMRC's Push Pull Notifications Service: its envelope, its signed form and its challenge.
//!
//! Facts are from hmrc/push-pull-notifications-api and the libraries it pins.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    HMRC_EVENT_TYPE,
    json::{self, UnreadableError},
    read::{EnvelopeFields, EventData, content_digest},
};
use crate::domain::{Id, Timestamp};

/// The fields of the pushed envelope that we use; HMRC may add others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HmrcEnvelope<'a> {
    #[serde(borrow)]
    notification_id: Option<&'a RawValue>,
    #[serde(borrow)]
    box_id: Option<&'a RawValue>,
    #[serde(borrow)]
    message_content_type: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    created_date_time: Option<&'a RawValue>,
}

/// Reads the envelope. What HMRC can't change between two copies is box, content type and message;
/// `status` says PENDING in a push and may say FAILED in a pull.
pub(super) fn read(body: &[u8]) -> Result<EnvelopeFields, UnreadableError> {
    let envelope: HmrcEnvelope<'_> = json::object(body)?;
    let box_id = json::text(envelope.box_id);
    let content = [
        box_id.clone(),
        json::text(envelope.message_content_type),
        json::text(envelope.message).or_else(|| envelope.message.map(|raw| raw.get().to_owned())),
    ];
    Ok(EnvelopeFields {
        id: json::text(envelope.notification_id)
            .and_then(|id| Id::new(&id))
            .ok_or(UnreadableError::Id)?,
        event_at: json::text(envelope.created_date_time)
            .and_then(|date| Timestamp::parse(&date))
            .ok_or(UnreadableError::Date)?,
        event_type: HMRC_EVENT_TYPE.to_owned(),
        subject: box_id.filter(|id| Id::new(id).is_some()),
        content_digest: content_digest("hmrc", &content),
    })
}

/// The producer's message, in the form a consumer gets it: JSON as it stands, XML as a string.
pub(super) fn data(body: &[u8]) -> Option<EventData> {
    let envelope: HmrcEnvelope<'_> = json::object(body).ok()?;
    let raw = envelope.message?;
    let content_type = json::text(envelope.message_content_type);
    let message = json::text(Some(raw));
    if content_type.as_deref() == Some("application/json")
        && let Some(message) = message
        && json::is_json(&message)
    {
        return Some(EventData {
            content_type: "application/json".to_owned(),
            json: message,
        });
    }
    // XML, and JSON that is none, travel as the string HMRC sent, escapes and all.
    let fallback =
        content_type.filter(|name| name != "application/json" && Id::new(name).is_some());
    Some(EventData {
        content_type: fallback.unwrap_or_else(|| "text/plain".to_owned()),
        json: raw.get().to_owned(),
    })
}

/// The bytes HMRC signed, where they differ from those it sent.
///
/// HMRC signs a string, then parses and writes it again as the body. The two writers disagree on
/// one thing: a character beyond U+FFFF is signed raw and sent as a pair of `\uXXXX` escapes. This
/// puts every *unescaped* such pair back. `None` means there is no pair, and so no other form.
pub fn canonical(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = body[at..].iter().position(|&byte| byte == b'\\') {
        at += found;
        if let Some(character) = surrogate_pair(&body[at..]) {
            out.extend_from_slice(&body[copied..at]);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += 12;
            copied = at;
        } else {
            at = (at + 2).min(body.len()); // an escape of two bytes: `\\` must not be read as a new one
        }
    }
    (copied > 0).then(|| {
        out.extend_from_slice(&body[copied..]);
        out
    })
}

/// The character written at the start of `bytes` as `\uD83D\uDE00`, if one is.
fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let high = unicode_escape(bytes)?;
    let low = unicode_escape(bytes.get(6..)?)?;
    char::decode_utf16([high, low])
        .next()?
        .ok()
        .filter(|c| u32::from(*c) > 0xffff)
}

/// The code unit written at the start of `bytes` as `\uXXXX`.
fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0u16, |unit, byte| {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some((unit << 4) | u16::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unescaped_pairs_are_put_back() {
        for (sent, signed) in [
            (r#"{"a":"\uD83D\uDE00"}"#, Some("{\"a\":\"😀\"}")),
            (
                r#"{"a":"x\uD83D\uDE00y\uD83D\uDCB7"}"#,
                Some("{\"a\":\"x😀y💷\"}"),
            ),
            (r#"{"a":"\ud83d\ude00"}"#, Some("{\"a\":\"😀\"}")),
            (r#"{"a":"\\\uD83D\uDE00"}"#, Some(r#"{"a":"\\😀"}"#)),
            (r#"{"a":"\\uD83D\\uDE00"}"#, None),
            (r#"{"a":"\\ud83d\\ude00"}"#, None),
            (r#"{"a":"\uD83D alone"}"#, None),
            (r#"{"a":"\uDE00\uD83D"}"#, None),
            (r#"{"a":"\uD83D\\uDE00"}"#, None),
            (r#"{"a":"é\u20AC"}"#, None),
            (r#"{"a":"\uD83D\uDE0"#, None),
            (r"\", None),
            ("", None),
        ] {
            let form = canonical(sent.as_bytes());
            assert_eq!(form.as_deref(), signed.map(str::as_bytes), "{sent}");
        }
    }

    #[test]
    fn json_travels_as_it_stands_and_anything_else_as_a_string() {
        let body = |content_type: &str, message: &str| {
            format!(r#"{{"messageContentType":"{content_type}","message":{message}}}"#)
        };
        for (content_type, message, expected) in [
            (
                "application/json",
                r#""{\"n\":1.10, \"n2\":1e400}""#,
                ("application/json", r#"{"n":1.10, "n2":1e400}"#),
            ),
            (
                "application/json",
                r#""[1,2]""#,
                ("application/json", "[1,2]"),
            ),
            (
                "application/json",
                r#""not json""#,
                ("text/plain", r#""not json""#),
            ),
            (
                "application/json",
                r#""lone \uD83D""#,
                ("text/plain", r#""lone \uD83D""#),
            ),
            (
                "application/xml",
                r#""<a>\"é\"</a>""#,
                ("application/xml", r#""<a>\"é\"</a>""#),
            ),
        ] {
            let data = data(body(content_type, message).as_bytes()).unwrap();
            assert_eq!((data.content_type.as_str(), data.json.as_str()), expected);
        }
        assert!(data(br#"{"message":null}"#).is_none());
    }
}
