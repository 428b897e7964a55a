//! The messages that GOV.UK Pay posts: an event, with the payment as it was when Pay processed the
//! event.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{OBSERVED_EVENT_TYPE, REFUNDED_EVENT_TYPE, facts, payment};
use crate::{
    domain::{NotificationId, Timestamp},
    senders::{
        EnvelopeFormat, EventData, EventFacts, SubjectKind, UNKNOWN_EVENT_TYPE,
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
    subject: SubjectKind::Payment,
    carries_message: false,
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
    payment: facts::read,
};

/// Pay may send one event under several ids. Two refunds may share an instant, so the amounts
/// belong to a refund's name. An observation has a name that no event of Pay's has, by which the
/// next run finds it.
fn ledger_event(event: &EventFacts<'_>) -> Option<String> {
    let EventFacts {
        event_type,
        event_at,
        id,
        body,
    } = event;
    Some(match *event_type {
        OBSERVED_EVENT_TYPE => payment::observed_event(id)?,
        REFUNDED_EVENT_TYPE => {
            let amounts = body.and_then(refunded_amounts).unwrap_or_default();
            format!("{event_type}|{event_at}{amounts}")
        }
        _ => format!("{event_type}|{event_at}"),
    })
}

/// `|submitted|available`, in pence.
fn refunded_amounts(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct RefundedPayment {
        refund_summary: RefundAmounts,
    }
    #[derive(Deserialize)]
    struct RefundAmounts {
        amount_submitted: u64,
        amount_available: u64,
    }
    let envelope: PayEnvelope<'_> = json::object(body).ok()?;
    let payment: RefundedPayment = serde_json::from_str(envelope.resource?.get()).ok()?;
    let amounts = payment.refund_summary;
    Some(format!(
        "|{}|{}",
        amounts.amount_submitted, amounts.amount_available
    ))
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
/// `resource` is the payment as it was when Pay processed the event.
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
            .and_then(|id| NotificationId::new(&id))
            .ok_or(UnreadableError::Id)?,
        event_at,
        event_type: event_type
            .filter(|name| is_event_type(name))
            .unwrap_or_else(|| UNKNOWN_EVENT_TYPE.to_owned()),
        subject: payment.filter(|id| NotificationId::new(id).is_some()),
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
    NotificationId::new(name).is_some() && !RESERVED_EVENT_TYPES.contains(&name)
}
