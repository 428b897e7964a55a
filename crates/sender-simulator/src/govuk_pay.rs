//! GOV.UK Pay webhooks, played: five events of a payment that hangs together.
//!
//! Facts are from alphagov/pay-webhooks and from real messages that receiving services keep in
//! their public tests.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{Body, Request, Sender, UnknownEvent, json, random, sign, target};
use crate::{Clock, Timestamp};

/// The events it can be asked for by name; the full names are the ones on the wire.
pub const EVENTS: &[&str] = &["succeeded", "captured", "refunded", "failed", "expired"];

/// Every event that Pay sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The user confirmed; money has not moved.
    Succeeded,
    /// The payment provider has captured the money.
    Captured,
    /// A refund went through, partial or full.
    Refunded,
    /// The payment method was rejected.
    Failed,
    /// The user did not finish in time.
    Expired,
}

impl Event {
    /// All of them, in the order of [`EVENTS`].
    pub const ALL: [Self; 5] = [
        Self::Succeeded,
        Self::Captured,
        Self::Refunded,
        Self::Failed,
        Self::Expired,
    ];

    /// The event's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "card_payment_succeeded",
            Self::Captured => "card_payment_captured",
            Self::Refunded => "card_payment_refunded",
            Self::Failed => "card_payment_failed",
            Self::Expired => "card_payment_expired",
        }
    }

    /// Reads a name, short or as on the wire.
    pub fn named(name: &str) -> Result<Self, UnknownEvent> {
        let is_called = |event: &Self| {
            let full = event.as_str();
            full == name || full.strip_prefix("card_payment_") == Some(name)
        };
        let unknown = || UnknownEvent {
            name: name.to_owned(),
            known: EVENTS,
        };
        Self::ALL.into_iter().find(is_called).ok_or_else(unknown)
    }

    /// How long after the payment began the event happens.
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

/// Why a payment failed. All of these are one event to a receiver, and differ in the payment's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The payment method was rejected.
    Rejected,
    /// By the user or by the service: a webhook tells both as by the user.
    Cancelled,
    /// The payment provider answered with an error.
    ProviderError,
}

/// What every payment here is about, in pence.
pub(super) const AMOUNT: u32 = 5000;
/// What the first of two partial refunds gives back, in pence, and the second.
pub(super) const REFUNDS: [u32; 2] = [1500, 2500];
/// From a payment's beginning until its capture was asked for.
pub(super) const CAPTURE_SUBMITTED: Duration = Duration::from_millis(116_087);
/// From a payment's beginning until its second refund went through.
pub(super) const SECOND_REFUND: Duration = Duration::from_millis(95_406_511);

/// An event of one payment; only refunds come more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    event: Event,
    /// How many refunds have gone through by then.
    refunds: u8,
    /// Why, if the event is that it failed.
    failure: Failure,
}

impl Failure {
    fn state(self) -> Value {
        let (code, status, message) = match self {
            Self::Rejected => ("P0010", "declined", "Payment method rejected"),
            Self::Cancelled => ("P0030", "cancelled", "Payment was cancelled by the user"),
            Self::ProviderError => ("P0050", "error", "Payment provider returned an error"),
        };
        json!({"code": code, "status": status, "message": message, "finished": true})
    }
}

impl Moment {
    /// The first of its kind.
    fn first(event: Event) -> Self {
        Self {
            event,
            refunds: u8::from(event == Event::Refunded),
            failure: Failure::Rejected,
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
        self.event == Event::Failed && self.failure == Failure::Rejected
    }

    /// Whether the user got as far as a card.
    fn has_card(self) -> bool {
        self.event != Event::Expired && self.failure != Failure::Cancelled
    }
}

/// One payment, whose events all tell the same story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    id: String,
    reference: String,
    created: Timestamp,
}

impl Payment {
    /// A payment begun at `created`.
    pub fn new(created: Timestamp, clock: &dyn Clock) -> Self {
        let reference = format!("PILLARBOX-TEST-{}", random::hex16(clock));
        Self {
            id: random::pay_id(clock),
            reference,
            created,
        }
    }

    /// The message about `event`, under a new id. The event's date is the payment's beginning plus
    /// [`Event::after`].
    pub fn body(&self, event: Event, clock: &dyn Clock) -> Body {
        self.tell(Moment::first(event), clock)
    }

    /// The message about the second of two partial refunds, a few hours after the first.
    pub fn second_refund(&self, clock: &dyn Clock) -> Body {
        self.tell(
            Moment {
                refunds: 2,
                ..Moment::first(Event::Refunded)
            },
            clock,
        )
    }

    /// The message that the payment failed, and why.
    pub fn failed(&self, failure: Failure, clock: &dyn Clock) -> Body {
        self.tell(
            Moment {
                failure,
                ..Moment::first(Event::Failed)
            },
            clock,
        )
    }

