//! GOV.UK Pay webhooks: the message envelope.
//!
//! Facts are from alphagov/pay-webhooks and from real messages that receiving services keep in
//! their public tests.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    HMRC_EVENT_TYPE, OBSERVED_EVENT_TYPE, UNKNOWN_EVENT_TYPE,
    json::{self, UnreadableError},
    read::{EnvelopeFields, EventData, content_digest},
};
use crate::domain::{Id, Timestamp};

/// The fields of the message that we use; Pay may add others without a new version.
#[derive(Deserialize)]
struct PayEnvelope<'a> {
    #[serde(borrow)]
    webhook_message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    created_date: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

/// Reads the envelope. What Pay can't change between two copies is payment, event type and date;
/// `resource` is the payment as it was when the event was consumed.
pub(super) fn read(body: &[u8]) -> Result<EnvelopeFields, UnreadableError> {
    let envelope: PayEnvelope<'_> = json::object(body)?;
    let event_at = json::text(envelope.created_date)
        .and_then(|date| Timestamp::parse(&date))
        .ok_or(UnreadableError::Date)?;
    let (payment, event_type) = (
        json::text(envelope.resource_id),
        json::text(envelope.event_type),
    );
    let content = [
        payment.clone(),
        event_type.clone(),
        Some(event_at.to_string()),
    ];
    Ok(EnvelopeFields {
        id: json::text(envelope.webhook_message_id)
            .and_then(|id| Id::new(&id))
            .ok_or(UnreadableError::Id)?,
        event_at,
        event_type: event_type
            .filter(|name| is_event_type(name))
            .unwrap_or_else(|| UNKNOWN_EVENT_TYPE.to_owned()),
        subject: payment.filter(|id| Id::new(id).is_some()),
        content_digest: content_digest("govuk-pay", &content),
    })
}

/// The payment, digit for digit as Pay wrote it.
pub(super) fn data(body: &[u8]) -> Option<EventData> {
    let envelope: PayEnvelope<'_> = json::object(body).ok()?;
    let json = envelope.resource?.get().to_owned();
    Some(EventData {
        content_type: "application/json".to_owned(),
        json,
    })
}

/// Any printable name is an event type, except those that mark HMRC's rows and our own observations.
fn is_event_type(name: &str) -> bool {
    Id::new(name).is_some() && ![HMRC_EVENT_TYPE, OBSERVED_EVENT_TYPE].contains(&name)
}
