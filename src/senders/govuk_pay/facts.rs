//! The facts about a payment in a stored message, for a person who looks the payment up.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::OBSERVED_EVENT_TYPE;
use crate::senders::json;

/// The facts about a payment in a message. A field that is missing or malformed is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFacts {
    /// The service's own reference.
    pub reference: Option<String>,
    /// The amount in pence.
    pub amount: Option<u64>,
    /// The sum of the refunds submitted until then, in pence.
    pub refunded: Option<u64>,
}

#[derive(Deserialize)]
struct FactsEnvelope<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PaymentResource<'a> {
    #[serde(borrow)]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    refund_summary: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RefundTotals<'a> {
    #[serde(borrow)]
    amount_submitted: Option<&'a RawValue>,
}

/// Reads the message of an event, or the payment that the API returned.
pub(super) fn read(event_type: &str, body: &[u8]) -> Option<PaymentFacts> {
    let payment: PaymentResource<'_> = match event_type {
        OBSERVED_EVENT_TYPE => json::object(body).ok()?,
        _ => {
            let envelope: FactsEnvelope<'_> = json::object(body).ok()?;
            serde_json::from_str(envelope.resource?.get()).ok()?
        }
    };
    let refunds = payment.refund_summary.and_then(|raw| {
        let totals: RefundTotals<'_> = serde_json::from_str(raw.get()).ok()?;
        pence(totals.amount_submitted)
    });
    Some(PaymentFacts {
        reference: json::text(payment.reference),
        amount: pence(payment.amount),
        refunded: refunds,
    })
}

fn pence(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_and_the_amounts_are_read_from_a_message_and_from_a_payment() {
        let payment =
            r#"{"reference":"R-1","amount":5000,"refund_summary":{"amount_submitted":200}}"#;
        let pushed = format!("{{\"event_type\":\"card_payment_captured\",\"resource\":{payment}}}");
        let facts = PaymentFacts {
            reference: Some("R-1".to_owned()),
            amount: Some(5000),
            refunded: Some(200),
        };
        for (event_type, body, expected) in [
            (
                "card_payment_captured",
                pushed.as_str(),
                Some(facts.clone()),
            ),
            (OBSERVED_EVENT_TYPE, payment, Some(facts)),
            (
                OBSERVED_EVENT_TYPE,
                r#"{"reference":7,"amount":"x","refund_summary":null}"#,
                Some(PaymentFacts::default()),
            ),
            ("card_payment_captured", r#"{"resource":[]}"#, None),
            ("card_payment_captured", "not JSON", None),
        ] {
            assert_eq!(read(event_type, body.as_bytes()), expected, "{body}");
        }
    }
}