    /// Its id, the subject of all its messages.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the service calls it.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// When it began.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    fn tell(&self, moment: Moment, clock: &dyn Clock) -> Body {
        let id = random::pay_id(clock);
        let (event, date) = (moment.event, self.created.plus(moment.after()));
        let fields = [
            ("webhook_message_id", json::string(&id)),
            ("created_date", json::string(&date.to_string())),
            ("resource_id", json::string(&self.id)),
            ("api_version", "1".to_owned()),
            ("resource_type", json::string("PAYMENT")),
            ("event_type", json::string(event.as_str())),
            ("resource", json::jsonb(&self.resource(moment))),
        ];
        let text = json::object(&fields);
        Body {
            id,
            wire: text.clone(),
            signed: text,
        }
    }

    /// The payment as Pay's ledger shows it just after that moment.
    fn resource(&self, moment: Moment) -> Value {
        let event = moment.event;
        let mut resource = self.constants();
        resource["state"] = state(moment);
        resource["refund_summary"] = refund_summary(moment);
        resource["settlement_summary"] = self.settlement_summary(event);
        if moment.has_card() {
            resource["card_details"] = card_details(moment.is_rejection());
            resource["authorisation_summary"] = json!({"three_d_secure": {"required": false}});
        }
        if matches!(event, Event::Succeeded | Event::Captured | Event::Refunded) {
            resource["metadata"] = metadata();
        }
        resource
    }

    /// What never changes about it, and reads the same in a webhook and in the API.
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

    fn settlement_summary(&self, event: Event) -> Value {
        let submitted = self.created.plus(CAPTURE_SUBMITTED).to_string();
        match event {
            Event::Captured | Event::Refunded => json!({
                "captured_date": submitted.split('T').next(),
                "capture_submit_time": submitted,
            }),
            Event::Succeeded | Event::Failed | Event::Expired => json!({}),
        }
    }
}

pub(super) fn metadata() -> Value {
    json!({"team": 7, "urgent": false, "case_id": "C-1029"})
}

fn state(moment: Moment) -> Value {
    match moment.event {
        Event::Succeeded | Event::Captured | Event::Refunded => {
            json!({"status": "success", "finished": true})
        }
        Event::Failed => moment.failure.state(),
        Event::Expired => {
            json!({"code": "P0020", "status": "timedout", "message": "Payment expired", "finished": true})
        }
    }
}

/// Pay tells no refund's own amount, only the sum so far.
fn refund_summary(moment: Moment) -> Value {
    let (status, available, submitted) = match moment.event {
        Event::Succeeded | Event::Expired => ("pending", 5000, 0),
        Event::Captured => ("available", 5000, 0),
        Event::Refunded if moment.refunds > 1 => ("available", 1000, 4000),
        Event::Refunded => ("available", 3500, 1500),
        Event::Failed => ("unavailable", 5000, 0),
    };
    json!({"status": status, "amount_available": available, "amount_submitted": submitted})
}

/// A rejected card shows that nulls do appear in here.
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

/// A message about a payment of its own, whose `event` happens now.
pub fn body(event: Event, clock: &dyn Clock) -> Body {
    Payment::new(clock.now().minus(event.after()), clock).body(event, clock)
}

/// The request that carries `body`. Pay sets the first two headers, its HTTP client the others.
pub(super) fn post(body: &Body, secret: &str, url: &Url) -> Request {
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        (
            "Pay-Signature",
            sign::signature(Sender::GovukPay, secret, body.signed.as_bytes()),
        ),
        ("Accept-Encoding", "gzip, deflate, x-gzip".to_owned()),
        ("Host", target::host_header(url)),
        ("Content-Length", body.wire.len().to_string()),
        ("Connection", "keep-alive".to_owned()),
        (
            "User-Agent",
            "Apache-HttpClient/5.6.4 (Java/25.0.1)".to_owned(),
        ),
    ];
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Request {
        method: "POST",
        headers,
        body: body.wire.clone().into_bytes(),
        id: body.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::TestClock, *};

    #[test]
    fn an_event_is_known_by_its_short_and_its_full_name() {
        for (short, event) in EVENTS.iter().zip(Event::ALL) {
            assert_eq!(Event::named(short), Ok(event));
            assert_eq!(Event::named(event.as_str()), Ok(event));
        }
        for name in [
            "",
            "started",
            "card_payment_settled",
            "card_payment_card_payment_failed",
            "Succeeded",
        ] {
            assert_eq!(Event::named(name).unwrap_err().name, name);
        }
    }

    #[test]
    fn the_events_of_one_payment_tell_one_story() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        let bodies = Event::ALL.map(|event| payment.body(event, &clock));
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
    fn refunds_are_told_as_a_sum_that_grows() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        let bodies = [
            payment.body(Event::Refunded, &clock),
            payment.second_refund(&clock),
        ];
        let [first, second] = bodies.map(|body| serde_json::from_str::<Value>(&body.wire).unwrap());
        let summary = |value: &Value| value["resource"]["refund_summary"].clone();
        let sums = |available: u32, submitted: u32| json!({"status": "available", "amount_available": available, "amount_submitted": submitted});
        assert_eq!(
            (summary(&first), summary(&second)),
            (sums(3500, 1500), sums(1000, 4000))
        );
        assert!(first["created_date"].as_str() < second["created_date"].as_str());
        assert_ne!(first["webhook_message_id"], second["webhook_message_id"]);
        assert_eq!(first["resource_id"], second["resource_id"]);
    }

    #[test]
    fn a_failure_has_its_reason_in_the_state_and_nowhere_else() {
        let clock = TestClock::new();
        let payment = Payment::new(clock.now(), &clock);
        for (failure, code, status, has_card) in [
            (Failure::Rejected, "P0010", "declined", true),
            (Failure::Cancelled, "P0030", "cancelled", false),
            (Failure::ProviderError, "P0050", "error", true),
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
        for event in Event::ALL {
            let value: Value = serde_json::from_str(&body(event, &clock).wire).unwrap();
            assert_eq!(value["created_date"], clock.now().to_string());
        }
    }

    #[test]
    fn a_post_has_pays_headers_in_pays_order() {
        let body = body(Event::Succeeded, &TestClock::new());
        let request = post(
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
            sign::hmac_sha256("webhook_test_abc", body.wire.as_bytes())
        );
        assert_eq!(request.headers[3].1, "127.0.0.1:8080");
        assert_eq!(request.headers[4].1, request.body.len().to_string());
    }
}
