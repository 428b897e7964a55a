//! A payment with a lifecycle: its webhooks, and its state in the API.

use std::time::Duration;

use super::lifecycle::{PaymentLifecycle, PaymentStep, SimulatedPaymentState};
use crate::{
    Clock, MessageBody, Timestamp,
    govuk_pay::{self, PaymentEvent, PaymentKind, event::FailureReason},
    ids,
};

/// A payment and its lifecycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedPayment {
    pub(super) payment: govuk_pay::PaymentMessages,
    pub(super) lifecycle: PaymentLifecycle,
    pub(super) refund_ids: [String; 2],
    /// How much later than usual it is refunded.
    refund_delay: Duration,
}

/// A webhook of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentWebhook {
    /// The event.
    pub event: PaymentEvent,
    /// The date of the event, as in the message.
    pub at: Timestamp,
    /// The message, which has a new id.
    pub body: MessageBody,
}

impl SimulatedPayment {
    /// A payment created at `created`.
    pub fn new(lifecycle: PaymentLifecycle, created: Timestamp, clock: &dyn Clock) -> Self {
        let payment = govuk_pay::PaymentMessages::new(created, clock);
        Self {
            payment,
            lifecycle,
            refund_ids: [ids::pay_id(clock), ids::pay_id(clock)],
            refund_delay: Duration::ZERO,
        }
    }

    /// The same payment, refunded this much later than usual.
    #[must_use]
    pub fn with_refund_delay(self, refund_delay: Duration) -> Self {
        Self {
            refund_delay,
            ..self
        }
    }

    /// The same payment, of another kind.
    #[must_use]
    pub fn with_kind(self, kind: PaymentKind) -> Self {
        Self {
            payment: self.payment.with_kind(kind),
            ..self
        }
    }

    /// `count` payments, the first created at `first`, each `every` after the one before.
    pub fn several(
        lifecycle: PaymentLifecycle,
        count: u32,
        first: Timestamp,
        every: Duration,
        clock: &dyn Clock,
    ) -> Vec<Self> {
        (0..count)
            .map(|n| Self::new(lifecycle, first.plus(every.saturating_mul(n)), clock))
            .collect()
    }

    /// The id, equal in webhooks and in the API.
    pub fn id(&self) -> &str {
        self.payment.id()
    }

    /// The service's reference.
    pub fn reference(&self) -> &str {
        self.payment.reference()
    }

    /// The creation date.
    pub fn created(&self) -> Timestamp {
        self.payment.created()
    }

    /// The lifecycle.
    pub fn lifecycle(&self) -> PaymentLifecycle {
        self.lifecycle
    }

    /// All webhooks of the whole lifecycle, in the order of their events. The caller leaves out
    /// those of the future, and those that it wants to lose.
    pub fn webhooks(&self, clock: &dyn Clock) -> Vec<PaymentWebhook> {
        self.lifecycle
            .steps()
            .iter()
            .filter_map(|step| self.webhook(*step, clock))
            .collect()
    }

    fn webhook(&self, step: PaymentStep, clock: &dyn Clock) -> Option<PaymentWebhook> {
        let payment = &self.payment;
        let usual = |event| (event, payment.body(event, clock));
        let (event, body) = match step {
            PaymentStep::Succeeded if payment.kind() == PaymentKind::Telephone => return None,
            PaymentStep::Succeeded => usual(PaymentEvent::Succeeded),
            PaymentStep::Captured => usual(PaymentEvent::Captured),
            PaymentStep::Refunded(0) => usual(PaymentEvent::Refunded),
            PaymentStep::Refunded(_) => (PaymentEvent::Refunded, payment.second_refund(clock)),
            PaymentStep::Expired => usual(PaymentEvent::Expired),
            PaymentStep::Rejected => (
                PaymentEvent::Failed,
                payment.failed(FailureReason::Rejected, clock),
            ),
            PaymentStep::CancelledByUser | PaymentStep::CancelledByService => (
                PaymentEvent::Failed,
                self.payment.failed(FailureReason::Cancelled, clock),
            ),
            PaymentStep::ProviderError => (
                PaymentEvent::Failed,
                self.payment.failed(FailureReason::ProviderError, clock),
            ),
            PaymentStep::Created
            | PaymentStep::Started
            | PaymentStep::Submitted
            | PaymentStep::Capturable
            | PaymentStep::CaptureSubmitted
            | PaymentStep::RefundSubmitted(_)
            | PaymentStep::RefundFailed(_)
            | PaymentStep::CaptureFailed => return None,
        };
        Some(PaymentWebhook {
            event,
            at: self.at(step),
            body,
        })
    }

    /// The steps up to `now`, in order.
    pub(super) fn steps_until(
        &self,
        now: Timestamp,
    ) -> impl DoubleEndedIterator<Item = PaymentStep> {
        self.lifecycle
            .steps()
            .iter()
            .copied()
            .filter(move |step| self.at(*step) <= now)
    }

    /// The state at `now`; the first state before its creation.
    pub(super) fn state(&self, now: Timestamp) -> SimulatedPaymentState {
        let latest = self.steps_until(now).rev().find_map(PaymentStep::state);
        latest
            .or_else(|| PaymentStep::Created.state())
            .expect("a payment is created in a state")
    }

    /// Whether the step has happened by `now`.
    pub(super) fn has(&self, step: PaymentStep, now: Timestamp) -> bool {
        self.steps_until(now).any(|past| past == step)
    }

    /// The date of a step.
    pub(super) fn at(&self, step: PaymentStep) -> Timestamp {
        let delay = match step {
            PaymentStep::RefundSubmitted(_)
            | PaymentStep::Refunded(_)
            | PaymentStep::RefundFailed(_) => self.refund_delay,
            _ => Duration::ZERO,
        };
        self.created().plus(step.after()).plus(delay)
    }
}
