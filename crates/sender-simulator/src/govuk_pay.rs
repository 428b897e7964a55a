//! GOV.UK Pay webhooks: five events of a consistent payment of one of seven kinds.
//!
//! The facts come from alphagov/pay-webhooks and from real messages in the public tests of
//! receiving services.

pub(crate) mod event;
mod payment;

use std::time::Duration;

use url::Url;

use super::{Clock, MessageBody, Sender, SenderRequest, UnknownEventError, signature, target};

pub use event::{PaymentEvent, PaymentKind};
pub use payment::PaymentMessages;

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

/// From a payment's creation to its capture request.
pub(super) const CAPTURE_SUBMITTED: Duration = Duration::from_millis(116_087);

/// From a payment's creation to the success of its second refund.
pub(super) const SECOND_REFUND: Duration = Duration::from_millis(95_406_511);

/// A message for a new payment, whose `event` happens now.
pub fn body(event: PaymentEvent, clock: &dyn Clock) -> MessageBody {
    PaymentMessages::new(clock.now().minus(event.after()), clock).body(event, clock)
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
    let payment = PaymentMessages::new(clock.now().minus(event.after()), clock);
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
    use serde_json::{Value, json};

    use super::{event::FailureReason, *};
    use crate::{Timestamp, tests::TestClock};

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
        let payment = PaymentMessages::new(clock.now(), &clock);
        let bodies = PaymentEvent::ALL.map(|event| payment.body(event, &clock));
        let values = bodies
            .each_ref()
            .map(|body| serde_json::from_str::<Value>(&body.wire).unwrap());

        for (body, value) in bodies.iter().zip(&values) {
            assert_eq!(value["webhook_message_id"], body.id);
            assert_eq!(value["resource_id"], payment.id());
            assert_eq!(value["resource"]["payment_id"], payment.id());
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
            let payment = PaymentMessages::new(Timestamp::parse(created).unwrap(), &clock);
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
    fn each_kind_of_payment_has_different_fields() {
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
        let payment = PaymentMessages::new(clock.now(), &clock);
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
        let payment = PaymentMessages::new(clock.now(), &clock);
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
        let expected = [
            "Content-Type",
            "Pay-Signature",
            "Accept-Encoding",
            "Host",
            "Content-Length",
            "Connection",
            "User-Agent",
        ];
        assert_eq!(request.header_names(), expected);
        assert_eq!(
            request.headers[1].1,
            signature::hmac_sha256("webhook_test_abc", body.wire.as_bytes())
        );
        assert_eq!(request.headers[3].1, "127.0.0.1:8080");
        assert_eq!(request.headers[4].1, request.body.len().to_string());
    }
}
