//! One payment as GOV.UK Pay's public API returns it, alone or in a list.
//!
//! The API's words for states differ from those in webhooks.

use serde::{Deserialize, de::IgnoredAny};

use super::OBSERVED_EVENT_TYPE;
use crate::{
    domain::{NotificationId, Timestamp},
    senders::{
        EventData,
        json::{self, UnreadableError},
        read::{EnvelopeFields, content_digest},
    },
};

/// The fields of a payment that decide which events are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Pay's id of the payment.
    pub id: NotificationId,
    /// When the payment was created.
    pub created_at: Timestamp,
    /// `created`, `started`, `submitted`, `capturable`, `success`, `failed`, `cancelled`, `error`.
    pub status: String,
    /// Pay's code, such as `P0010`, which distinguishes payments of one status.
    pub code: Option<String>,
    /// When Pay submitted the capture.
    pub capture_submitted_at: Option<Timestamp>,
    /// The start of the day on which the money was taken: Pay gives no time.
    pub captured_on: Option<Timestamp>,
    /// The sum of the refunds submitted so far, in pence.
    pub refunded: u64,
    /// Whether it was taken over the telephone, and reported to Pay by the provider.
    pub is_by_telephone: bool,
}

#[derive(Deserialize)]
struct PaymentAnswer {
    payment_id: String,
    created_date: String,
    state: PaymentState,
    settlement_summary: Option<PaymentSettlement>,
    refund_summary: Option<RefundSummary>,
    metadata: Option<PaymentMetadata>,
}

/// Pay keeps what the provider of a telephone payment reported in the payment's metadata.
#[derive(Deserialize)]
struct PaymentMetadata {
    processor_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct PaymentState {
    status: String,
    code: Option<String>,
}

#[derive(Default, Deserialize)]
struct PaymentSettlement {
    capture_submit_time: Option<String>,
    captured_date: Option<String>,
}

#[derive(Default, Deserialize)]
struct RefundSummary {
    amount_submitted: Option<u64>,
}

impl Payment {
    /// Reads one payment; `None` if a field that is needed is missing or malformed.
    pub fn read(json: &[u8]) -> Option<Self> {
        read(json).ok()
    }

    /// Whether its state is one that a service acts on: final, or waiting to be captured.
    pub fn is_settled(&self) -> bool {
        matches!(
            self.status.as_str(),
            "success" | "failed" | "cancelled" | "error" | "capturable"
        )
    }

    /// The id of an observation of the current payment, by which it is recorded once.
    pub fn observation_id(&self) -> String {
        let facts = hex::encode(&self.facts()[..8]);
        format!("observed-{}-{facts}", self.id.as_str())
    }

    /// What distinguishes two observations: everything a webhook could be about.
    fn facts(&self) -> [u8; 32] {
        let captured = if self.captured_on.is_some() {
            "captured"
        } else {
            "not captured"
        };
        let facts = [
            Some(self.id.as_str().to_owned()),
            Some(self.status.clone()),
            self.code.clone(),
            Some(captured.to_owned()),
            Some(self.refunded.to_string()),
        ];
        content_digest("govuk-pay-observed", &facts)
    }
}

fn read(json: &[u8]) -> Result<Payment, UnreadableError> {
    let answer: PaymentAnswer = json::object(json)?;
    let settlement = answer.settlement_summary.unwrap_or_default();
    let day = |day: String| Timestamp::parse(&format!("{day}T00:00:00Z"));
    Ok(Payment {
        id: NotificationId::new(&answer.payment_id).ok_or(UnreadableError::Id)?,
        created_at: Timestamp::parse(&answer.created_date).ok_or(UnreadableError::Date)?,
        status: answer.state.status,
        code: answer.state.code,
        capture_submitted_at: settlement
            .capture_submit_time
            .and_then(|at| Timestamp::parse(&at)),
        captured_on: settlement.captured_date.and_then(day),
        refunded: answer
            .refund_summary
            .and_then(|refunds| refunds.amount_submitted)
            .unwrap_or(0),
        is_by_telephone: answer
            .metadata
            .is_some_and(|metadata| metadata.processor_id.is_some()),
    })
}

/// The name of an observation in the ledger of its payment, made from the facts that distinguish
/// it.
pub(super) fn observed_event(id: &str) -> Option<String> {
    let (_, facts) = id.rsplit_once('-')?;
    Some(format!("{OBSERVED_EVENT_TYPE}|{facts}"))
}

/// Reads a payment that the API returned at `read_at`: an event that happened then. The same
/// payment in the same state has the same id, however often it is requested.
pub(super) fn observed(body: &[u8], read_at: Timestamp) -> Result<EnvelopeFields, UnreadableError> {
    let payment = read(body)?;
    Ok(EnvelopeFields {
        id: NotificationId::new(&payment.observation_id()).ok_or(UnreadableError::Id)?,
        event_type: OBSERVED_EVENT_TYPE.to_owned(),
        subject: Some(payment.id.as_str().to_owned()),
        event_at: read_at,
        content_digest: payment.facts(),
    })
}

/// The payment, digit for digit as the API wrote it.
pub(super) fn data(body: &[u8]) -> Option<EventData> {
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|text| json::is_json(text))?;
    Some(EventData {
        content_type: "application/json".to_owned(),
        json: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

    fn payment(state: &str, settlement: &str, refunds: &str) -> String {
        format!(
            r#"{{"amount":5000,"state":{state},"payment_id":"p1",
                "created_date":"2026-03-02T10:14:02.117Z",
                "refund_summary":{refunds},"settlement_summary":{settlement}}}"#
        )
    }

