//! What becomes of a payment, step by step, from its beginning on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::govuk_pay::{CAPTURE_SUBMITTED, Event, SECOND_REFUND};

/// How a payment goes. Those that end early stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// Nobody follows the link.
    Created,
    /// The user is at the card page, and stays there.
    Started,
    /// The card is being authorised, without end.
    Submitted,
    /// The service never captures what it could.
    Capturable,
    /// The user confirmed, and the capture never comes.
    Succeeded,
    /// The money has moved.
    Captured,
    /// Captured, and given back in part.
    Refunded,
    /// Captured, and given back in part, twice.
    RefundedTwice,
    /// Captured, and a refund that the provider did not carry out. No webhook tells of it.
    RefundFailed,
    /// The card was rejected.
    Failed,
    /// The user did not finish in time.
    Expired,
    /// The user gave up. The API calls it failed, a webhook cancelled.
    CancelledByUser,
    /// The service gave up. The API calls it cancelled; a webhook can't tell it from the user.
    CancelledByService,
    /// The provider answered with an error before anyone had paid.
    ProviderError,
    /// The user confirmed, and the capture failed: a webhook tells of the success, and none of the failure.
    CaptureFailed,
}

/// One thing that happens to a payment. Refunds are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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

/// A payment's state in the API's words, which are not those of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) status: &'static str,
    pub(super) finished: bool,
    /// A code and a sentence.
    failure: Option<(&'static str, &'static str)>,
}

/// How long a refund takes to go through.
const REFUND_TAKES: Duration = Duration::from_secs(90);

impl Life {
    /// All of them.
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

    /// Everything that happens, in its order.
    pub(super) fn steps(self) -> &'static [Step] {
        use Step::{
            CaptureSubmitted, Captured, Created, RefundFailed, RefundSubmitted, Refunded, Started,
            Submitted, Succeeded,
        };
        const LONGEST: &[Step] = &[
            Created,
            Started,
            Submitted,
            Succeeded,
            CaptureSubmitted,
            Captured,
            RefundSubmitted(0),
            Refunded(0),
            RefundSubmitted(1),
            Refunded(1),
        ];
        match self {
            Self::Created => &LONGEST[..1],
            Self::Started => &LONGEST[..2],
            Self::Submitted => &LONGEST[..3],
            Self::Capturable => &[Created, Started, Submitted, Step::Capturable],
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
            Self::Failed => &[Created, Started, Submitted, Step::Rejected],
            Self::Expired => &[Created, Started, Step::Expired],
            Self::CancelledByUser => &[Created, Started, Step::CancelledByUser],
            Self::CancelledByService => &[Created, Started, Step::CancelledByService],
            Self::ProviderError => &[Created, Started, Submitted, Step::ProviderError],
            Self::CaptureFailed => &[
                Created,
                Started,
                Submitted,
                Succeeded,
                CaptureSubmitted,
                Step::CaptureFailed,
            ],
        }
    }
}

impl Step {
    /// How long after the payment began it happens: what a webhook tells, at that webhook's time.
    pub(super) fn after(self) -> Duration {
        match self {
            Self::Created => Duration::ZERO,
            Self::Started => Duration::from_millis(3_217),
            Self::Submitted => Duration::from_millis(75_040),
            Self::Capturable | Self::Succeeded => Event::Succeeded.after(),
            Self::CaptureSubmitted => CAPTURE_SUBMITTED,
            Self::Captured | Self::CaptureFailed => Event::Captured.after(),
            Self::RefundSubmitted(n) => Self::Refunded(n).after().saturating_sub(REFUND_TAKES),
            Self::Refunded(0) | Self::RefundFailed(0) => Event::Refunded.after(),
            Self::Refunded(_) | Self::RefundFailed(_) => SECOND_REFUND,
            Self::Rejected
            | Self::CancelledByUser
            | Self::CancelledByService
            | Self::ProviderError => Event::Failed.after(),
            Self::Expired => Event::Expired.after(),
        }
    }

    /// The state that the payment is in from then on; `None` if it stays in the one it was in.
    pub(super) fn state(self) -> Option<State> {
        let open = |status| {
            Some(State {
                status,
                finished: false,
                failure: None,
            })
        };
        let failed = |status, code, message| {
            Some(State {
                status,
                finished: true,
                failure: Some((code, message)),
            })
        };
        match self {
            Self::Created => open("created"),
            Self::Started => open("started"),
            Self::Submitted => open("submitted"),
            Self::Capturable => open("capturable"),
            Self::Succeeded => Some(State {
                status: "success",
                finished: true,
                failure: None,
            }),
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

impl State {
    /// As the API shows it.
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
    fn every_life_begins_at_once_and_goes_on_in_time() {
        for life in Life::ALL {
            let steps = life.steps();
            assert_eq!(steps[0], Step::Created);
            assert!(
                steps
                    .windows(2)
                    .all(|pair| pair[0].after() < pair[1].after()),
                "{life:?}"
            );
        }
    }

    #[test]
    fn only_a_failed_capture_goes_on_from_a_finished_state() {
        for life in Life::ALL {
            let states: Vec<State> = life
                .steps()
                .iter()
                .filter_map(|step| step.state())
                .collect();
            let reopened = states.iter().rev().skip(1).any(|state| state.finished);
            assert_eq!(reopened, life == Life::CaptureFailed, "{life:?}");
        }
    }
}
