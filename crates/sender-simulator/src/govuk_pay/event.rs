//! The events of a payment, and the kinds of payment that have them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{EVENTS, SECOND_REFUND, payment::SURCHARGE};
use crate::UnknownEventError;

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
    /// Captured only when the service requests it.
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
    pub(crate) fn wallet(self) -> Option<&'static str> {
        match self {
            Self::ApplePay => Some("Apple Pay"),
            Self::GooglePay => Some("Google Pay"),
            _ => None,
        }
    }

    /// The surcharge in pence, which the amount does not include.
    pub(super) fn surcharge(self) -> Option<u32> {
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

/// An event of one payment. Only refunds occur more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventDetails {
    pub(super) event: PaymentEvent,
    /// The number of successful refunds, this one included.
    pub(super) refunds: u8,
    /// The reason, for a failed payment.
    pub(super) failure: FailureReason,
}

impl FailureReason {
    pub(super) fn state(self) -> Value {
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
    pub(super) fn first(event: PaymentEvent) -> Self {
        Self {
            event,
            refunds: u8::from(event == PaymentEvent::Refunded),
            failure: FailureReason::Rejected,
        }
    }

    pub(super) fn after(self) -> Duration {
        if self.refunds > 1 {
            SECOND_REFUND
        } else {
            self.event.after()
        }
    }

    pub(super) fn is_rejection(self) -> bool {
        self.event == PaymentEvent::Failed && self.failure == FailureReason::Rejected
    }

    /// Whether the user entered a card.
    pub(super) fn has_card(self) -> bool {
        self.event != PaymentEvent::Expired && self.failure != FailureReason::Cancelled
    }
}
