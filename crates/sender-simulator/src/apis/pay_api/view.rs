//! The JSON of a payment at an instant. The order of keys has no meaning.

use serde_json::{Value, json};

use super::{lifecycle::PaymentStep, payment::SimulatedPayment};
use crate::{Timestamp, govuk_pay::PaymentKind};

/// The amounts of the first and second partial refund, in pence, as webhooks report them.
const REFUNDS: [u32; 2] = [1500, 2500];
/// The agreement of every payment under one.
const AGREEMENT: &str = "cgc1ocvh0pt9fqs0ma67r42l58";

/// The payment, equal by its id and in a search.
pub(super) fn payment(payment: &SimulatedPayment, origin: &str, now: Timestamp) -> Value {
    let state = payment.state(now);
    let kind = payment.payment.kind();
    let mut shown = payment.payment.constants();
    shown["state"] = state.json();
    shown["metadata"] = payment.payment.metadata();
    shown["authorisation_mode"] = json!(match kind {
        PaymentKind::Telephone => "external",
        PaymentKind::Agreement => "agreement",
        _ => "web",
    });
    if kind == PaymentKind::Agreement {
        shown["agreement_id"] = json!(AGREEMENT);
    }
    shown["refund_summary"] = refund_summary(payment, now);
    shown["settlement_summary"] = settlement_summary(payment, now);
    if payment.has(PaymentStep::Submitted, now) {
        let rejected = payment.has(PaymentStep::Rejected, now);
        payment.payment.add_card(&mut shown, rejected);
        let card = &mut shown["card_details"];
        if let Some(wallet) = kind.wallet() {
            card["wallet_type"] = json!(wallet);
        }
        shown["card_brand"] = card["card_brand"].clone(); // deprecated, but still present
    }
    shown["_links"] = links(payment, origin, state.finished);
    shown
}

/// The history of its states, without captures, refunds and settlement.
pub(super) fn events(payment: &SimulatedPayment, origin: &str, now: Timestamp) -> Value {
    let url = url(payment, origin);
    let event = |step: PaymentStep| {
        Some(json!({
            "payment_id": payment.id(),
            "state": step.state()?.json(),
            "updated": payment.at(step).to_string(),
            "_links": {"payment_url": get(&url)},
        }))
    };
    let events: Vec<Value> = payment.steps_until(now).filter_map(event).collect();
    let links = json!({"self": get(&format!("{url}/events"))});
    json!({"payment_id": payment.id(), "events": events, "_links": links})
}

/// Its refunds with their current status.
pub(super) fn refunds(payment: &SimulatedPayment, origin: &str, now: Timestamp) -> Value {
    let url = url(payment, origin);
    let refunds: Vec<Value> = refund_list(payment, origin, now)
        .into_iter()
        .map(|(_, refund)| refund)
        .collect();
    json!({
        "payment_id": payment.id(),
        "_links": {"self": get(&format!("{url}/refunds")), "payment": get(&url)},
        "_embedded": {"refunds": refunds},
    })
}

/// Its refunds as a search for refunds shows them, and when each was made.
pub(super) fn found_refunds(
    payment: &SimulatedPayment,
    origin: &str,
    now: Timestamp,
) -> Vec<(Timestamp, Value)> {
    let mut refunds = refund_list(payment, origin, now);
    for (_, refund) in &mut refunds {
        refund["payment_id"] = json!(payment.id());
    }
    refunds
}

fn refund_list(
    payment: &SimulatedPayment,
    origin: &str,
    now: Timestamp,
) -> Vec<(Timestamp, Value)> {
    let url = url(payment, origin);
    let refund = |step: PaymentStep| {
        let PaymentStep::RefundSubmitted(n) = step else {
            return None;
        };
        let id = &payment.refund_ids[n];
        let status = if payment.has(PaymentStep::Refunded(n), now) {
            "success"
        } else if payment.has(PaymentStep::RefundFailed(n), now) {
            "error"
        } else {
            "submitted"
        };
        let at = payment.at(step);
        let refund = json!({
            "refund_id": id,
            "created_date": at.to_string(),
            "amount": REFUNDS[n],
            "status": status,
            "settlement_summary": {},
            "_links": {"self": get(&format!("{url}/refunds/{id}")), "payment": get(&url)},
        });
        Some((at, refund))
    };
    payment.steps_until(now).filter_map(refund).collect()
}

/// A refund counts from its request on, and not after it failed.
fn refund_summary(payment: &SimulatedPayment, now: Timestamp) -> Value {
    let submitted: u32 = payment
        .steps_until(now)
        .map(|step| match step {
            PaymentStep::RefundSubmitted(n) if !payment.has(PaymentStep::RefundFailed(n), now) => {
                REFUNDS[n]
            }
            _ => 0,
        })
        .sum();
    let status = match payment.state(now).status {
        "success" if payment.has(PaymentStep::Captured, now) => "available",
        "failed" | "cancelled" | "error" => "unavailable",
        _ => "pending",
    };
    let available = payment.payment.total() - submitted;
    json!({"status": status, "amount_available": available, "amount_submitted": submitted})
}

fn settlement_summary(payment: &SimulatedPayment, now: Timestamp) -> Value {
    let mut summary = json!({});
    if payment.has(PaymentStep::CaptureSubmitted, now) {
        summary["capture_submit_time"] =
            json!(payment.at(PaymentStep::CaptureSubmitted).to_string());
    }
    if payment.has(PaymentStep::Captured, now) {
        summary["captured_date"] = json!(payment.payment.captured_date());
    }
    summary
}

fn links(payment: &SimulatedPayment, origin: &str, finished: bool) -> Value {
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

fn url(payment: &SimulatedPayment, origin: &str) -> String {
    format!("{origin}/v1/payments/{}", payment.id())
}

fn get(url: &str) -> Value {
    json!({"href": url, "method": "GET"})
}
