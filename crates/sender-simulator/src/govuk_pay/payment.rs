//! One payment, and the message of each of its events.

use serde_json::{Value, json};

use super::{
    CAPTURE_SUBMITTED,
    event::{EventDetails, FailureReason, PaymentEvent, PaymentKind},
};
use crate::{Clock, MessageBody, Timestamp, ids, json};

/// The amount of every payment, in pence.
const AMOUNT: u32 = 5000;

/// The surcharge of a corporate card, in pence.
pub(super) const SURCHARGE: u32 = 250;

/// A payment whose events are all consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentMessages {
    id: String,
    reference: String,
    created: Timestamp,
    kind: PaymentKind,
}

impl PaymentMessages {
    /// A card payment created at `created`.
    pub fn new(created: Timestamp, clock: &dyn Clock) -> Self {
        let reference = ids::test_reference(clock);
        Self {
            id: ids::pay_id(clock),
            reference,
            created,
            kind: PaymentKind::Card,
        }
    }

    /// The same payment, of another kind.
    #[must_use]
    pub fn with_kind(self, kind: PaymentKind) -> Self {
        Self { kind, ..self }
    }

    /// The kind of payment.
    pub fn kind(&self) -> PaymentKind {
        self.kind
    }

    /// The message for `event`, with a new id. The event's date is the payment's creation plus
    /// [`PaymentEvent::after`].
    pub fn body(&self, event: PaymentEvent, clock: &dyn Clock) -> MessageBody {
        self.message(EventDetails::first(event), clock)
    }

    /// The message for the second of two partial refunds, a few hours after the first.
    pub fn second_refund(&self, clock: &dyn Clock) -> MessageBody {
        self.message(
            EventDetails {
                refunds: 2,
                ..EventDetails::first(PaymentEvent::Refunded)
            },
            clock,
        )
    }

    /// The message for a failed payment.
    pub fn failed(&self, failure: FailureReason, clock: &dyn Clock) -> MessageBody {
        self.message(
            EventDetails {
                failure,
                ..EventDetails::first(PaymentEvent::Failed)
            },
            clock,
        )
    }

