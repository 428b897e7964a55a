//! GOV.UK Pay webhooks, and payments as its API returns them.
//!
//! Facts are from alphagov/pay-webhooks, alphagov/pay-publicapi and real messages that receiving
//! services keep in their public tests.

mod api;
mod config;
mod envelope;
mod facts;
mod payment;
mod retries;
mod signature;

use std::time::Duration;

use super::SenderProtocol;

pub use facts::PaymentFacts;
pub use payment::Payment;

/// The event type of a payment that was read from Pay's API: an event of it is missing, or its
/// source has no webhook.
pub const OBSERVED_EVENT_TYPE: &str = "observed";

/// The event type of a refund.
const REFUNDED_EVENT_TYPE: &str = "card_payment_refunded";

pub(super) static PROTOCOL: SenderProtocol = SenderProtocol {
    name: "govuk-pay",
    title: "GOV.UK Pay",
    content_type: "application/json",
    signature: signature::SCHEME,
    envelope: envelope::FORMAT,
    config: config::CONFIG,
    answer_limit: Some(Duration::from_secs(3)),
    retries: retries::SCHEDULE,
    sends_challenges: false,
};
