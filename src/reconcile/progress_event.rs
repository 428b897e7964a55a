//! The events of a run in progress.

use std::time::Duration;

use super::{govuk_pay, hmrc};
use crate::domain::{Key, Timestamp};

/// Receives the events of a run, for a progress bar, a log or a worker to wake.
pub trait RunReporter: Send + Sync {
    /// Called for each event. Must not block.
    fn on_event(&self, event: ProgressEvent<'_>);
}

/// Ignores every event.
impl RunReporter for () {
    fn on_event(&self, _: ProgressEvent<'_>) {}
}

/// An event of a run. Holds nothing secret or personal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProgressEvent<'a> {
    /// The run waits for a rate limit, or before it retries a failed request.
    Waiting(Duration),
    /// HMRC listed notifications of a box.
    Listed {
        /// The box.
        box_id: &'a str,
        /// Which of its notifications.
        status: hmrc::NotificationStatus,
        /// How many.
        count: usize,
    },
    /// A row was recorded, and is open or held now.
    Recorded(&'a Key),
    /// HMRC confirmed an acknowledgement.
    Acknowledged {
        /// The box.
        box_id: &'a str,
        /// How many notifications.
        count: usize,
    },
    /// A request for a box failed; the run retries it, or continues without this box.
    BoxFailed {
        /// The box.
        box_id: &'a str,
        /// Why.
        error: &'a hmrc::HmrcError,
    },
    /// A request to GOV.UK Pay failed; the run retries it.
    PayFailed(&'a govuk_pay::PayError),
    /// Payments were compared with their ledgers, newest first.
    PaymentsChecked {
        /// How many since this run began.
        payments: usize,
        /// The creation time of the last one.
        at: Timestamp,
        /// The beginning of the window, where the sweep ends.
        until: Timestamp,
    },
    /// An event of a payment is missing.
    Missing(&'a govuk_pay::MissingEvent),
}
