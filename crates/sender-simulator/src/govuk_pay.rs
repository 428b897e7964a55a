//! GOV.UK Pay webhooks: five events of a consistent payment.
//!
//! The facts come from alphagov/pay-webhooks and from real messages in the public tests of
//! receiving services.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    Clock, MessageBody, Sender, SenderRequest, Timestamp, UnknownEventError, ids, json, signature,
    target,
};

/// The short names of the events. The wire format uses the full names.
pub const EVENTS: &[&str] = &["succeeded", "captured", "refunded", "failed", "expired"];

/// An event that Pay sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentEvent {
    /// The user confirmed the payment. No money has moved.
    Succeeded,
    /// The payment provider has captured the money.
    Captured,
    /// A refund succeeded, partial or full.
    Refunded,
    /// The payment method was rejected.
    Failed,
    /// The user did not finish in time.
    Expired,
}

impl PaymentEvent {
    /// All events, in the order of [`EVENTS`].
    pub const ALL: [Self; 5] = [
        Self::Succeeded,
        Self::Captured,
        Self::Refunded,
        Self::Failed,
        Self::Expired,
    ];

    /// The full name, as in the wire format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "card_payment_succeeded",
            Self::Captured => "card_payment_captured",
            Self::Refunded => "card_payment_refunded",
            Self::Failed => "card_payment_failed",
            Self::Expired => "card_payment_expired",
        }
    }

    /// Parses a short or full name.
    pub fn named(name: &str) -> Result<Self, UnknownEventError> {
        let is_named = |event: &Self| {
            let full = event.as_str();
            full == name || full.strip_prefix("card_payment_") == Some(name)
        };
        let unknown = || UnknownEventError {
            name: name.to_owned(),
            known: EVENTS,
        };
        Self::ALL.into_iter().find(is_named).ok_or_else(unknown)
    }

    /// The time from the payment's creation to the event.
    pub fn after(self) -> Duration {
        match self {
            Self::Failed => Duration::from_millis(78_379),
            Self::Succeeded => Duration::from_millis(89_363),
            Self::Captured => Duration::from_millis(138_395),
            Self::Expired => Duration::from_millis(5_418_267),
            Self::Refunded => Duration::from_millis(82_121_889),
        }
    }
}

/// Why a payment failed. Each sends the same event, with a different payment state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// The payment method was rejected.
    Rejected,
    /// The user or the service cancelled it. A webhook reports both as cancelled by the user.
    Cancelled,
    /// The payment provider returned an error.
    ProviderError,
}

/// The amount of every payment, in pence.
pub(super) const AMOUNT: u32 = 5000;
/// From a payment's creation to its capture request.
pub(super) const CAPTURE_SUBMITTED: Duration = Duration::from_millis(116_087);
/// From a payment's creation to the success of its second refund.
pub(super) const SECOND_REFUND: Duration = Duration::from_millis(95_406_511);

/// An event of one payment. Only refunds occur more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventDetails {
    event: PaymentEvent,
    /// The number of successful refunds, this one included.
    refunds: u8,
    /// The reason, for a failed payment.
    failure: FailureReason,
}

impl FailureReason {
    fn state(self) -> Value {
        let (code, status, message) = match self {
            Self::Rejected => ("P0010", "declined", "Payment method rejected"),
            Self::Cancelled => ("P0030", "cancelled", "Payment was cancelled by the user"),
            Self::ProviderError => ("P0050", "error", "Payment provider returned an error"),
        };
        json!({"code": code, "status": status, "message": message, "finished": true})
    }
}

impl EventDetails {
    /// The first event of this type.
    fn first(event: PaymentEvent) -> Self {
        Self {
            event,
            refunds: u8::from(event == PaymentEvent::Refunded),
            failure: FailureReason::Rejected,
        }
    }

    fn after(self) -> Duration {
        if self.refunds > 1 {
            SECOND_REFUND
        } else {
            self.event.after()
        }
    }

    fn is_rejection(self) -> bool {
        self.event == PaymentEvent::Failed && self.failure == FailureReason::Rejected
    }

    /// Whether the user entered a card.
    fn has_card(self) -> bool {
        self.event != PaymentEvent::Expired && self.failure != FailureReason::Cancelled
    }
}

