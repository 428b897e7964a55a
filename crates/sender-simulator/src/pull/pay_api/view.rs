//! A payment as the API shows it at an instant. The order of keys carries no meaning.

use serde_json::{Value, json};

use super::{life::Step, payment::Payment};
use crate::{
    Timestamp,
    govuk_pay::{self, AMOUNT, REFUNDS},
};

/// The payment itself, the same by its id and in a search.
pub(super) fn payment(payment: &Payment, origin: &str, now: Timestamp) -> Value {
    let state = payment.state(now);
    let mut shown = payment.story.constants();
    shown["state"] = state.json();
    shown["metadata"] = govuk_pay::metadata();
    shown["authorisation_mode"] = json!("web");
    shown["refund_summary"] = refund_summary(payment, now);
    shown["settlement_summary"] = settlement_summary(payment, now);
    if payment.has(Step::Submitted, now) {
        let card = govuk_pay::card_details(payment.has(Step::Rejected, now));
        shown["card_brand"] = card["card_brand"].clone(); // deprecated, and still there
        shown["card_details"] = card;
    }
    shown["_links"] = links(payment, origin, state.finished);
    shown
}

/// The history of its states: captures, refunds and settlement are none.
pub(super) fn events(payment: &Payment, origin: &str, now: Timestamp) -> Value {
    let url = url(payment, origin);
    let event = |step: Step| {
        Some(json!({
            "payment_id": payment.id(),
            "state": step.state()?.json(),
            "updated": payment.at(step).to_string(),
            "_links": {"payment_url": get(&url)},
        }))
    };
    let events: Vec<Value> = payment.steps_by(now).filter_map(event).collect();
    json!({"payment_id": payment.id(), "events": events, "_links": {"self": get(&format!("{url}/events"))}})
}

/// Its refunds, each as far as it has come.
pub(super) fn refunds(payment: &Payment, origin: &str, now: Timestamp) -> Value {
    let url = url(payment, origin);
    let refund = |step: Step| {
        let Step::RefundSubmitted(n) = step else {
            return None;
        };
        let id = &payment.refund_ids[n];
        let status = if payment.has(Step::Refunded(n), now) {
            "success"
        } else if payment.has(Step::RefundFailed(n), now) {
            "error"
        } else {
            "submitted"
        };
        Some(json!({
            "refund_id": id,
            "created_date": payment.at(step).to_string(),
            "amount": REFUNDS[n],
            "status": status,
            "settlement_summary": {},
            "_links": {"self": get(&format!("{url}/refunds/{id}")), "payment": get(&url)},
        }))
    };
    let refunds: Vec<Value> = payment.steps_by(now).filter_map(refund).collect();
    json!({
        "payment_id": payment.id(),
        "_links": {"self": get(&format!("{url}/refunds")), "payment": get(&url)},
        "_embedded": {"refunds": refunds},
    })
}

/// A refund counts from when it is asked for, and no more once it has failed.
fn refund_summary(payment: &Payment, now: Timestamp) -> Value {
    let submitted: u32 = payment
        .steps_by(now)
        .map(|step| match step {
            Step::RefundSubmitted(n) if !payment.has(Step::RefundFailed(n), now) => REFUNDS[n],
            _ => 0,
        })
        .sum();
    let status = match payment.state(now).status {
        "success" if payment.has(Step::Captured, now) => "available",
        "failed" | "cancelled" | "error" => "unavailable",
        _ => "pending",
    };
    json!({"status": status, "amount_available": AMOUNT - submitted, "amount_submitted": submitted})
}

fn settlement_summary(payment: &Payment, now: Timestamp) -> Value {
    let mut summary = json!({});
    if payment.has(Step::CaptureSubmitted, now) {
        summary["capture_submit_time"] = json!(payment.at(Step::CaptureSubmitted).to_string());
    }
    if payment.has(Step::Captured, now) {
        // The day the provider was asked, as a webhook tells it.
        summary["captured_date"] = json!(
            payment
                .at(Step::CaptureSubmitted)
                .to_string()
                .split('T')
                .next()
        );
    }
    summary
}

fn links(payment: &Payment, origin: &str, finished: bool) -> Value {
    let url = url(payment, origin);
    let mut links = json!({
        "self": get(&url),
        "events": get(&format!("{url}/events")),
        "refunds": get(&format!("{url}/refunds")),
    });
    if !finished {
        links["cancel"] = json!({"href": format!("{url}/cancel"), "method": "POST"});
    }
    links
}

fn url(payment: &Payment, origin: &str) -> String {
    format!("{origin}/v1/payments/{}", payment.id())
}

fn get(url: &str) -> Value {
    json!({"href": url, "method": "GET"})
}
