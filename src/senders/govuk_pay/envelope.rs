//! What GOV.UK Pay posts: an event, with the payment as it was when the event was consumed.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{OBSERVED_EVENT_TYPE, payment};
use crate::{
    domain::{Id, Timestamp},
    senders::{
        EnvelopeFormat, EventData, UNKNOWN_EVENT_TYPE,
        json::{self, UnreadableError},
        read::{EnvelopeFields, content_digest},
    },
};

/// Names that mean something else to a consumer: HMRC's notifications, and our own observations.
const RESERVED_EVENT_TYPES: [&str; 2] = ["notification", OBSERVED_EVENT_TYPE];

pub(super) const FORMAT: EnvelopeFormat = EnvelopeFormat {
    members: &[
        "webhook_message_id",
        "created_date",
        "resource_id",
        "api_version",
        "resource_type",
        "event_type",
        "resource",
    ],
    event_types: &[
        "card_payment_succeeded",
        "card_payment_captured",
        "card_payment_refunded",
        "card_payment_failed",
        "card_payment_expired",
        OBSERVED_EVENT_TYPE,
    ],
    read,
    read_pulled: payment::observed,
    data: |event_type, body| match event_type {
        OBSERVED_EVENT_TYPE => payment::data(body),
        _ => data(body),
    },
    cloud_event_type: |event_type| format!("uk.gov.payments.{event_type}"),
    ledger_event,
};

/// Pay may send one event under several ids. An observation is not an event of Pay's, and must not
/// take the place of one.
fn ledger_event(event_type: &str, event_at: Timestamp) -> Option<String> {
    (event_type != OBSERVED_EVENT_TYPE).then(|| format!("{event_type}|{event_at}"))
}

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

/// Reads the envelope. Pay cannot change these between two copies: payment, event type and date;
/// `resource` is the payment as it was when the event was consumed.
fn read(body: &[u8]) -> Result<EnvelopeFields, UnreadableError> {
    let envelope: PayEnvelope<'_> = json::object(body)?;
    let event_at = json::text(envelope.created_date)
        .and_then(|date| Timestamp::parse(&date))
        .ok_or(UnreadableError::Date)?;
    let payment = json::text(envelope.resource_id);
    let event_type = json::text(envelope.event_type);
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
fn data(body: &[u8]) -> Option<EventData> {
    let envelope: PayEnvelope<'_> = json::object(body).ok()?;
    let json = envelope.resource?.get().to_owned();
    Some(EventData {
        content_type: "application/json".to_owned(),
        json,
    })
}

/// Any printable name is an event type, except the reserved ones.
fn is_event_type(name: &str) -> bool {
    Id::new(name).is_some() && !RESERVED_EVENT_TYPES.contains(&name)
}