    /// The payment's id, which all its messages carry.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The service's reference.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The creation date.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    fn message(&self, event: EventDetails, clock: &dyn Clock) -> MessageBody {
        let id = ids::pay_id(clock);
        let date = self.created.plus(event.after());
        let fields = [
            ("webhook_message_id", json::string(&id)),
            ("created_date", json::string(&date.to_string())),
            ("resource_id", json::string(&self.id)),
            ("api_version", "1".to_owned()),
            ("resource_type", json::string("PAYMENT")),
            ("event_type", json::string(event.event.as_str())),
            ("resource", json::jsonb(&self.resource(event))),
        ];
        let text = json::object(&fields);
        MessageBody {
            id,
            wire: text.clone(),
            signed: text,
        }
    }

    /// The payment in Pay's ledger just after the event.
    fn resource(&self, event: EventDetails) -> Value {
        let mut resource = self.constants();
        resource["state"] = state(event);
        resource["refund_summary"] = self.refund_summary(event);
        resource["settlement_summary"] = self.settlement_summary(event.event);
        if event.has_card() {
            self.add_card(&mut resource, event.is_rejection());
            if self.kind != PaymentKind::Telephone {
                resource["authorisation_summary"] = json!({"three_d_secure": {"required": false}});
            }
        }
        if matches!(
            event.event,
            PaymentEvent::Succeeded | PaymentEvent::Captured | PaymentEvent::Refunded
        ) {
            resource["metadata"] = self.metadata();
        }
        resource
    }

    /// The fields that never change, equal in a webhook and in the API. Absent ones are left out.
    pub(crate) fn constants(&self) -> Value {
        let mut constants = json!({
            "moto": false,
            "amount": AMOUNT,
            "language": "en",
            "reference": self.reference,
            "payment_id": self.id,
            "description": "Test payment – café licence 💷",
            "created_date": self.created.to_string(),
            "delayed_capture": self.kind == PaymentKind::DelayedCapture,
            "payment_provider": "sandbox",
        });
        if self.kind.wallet().is_none() {
            constants["email"] = json!("a.tester@example.com");
        }
        // A telephone payment and one under an agreement have no page to return to.
        if !matches!(self.kind, PaymentKind::Telephone | PaymentKind::Agreement) {
            constants["return_url"] = json!("https://service.example.gov.uk/return");
        }
        constants
    }

    /// The service's metadata, or the report of a telephone payment's provider.
    pub(crate) fn metadata(&self) -> Value {
        match self.kind {
            PaymentKind::Telephone => json!({
                "status": "success",
                "auth_code": "666",
                "processor_id": "183f2j8923j8",
                "telephone_number": "+447700900796",
            }),
            _ => json!({"team": 7, "urgent": false, "case_id": "C-1029"}),
        }
    }

    /// Adds the details of the card. Those of a rejected card contain nulls.
    pub(crate) fn add_card(&self, payment: &mut Value, rejected: bool) {
        let mut card = json!({
            "card_type": "debit",
            "card_brand": "Visa",
            "expiry_date": "11/28",
            "billing_address": {
                "city": "Leeds",
                "line1": "1 High Street",
                "line2": "",
                "country": "GB",
                "postcode": "LS1 1AA",
            },
            "cardholder_name": "A Tester",
            "last_digits_card_number": "4242",
            "first_digits_card_number": "424242",
        });
        let is_wallet = self.kind.wallet().is_some();
        if rejected || is_wallet || self.kind == PaymentKind::Telephone {
            card["billing_address"] = Value::Null;
        }
        if rejected || self.kind == PaymentKind::Telephone {
            card["card_type"] = Value::Null;
        }
        if rejected {
            card["card_brand"] = json!("Mastercard");
        }
        if is_wallet {
            card["first_digits_card_number"] = Value::Null;
        }
        if let Some(surcharge) = self.kind.surcharge() {
            card["card_type"] = json!("credit");
            payment["corporate_card_surcharge"] = json!(surcharge);
            payment["total_amount"] = json!(self.total());
        }
        payment["card_details"] = card;
    }

    /// The amount in pence, with the surcharge.
    pub(crate) fn total(&self) -> u32 {
        AMOUNT + self.kind.surcharge().unwrap_or(0)
    }

    /// Pay does not report the amount of a single refund, only the sum of all.
    fn refund_summary(&self, event: EventDetails) -> Value {
        let (status, submitted) = match event.event {
            PaymentEvent::Succeeded | PaymentEvent::Expired => ("pending", 0),
            PaymentEvent::Captured => ("available", 0),
            PaymentEvent::Refunded if event.refunds > 1 => ("available", 4000),
            PaymentEvent::Refunded => ("available", 1500),
            PaymentEvent::Failed => ("unavailable", 0),
        };
        let total = if event.has_card() {
            self.total()
        } else {
            AMOUNT
        };
        json!({
            "status": status,
            "amount_available": total - submitted,
            "amount_submitted": submitted,
        })
    }

    fn settlement_summary(&self, event: PaymentEvent) -> Value {
        match event {
            PaymentEvent::Captured | PaymentEvent::Refunded => json!({
                "captured_date": self.captured_date(),
                "capture_submit_time": self.created.plus(CAPTURE_SUBMITTED).to_string(),
            }),
            PaymentEvent::Succeeded | PaymentEvent::Failed | PaymentEvent::Expired => json!({}),
        }
    }

    /// The day on which the provider confirmed the capture, which may be after the day of its
    /// request.
    pub(crate) fn captured_date(&self) -> String {
        let captured = self
            .created
            .plus(PaymentEvent::Captured.after())
            .to_string();
        captured.split('T').next().unwrap_or_default().to_owned()
    }
}

fn state(event: EventDetails) -> Value {
    match event.event {
        PaymentEvent::Succeeded | PaymentEvent::Captured | PaymentEvent::Refunded => {
            json!({"status": "success", "finished": true})
        }
        PaymentEvent::Failed => event.failure.state(),
        PaymentEvent::Expired => {
            let (code, message) = ("P0020", "Payment expired");
            json!({"code": code, "status": "timedout", "message": message, "finished": true})
        }
    }
}