/// A payment whose events are all consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    id: String,
    reference: String,
    created: Timestamp,
}

impl Payment {
    /// A payment created at `created`.
    pub fn new(created: Timestamp, clock: &dyn Clock) -> Self {
        let reference = ids::test_reference(clock);
        Self {
            id: ids::pay_id(clock),
            reference,
            created,
        }
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
        resource["refund_summary"] = refund_summary(event);
        resource["settlement_summary"] = self.settlement_summary(event.event);
        if event.has_card() {
            resource["card_details"] = card_details(event.is_rejection());
            resource["authorisation_summary"] = json!({"three_d_secure": {"required": false}});
        }
        if matches!(
            event.event,
            PaymentEvent::Succeeded | PaymentEvent::Captured | PaymentEvent::Refunded
        ) {
            resource["metadata"] = metadata();
        }
        resource
    }

    /// The fields that never change, equal in a webhook and in the API.
    pub(super) fn constants(&self) -> Value {
        json!({
            "moto": false,
            "email": "a.tester@example.com",
            "amount": AMOUNT,
            "language": "en",
            "reference": self.reference,
            "payment_id": self.id,
            "return_url": "https://service.example.gov.uk/return",
            "description": "Test payment – café licence 💷",
            "created_date": self.created.to_string(),
            "delayed_capture": false,
            "payment_provider": "sandbox",
        })
    }

    fn settlement_summary(&self, event: PaymentEvent) -> Value {
        let submitted = self.created.plus(CAPTURE_SUBMITTED).to_string();
        match event {
            PaymentEvent::Captured | PaymentEvent::Refunded => json!({
                "captured_date": submitted.split('T').next(),
                "capture_submit_time": submitted,
            }),
            PaymentEvent::Succeeded | PaymentEvent::Failed | PaymentEvent::Expired => json!({}),
        }
    }
}

