//! `{"id":…,"at":…,"type":…,"about":…}`. The whole message is the content.

use serde::Deserialize;

use crate::{
    domain::{NotificationId, Timestamp},
    senders::{
        EnvelopeFormat, EventData, SubjectKind,
        json::{self, UnreadableError},
        read::{EnvelopeFields, content_digest},
    },
};

pub(super) const FORMAT: EnvelopeFormat = EnvelopeFormat {
    members: &["id", "at", "type", "about"],
    subject: SubjectKind::Payment,
    carries_message: false,
    event_types: &[],
    read,
    read_pulled: |body, _| read(body),
    data: |_, body| {
        Some(EventData {
            content_type: "application/json".to_owned(),
            json: String::from_utf8(body.to_vec()).ok()?,
        })
    },
    cloud_event_type: |event_type| format!("example.timestamped.{event_type}"),
    ledger_event: |event| Some(format!("{}|{}", event.event_type, event.event_at)),
    payment: |_, _| None,
};

#[derive(Deserialize)]
struct TimestampedEnvelope {
    id: String,
    at: String,
    #[serde(rename = "type")]
    event_type: String,
    about: String,
}

fn read(body: &[u8]) -> Result<EnvelopeFields, UnreadableError> {
    let envelope: TimestampedEnvelope = json::object(body)?;
    let content = [&envelope.at, &envelope.event_type, &envelope.about];
    Ok(EnvelopeFields {
        id: NotificationId::new(&envelope.id).ok_or(UnreadableError::Id)?,
        event_at: Timestamp::parse(&envelope.at).ok_or(UnreadableError::Date)?,
        content_digest: content_digest("timestamped", &content.map(|part| Some(part.clone()))),
        event_type: envelope.event_type,
        subject: Some(envelope.about),
    })
}
