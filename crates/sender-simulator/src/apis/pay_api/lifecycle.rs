//! The steps of a payment, from its creation on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::govuk_pay::{CAPTURE_SUBMITTED, PaymentEvent, SECOND_REFUND};

/// The lifecycle of a payment. It stays in the state of its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentLifecycle {
    /// The user never opens the link.
    Created,
    /// The user opens the card page, and never confirms.
    Started,
    /// The card authorisation never ends.
    Submitted,
    /// The service never captures the payment.
    Capturable,
    /// The user confirmed the payment. It is never captured.
    Succeeded,
    /// The provider captured the money.
    Captured,
    /// Captured and partly refunded.
    Refunded,
    /// Captured and partly refunded twice.
    RefundedTwice,
    /// Captured, with a refund that failed at the provider. No webhook reports it.
    RefundFailed,
    /// The card was rejected.
    Failed,
    /// The user did not finish in time.
    Expired,
    /// The user cancelled. The state is failed in the API, and cancelled in a webhook.
    CancelledByUser,
    /// The service cancelled. The state is cancelled in the API. A webhook is the same as for the
    /// user.
    CancelledByService,
    /// The provider returned an error before the payment succeeded.
    ProviderError,
    /// The user confirmed the payment, and the capture failed. A webhook reports the success, and
    /// none the failure.
    CaptureFailed,
}

/// A step of a payment. Refunds are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PaymentStep {
    Created,
    Started,
    Submitted,
    Capturable,
    Succeeded,
    CaptureSubmitted,
    Captured,
    RefundSubmitted(usize),
    Refunded(usize),
    RefundFailed(usize),
    Rejected,
    Expired,
    CancelledByUser,
    CancelledByService,
    ProviderError,
    CaptureFailed,
}

/// A payment's state in the API, which differs from that in a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SimulatedPaymentState {
    pub(super) status: &'static str,
    pub(super) finished: bool,
    /// A code and a message.
    failure: Option<(&'static str, &'static str)>,
}

/// The time from a refund's request to its success.
const REFUND_TAKES: Duration = Duration::from_secs(90);

/// The longest lifecycle. Several others are a part of it.
const LONGEST: &[PaymentStep] = &[
    PaymentStep::Created,
    PaymentStep::Started,
    PaymentStep::Submitted,
    PaymentStep::Succeeded,
    PaymentStep::CaptureSubmitted,
    PaymentStep::Captured,
    PaymentStep::RefundSubmitted(0),
    PaymentStep::Refunded(0),
    PaymentStep::RefundSubmitted(1),
    PaymentStep::Refunded(1),
];

impl PaymentLifecycle {
    /// All lifecycles.
    pub const ALL: [Self; 15] = [
        Self::Created,
        Self::Started,
        Self::Submitted,
        Self::Capturable,
        Self::Succeeded,
        Self::Captured,
        Self::Refunded,
        Self::RefundedTwice,
        Self::RefundFailed,
        Self::Failed,
        Self::Expired,
        Self::CancelledByUser,
        Self::CancelledByService,
        Self::ProviderError,
        Self::CaptureFailed,
    ];

    /// All steps, in order.
    pub(super) fn steps(self) -> &'static [PaymentStep] {
        use PaymentStep::{
            CaptureSubmitted, Captured, Created, RefundFailed, RefundSubmitted, Started, Submitted,
            Succeeded,
        };
        match self {
            Self::Created => &LONGEST[..1],
            Self::Started => &LONGEST[..2],
            Self::Submitted => &LONGEST[..3],
            Self::Capturable => &[Created, Started, Submitted, PaymentStep::Capturable],
            Self::Succeeded => &LONGEST[..4],
            Self::Captured => &LONGEST[..6],
            Self::Refunded => &LONGEST[..8],
            Self::RefundedTwice => LONGEST,
            Self::RefundFailed => &[
                Created,
                Started,
                Submitted,
                Succeeded,
                CaptureSubmitted,
                Captured,
                RefundSubmitted(0),
                RefundFailed(0),
            ],
            Self::Failed => &[Created, Started, Submitted, PaymentStep::Rejected],
            Self::Expired => &[Created, Started, PaymentStep::Expired],
            Self::CancelledByUser => &[Created, Started, PaymentStep::CancelledByUser],
            Self::CancelledByService => &[Created, Started, PaymentStep::CancelledByService],
            Self::ProviderError => &[Created, Started, Submitted, PaymentStep::ProviderError],
            Self::CaptureFailed => &[
                Created,
                Started,
                Submitted,
                Succeeded,
                CaptureSubmitted,
                PaymentStep::CaptureFailed,
            ],
        }
    }
}

