//! The messages that HMRC posts and lists in a box: each is in an envelope.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    domain::{NotificationId, Timestamp},
    senders::{
        EnvelopeFormat, EventData, SubjectKind,
        json::{self, UnreadableError},
        read::{EnvelopeFields, content_digest},
    },
};

/// The event type of every notification: the envelope names none.
const EVENT_TYPE: &str = "notification";

pub(super) const FORMAT: EnvelopeFormat = EnvelopeFormat {
    members: &[
        "notificationId",
        "boxId",
        "messageContentType",
        "message",
        "status",
        "createdDateTime",
    ],
    subject: SubjectKind::Box,
    carries_message: true,
    event_types: &[EVENT_TYPE],
    read,
    read_pulled: |body, _| read(body),
    data: |_, body| data(body),
    cloud_event_type: |_| "uk.gov.hmrc.ppns.notification".to_owned(),
    ledger_event: |_| None,
    payment: |_, _| None,
};

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

/// Reads the envelope. HMRC cannot change these between two copies: box, content type and message;
/// `status` is PENDING in a push and may be FAILED in a pull.
fn read(body: &[u8]) -> Result<EnvelopeFields, UnreadableError> {
    let envelope: HmrcEnvelope<'_> = json::object(body)?;
    let box_id = json::text(envelope.box_id);
    let content = [
        box_id.clone(),
        json::text(envelope.message_content_type),
        json::text(envelope.message).or_else(|| envelope.message.map(|raw| raw.get().to_owned())),
    ];
    Ok(EnvelopeFields {
        id: json::text(envelope.notification_id)
            .and_then(|id| NotificationId::new(&id))
            .ok_or(UnreadableError::Id)?,
        event_at: json::text(envelope.created_date_time)
            .and_then(|date| Timestamp::parse(&date))
            .ok_or(UnreadableError::Date)?,
        event_type: EVENT_TYPE.to_owned(),
        subject: box_id.filter(|id| NotificationId::new(id).is_some()),
        content_digest: content_digest("hmrc", &content),
    })
}

/// The producer's message as a consumer gets it: JSON unchanged, XML as a string.
fn data(body: &[u8]) -> Option<EventData> {
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
    // XML, and text that claims to be JSON and is not, stays the string that HMRC sent, with its
    // escapes.
    let fallback = content_type
        .filter(|name| name != "application/json" && NotificationId::new(name).is_some());
    Some(EventData {
        content_type: fallback.unwrap_or_else(|| "text/plain".to_owned()),
        json: raw.get().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_passed_on_unchanged_and_anything_else_as_a_string() {
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
