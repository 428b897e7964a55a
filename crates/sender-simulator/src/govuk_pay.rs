//! GOV.UK Pay webhooks: five events of a consistent payment of one of seven kinds.
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

/// The names of the messages that can be requested: first the events of an ordinary card payment,
/// by their short names, then the other kinds of payment, each with its first event.
pub const EVENTS: &[&str] = &[
    "succeeded",
    "captured",
    "refunded",
    "failed",
    "expired",
    "apple-pay",
    "google-pay",
    "telephone",
    "delayed-capture",
    "agreement",
    "corporate-surcharge",
];

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

/// A kind of payment. The same events of each have other fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaymentKind {
    /// A card, entered on Pay's page.
    #[default]
    Card,
    /// Apple Pay.
    ApplePay,
    /// Google Pay.
    GooglePay,
    /// Taken over the telephone by a provider that reports it to Pay. Its success is not sent.
    Telephone,
    /// Captured only when the service asks for it.
    DelayedCapture,
    /// Taken under an agreement, without the user.
    Agreement,
    /// A corporate card, with a surcharge.
    CorporateSurcharge,
}

impl PaymentKind {
    /// All kinds but an ordinary card payment, in the order of [`EVENTS`].
    pub const SPECIAL: [Self; 6] = [
        Self::ApplePay,
        Self::GooglePay,
        Self::Telephone,
        Self::DelayedCapture,
        Self::Agreement,
        Self::CorporateSurcharge,
    ];

    /// The name. Webhooks do not contain it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::ApplePay => "apple-pay",
            Self::GooglePay => "google-pay",
            Self::Telephone => "telephone",
            Self::DelayedCapture => "delayed-capture",
            Self::Agreement => "agreement",
            Self::CorporateSurcharge => "corporate-surcharge",
        }
    }

    /// The first event that Pay sends for a payment that succeeds.
    pub fn first_event(self) -> PaymentEvent {
        match self {
            Self::Telephone => PaymentEvent::Captured,
            _ => PaymentEvent::Succeeded,
        }
    }

    /// The digital wallet, as Pay's API names it. Webhooks do not.
    pub(super) fn wallet(self) -> Option<&'static str> {
        match self {
            Self::ApplePay => Some("Apple Pay"),
            Self::GooglePay => Some("Google Pay"),
            _ => None,
        }
    }

    /// The surcharge in pence, which the amount does not include.
    fn surcharge(self) -> Option<u32> {
        (self == Self::CorporateSurcharge).then_some(SURCHARGE)
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
const AMOUNT: u32 = 5000;
/// The surcharge of a corporate card, in pence.
const SURCHARGE: u32 = 250;
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
    kind: PaymentKind,
}

impl Payment {
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
    pub(super) fn constants(&self) -> Value {
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

    /// The service's metadata; of a telephone payment, what its provider reported.
    pub(super) fn metadata(&self) -> Value {
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

    /// Adds what is known once there is a card. The details of a rejected card contain nulls.
    pub(super) fn add_card(&self, payment: &mut Value, rejected: bool) {
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
    pub(super) fn total(&self) -> u32 {
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
    pub(super) fn captured_date(&self) -> String {
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

/// A message for a new payment, whose `event` happens now.
pub fn body(event: PaymentEvent, clock: &dyn Clock) -> MessageBody {
    Payment::new(clock.now().minus(event.after()), clock).body(event, clock)
}

/// A message by one of [`EVENTS`], or by an event's full name.
pub(super) fn named(name: &str, clock: &dyn Clock) -> Result<MessageBody, UnknownEventError> {
    let is_named = |kind: &PaymentKind| kind.as_str() == name;
    match PaymentKind::SPECIAL.into_iter().find(is_named) {
        Some(kind) => Ok(body_of_kind(kind, clock)),
        None => Ok(body(PaymentEvent::named(name)?, clock)),
    }
}

/// A message for a new payment of this kind, whose first event happens now.
pub fn body_of_kind(kind: PaymentKind, clock: &dyn Clock) -> MessageBody {
    let event = kind.first_event();
    let payment = Payment::new(clock.now().minus(event.after()), clock);
    payment.with_kind(kind).body(event, clock)
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
    fn the_captured_date_is_the_day_of_the_confirmation() {
        let clock = TestClock::new();
        for (created, day) in [
            ("2026-03-02T10:14:02.117Z", "2026-03-02"),
            // Requested on 2 March and confirmed on 3 March.
            ("2026-03-02T23:57:50.000Z", "2026-03-03"),
            ("2026-03-02T23:59:59.000Z", "2026-03-03"),
        ] {
            let payment = Payment::new(Timestamp::parse(created).unwrap(), &clock);
            for event in [PaymentEvent::Captured, PaymentEvent::Refunded] {
                let body = payment.body(event, &clock);
                let value: Value = serde_json::from_str(&body.wire).unwrap();
                let captured = &value["resource"]["settlement_summary"]["captured_date"];
                assert_eq!(captured, day, "{created}");
            }
        }
    }

    /// A kind, its event, and the fields of the payment that set it apart from a card payment.
    type KindCase = (
        PaymentKind,
        &'static str,
        &'static [(&'static str, &'static str)],
    );

    const KINDS: [KindCase; 6] = [
        (
            PaymentKind::ApplePay,
            "card_payment_succeeded",
            &[
                ("/email", ""),
                ("/card_details/billing_address", "null"),
                ("/card_details/first_digits_card_number", "null"),
                ("/card_details/last_digits_card_number", r#""4242""#),
                ("/card_details/wallet_type", ""),
            ],
        ),
        (
            PaymentKind::GooglePay,
            "card_payment_succeeded",
            &[("/email", ""), ("/card_details/billing_address", "null")],
        ),
        (
            PaymentKind::Telephone,
            "card_payment_captured",
            &[
                ("/return_url", ""),
                ("/card_details/card_type", "null"),
                ("/authorisation_summary", ""),
                ("/metadata/auth_code", r#""666""#),
            ],
        ),
        (
            PaymentKind::DelayedCapture,
            "card_payment_succeeded",
            &[("/delayed_capture", "true")],
        ),
        (
            PaymentKind::Agreement,
            "card_payment_succeeded",
            &[
                ("/return_url", ""),
                ("/agreement_id", ""),
                ("/email", r#""a.tester@example.com""#),
            ],
        ),
        (
            PaymentKind::CorporateSurcharge,
            "card_payment_succeeded",
            &[
                ("/amount", "5000"),
                ("/total_amount", "5250"),
                ("/corporate_card_surcharge", "250"),
                ("/refund_summary/amount_available", "5250"),
            ],
        ),
    ];

    #[test]
    fn each_kind_of_payment_has_its_own_fields() {
        let clock = TestClock::new();
        for (kind, event, fields) in KINDS {
            let body = named(kind.as_str(), &clock).unwrap();
            let value: Value = serde_json::from_str(&body.wire).unwrap();
            assert_eq!(value["event_type"], event);
            assert_eq!(value["created_date"], clock.now().to_string());
            for (field, expected) in fields {
                let found = value["resource"].pointer(field);
                let found = found.map(Value::to_string).unwrap_or_default();
                assert_eq!(found, *expected, "{kind:?} {field}");
            }
        }
        assert_eq!(KINDS.map(|(kind, ..)| kind), PaymentKind::SPECIAL);
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