impl PaymentStep {
    /// The time from the payment's creation to the step. Steps with a webhook have its date.
    pub(super) fn after(self) -> Duration {
        match self {
            Self::Created => Duration::ZERO,
            Self::Started => Duration::from_millis(3_217),
            Self::Submitted => Duration::from_millis(75_040),
            Self::Capturable | Self::Succeeded => PaymentEvent::Succeeded.after(),
            Self::CaptureSubmitted => CAPTURE_SUBMITTED,
            Self::Captured | Self::CaptureFailed => PaymentEvent::Captured.after(),
            Self::RefundSubmitted(n) => Self::Refunded(n).after().saturating_sub(REFUND_TAKES),
            Self::Refunded(0) | Self::RefundFailed(0) => PaymentEvent::Refunded.after(),
            Self::Refunded(_) | Self::RefundFailed(_) => SECOND_REFUND,
            Self::Rejected
            | Self::CancelledByUser
            | Self::CancelledByService
            | Self::ProviderError => PaymentEvent::Failed.after(),
            Self::Expired => PaymentEvent::Expired.after(),
        }
    }

    /// The state after this step; `None` if the step does not change it.
    pub(super) fn state(self) -> Option<SimulatedPaymentState> {
        let state = |status, finished, failure| {
            Some(SimulatedPaymentState {
                status,
                finished,
                failure,
            })
        };
        let open = |status| state(status, false, None);
        let failed = |status, code, message| state(status, true, Some((code, message)));
        match self {
            Self::Created => open("created"),
            Self::Started => open("started"),
            Self::Submitted => open("submitted"),
            Self::Capturable => open("capturable"),
            Self::Succeeded => state("success", true, None),
            Self::Rejected => failed("failed", "P0010", "Payment method rejected"),
            Self::Expired => failed("failed", "P0020", "Payment expired"),
            Self::CancelledByUser => failed("failed", "P0030", "Payment was cancelled by the user"),
            Self::CancelledByService => {
                failed("cancelled", "P0040", "Payment was cancelled by the service")
            }
            Self::ProviderError | Self::CaptureFailed => {
                failed("error", "P0050", "Payment provider returned an error")
            }
            Self::CaptureSubmitted
            | Self::Captured
            | Self::RefundSubmitted(_)
            | Self::Refunded(_)
            | Self::RefundFailed(_) => None,
        }
    }
}

impl SimulatedPaymentState {
    /// The JSON in the API.
    pub(super) fn json(self) -> Value {
        let mut shown = json!({"status": self.status, "finished": self.finished});
        if let Some((code, message)) = self.failure {
            shown["code"] = json!(code);
            shown["message"] = json!(message);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lifecycle_begins_with_creation_and_its_steps_are_in_order() {
        for lifecycle in PaymentLifecycle::ALL {
            let steps = lifecycle.steps();
            assert_eq!(steps[0], PaymentStep::Created);
            assert!(
                steps
                    .windows(2)
                    .all(|pair| pair[0].after() < pair[1].after()),
                "{lifecycle:?}"
            );
        }
    }

    #[test]
    fn only_a_failed_capture_follows_a_finished_state() {
        for lifecycle in PaymentLifecycle::ALL {
            let states: Vec<SimulatedPaymentState> = lifecycle
                .steps()
                .iter()
                .filter_map(|step| step.state())
                .collect();
            let reopened = states.iter().rev().skip(1).any(|state| state.finished);
            assert_eq!(
                reopened,
                lifecycle == PaymentLifecycle::CaptureFailed,
                "{lifecycle:?}"
            );
        }
    }
}