pub(super) fn metadata() -> Value {
    json!({"team": 7, "urgent": false, "case_id": "C-1029"})
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

/// Pay does not report the amount of a single refund, only the sum of all.
fn refund_summary(event: EventDetails) -> Value {
    let (status, available, submitted) = match event.event {
        PaymentEvent::Succeeded | PaymentEvent::Expired => ("pending", 5000, 0),
        PaymentEvent::Captured => ("available", 5000, 0),
        PaymentEvent::Refunded if event.refunds > 1 => ("available", 1000, 4000),
        PaymentEvent::Refunded => ("available", 3500, 1500),
        PaymentEvent::Failed => ("unavailable", 5000, 0),
    };
    json!({"status": status, "amount_available": available, "amount_submitted": submitted})
}

/// The details of a rejected card contain nulls.
pub(super) fn card_details(rejected: bool) -> Value {
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
    if rejected {
        card["card_type"] = Value::Null;
        card["card_brand"] = json!("Mastercard");
        card["billing_address"] = Value::Null;
    }
    card
}

/// A message for a new payment, whose `event` happens now.
pub fn body(event: PaymentEvent, clock: &dyn Clock) -> MessageBody {
    Payment::new(clock.now().minus(event.after()), clock).body(event, clock)
}

/// The request that carries `body`. Pay sets the first two headers, its HTTP client the rest.
pub(super) fn webhook_request(body: &MessageBody, secret: &str, url: &Url) -> SenderRequest {
    let signature = signature::sign(Sender::GovukPay, secret, body.signed.as_bytes());
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        (Sender::GovukPay.signature_header(), signature),
        ("Accept-Encoding", "gzip, deflate, x-gzip".to_owned()),
        ("Host", target::host_header(url)),
        ("Content-Length", body.wire.len().to_string()),
        ("Connection", "keep-alive".to_owned()),
        (
            "User-Agent",
            "Apache-HttpClient/5.6.4 (Java/25.0.1)".to_owned(),
        ),
    ];
    SenderRequest::post(&headers, body)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::TestClock, *};

    #[test]
    fn an_event_is_parsed_from_its_short_and_its_full_name() {
        for (short, event) in EVENTS.iter().zip(PaymentEvent::ALL) {
            assert_eq!(PaymentEvent::named(short), Ok(event));
            assert_eq!(PaymentEvent::named(event.as_str()), Ok(event));
        }
        for name in [
            "",
            "started",
            "card_payment_settled",
            "card_payment_card_payment_failed",
            "Succeeded",
        ] {
            assert_eq!(PaymentEvent::named(name).unwrap_err().name, name);
        }
    }

    #[test]
    fn the_events_of_one_payment_are_consistent() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        let bodies = PaymentEvent::ALL.map(|event| payment.body(event, &clock));
        let values = bodies
            .each_ref()
            .map(|body| serde_json::from_str::<Value>(&body.wire).unwrap());

        for (body, value) in bodies.iter().zip(&values) {
            assert_eq!(value["webhook_message_id"], body.id);
            assert_eq!(value["resource_id"], payment.id);
            assert_eq!(value["resource"]["payment_id"], payment.id);
            assert_eq!(value["resource"]["created_date"], clock.now().to_string());
            assert!(value["created_date"].as_str() > value["resource"]["created_date"].as_str());
            assert_eq!(body.signed, body.wire);
        }
        let [succeeded, captured, refunded, ..] = &values;
        let settled = |value: &Value| value["resource"]["settlement_summary"].clone();
        assert_eq!(settled(captured), settled(refunded));
        assert_eq!(settled(succeeded), json!({}));
        assert!(
            succeeded["created_date"].as_str() < settled(captured)["capture_submit_time"].as_str()
        );
        assert!(
            settled(captured)["capture_submit_time"].as_str() < captured["created_date"].as_str()
        );
    }

    #[test]
    fn refunds_are_reported_as_a_growing_sum() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        let bodies = [
            payment.body(PaymentEvent::Refunded, &clock),
            payment.second_refund(&clock),
        ];
        let [first, second] = bodies.map(|body| serde_json::from_str::<Value>(&body.wire).unwrap());
        let summary = |value: &Value| value["resource"]["refund_summary"].clone();
        let sums = |available: u32, submitted: u32| {
            json!({
                "status": "available",
                "amount_available": available,
                "amount_submitted": submitted,
            })
        };
        assert_eq!(
            (summary(&first), summary(&second)),
            (sums(3500, 1500), sums(1000, 4000))
        );
        assert!(first["created_date"].as_str() < second["created_date"].as_str());
        assert_ne!(first["webhook_message_id"], second["webhook_message_id"]);
        assert_eq!(first["resource_id"], second["resource_id"]);
    }

    #[test]
    fn the_reason_of_a_failure_is_only_in_the_state() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        for (failure, code, status, has_card) in [
            (FailureReason::Rejected, "P0010", "declined", true),
            (FailureReason::Cancelled, "P0030", "cancelled", false),
            (FailureReason::ProviderError, "P0050", "error", true),
        ] {
            let value: Value = serde_json::from_str(&payment.failed(failure, &clock).wire).unwrap();
            assert_eq!(value["event_type"], "card_payment_failed");
            let state = &value["resource"]["state"];
            assert_eq!(
                (&state["code"], &state["status"], &state["finished"]),
                (&json!(code), &json!(status), &json!(true))
            );
            assert_eq!(
                value["resource"].get("card_details").is_some(),
                has_card,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn a_single_event_happens_now() {
        let clock = TestClock::new();
        for event in PaymentEvent::ALL {
            let value: Value = serde_json::from_str(&body(event, &clock).wire).unwrap();
            assert_eq!(value["created_date"], clock.now().to_string());
        }
    }

    #[test]
    fn a_post_has_pays_headers_in_pays_order() {
        let body = body(PaymentEvent::Succeeded, &TestClock::new());
        let request = webhook_request(
            &body,
            "webhook_test_abc",
            &Url::parse("http://127.0.0.1:8080/pay").unwrap(),
        );
        let names: Vec<&str> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let expected = [
            "Content-Type",
            "Pay-Signature",
            "Accept-Encoding",
            "Host",
            "Content-Length",
            "Connection",
            "User-Agent",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            request.headers[1].1,
            signature::hmac_sha256("webhook_test_abc", body.wire.as_bytes())
        );
        assert_eq!(request.headers[3].1, "127.0.0.1:8080");
        assert_eq!(request.headers[4].1, request.body.len().to_string());
    }
}