    const SUCCESS: &str = r#"{"status":"success","finished":true}"#;

    #[test]
    fn a_field_that_the_api_omits_or_sets_to_null_is_none() {
        for (settlement, refunds) in [
            ("null", "null"),
            ("{}", "{}"),
            (r#"{"captured_date":null}"#, r#"{"status":"full"}"#),
        ] {
            let read = Payment::read(payment(SUCCESS, settlement, refunds).as_bytes()).unwrap();
            assert_eq!(
                (read.captured_on, read.capture_submitted_at, read.refunded),
                (None, None, 0),
                "{settlement}"
            );
        }
        let whole = payment(
            r#"{"code":"P0010","status":"failed","message":"…","finished":true}"#,
            r#"{"capture_submit_time":"2026-03-02T10:15:58.204Z","captured_date":"2026-03-02"}"#,
            r#"{"amount_submitted":1500}"#,
        );
        let read = Payment::read(whole.as_bytes()).unwrap();
        assert_eq!(
            (read.status.as_str(), read.code.as_deref(), read.refunded),
            ("failed", Some("P0010"), 1500)
        );
        assert_eq!(
            read.captured_on.unwrap().to_string(),
            "2026-03-02T00:00:00.000Z"
        );
        assert_eq!(
            read.capture_submitted_at.unwrap().to_string(),
            "2026-03-02T10:15:58.204Z"
        );
    }

    #[test]
    fn only_a_change_that_a_webhook_could_report_makes_another_observation() {
        let id = |body: &str| {
            observed(body.as_bytes(), NOW)
                .unwrap()
                .id
                .as_str()
                .to_owned()
        };
        let paid = payment(SUCCESS, "{}", "{}");
        assert_eq!(id(&paid), "observed-p1-6b7143137ff55b56");
        for same in [
            paid.replace("5000", "6000"),
            payment(
                SUCCESS,
                r#"{"capture_submit_time":"2026-03-02T10:15:58.204Z"}"#,
                "{}",
            ),
            payment(
                SUCCESS,
                "null",
                r#"{"status":"available","amount_submitted":0}"#,
            ),
        ] {
            assert_eq!(id(&same), id(&paid), "{same}");
        }
        for other in [
            paid.replace("p1", "p2"),
            payment(r#"{"status":"error","code":"P0050"}"#, "{}", "{}"),
            payment(r#"{"status":"success","code":"P0050"}"#, "{}", "{}"),
            payment(SUCCESS, r#"{"captured_date":"2026-03-02"}"#, "{}"),
            payment(SUCCESS, "{}", r#"{"amount_submitted":1}"#),
        ] {
            assert_ne!(id(&other), id(&paid), "{other}");
        }
    }

    #[test]
    fn an_incomplete_payment_is_not_read() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"payment_id":"p1"}"#,
            &payment("{}", "{}", "{}"),
            &payment("null", "{}", "{}"),
        ] {
            assert_eq!(Payment::read(bad.as_bytes()), None, "{bad}");
        }
    }
}
