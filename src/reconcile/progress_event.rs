//! What a run tells while it is under way.

use std::time::Duration;

use super::{govuk_pay, hmrc};
use crate::domain::{Key, Timestamp};

/// Who is told what a run does: a progress bar, a log, a worker to be woken.
pub trait RunReporter: Send + Sync {
    /// Is told, and must be quick about it.
    fn tell(&self, news: ProgressEvent<'_>);
}

/// Nobody.
impl RunReporter for () {
    fn tell(&self, _: ProgressEvent<'_>) {}
}

/// Something that just happened. None of it is secret or personal.
#[derive(Clone, Debug)]
pub enum ProgressEvent<'a> {
    /// The run waits: for its turn, or for a sender that is down.
    Waiting(Duration),
    /// HMRC listed so many notifications of a box.
    Listed {
        /// The box.
        box_id: &'a str,
        /// Which of them.
        status: hmrc::NotificationStatus,
        /// How many came.
        count: usize,
    },
    /// A row was recorded, and is open or held now.
    Recorded(&'a Key),
    /// HMRC was told that so many are stored.
    Acknowledged {
        /// The box.
        box_id: &'a str,
        /// How many.
        count: usize,
    },
    /// HMRC did not do what it was asked for a box; the run tries again, or goes on without.
    BoxTrouble {
        /// The box.
        box_id: &'a str,
        /// Why.
        fault: &'a hmrc::HmrcError,
    },
    /// GOV.UK Pay did not answer as it should; the run tries again.
    PayTrouble(&'a govuk_pay::PayError),
    /// So many payments were looked at, newest first; those created before this instant are still to come.
    Swept {
        /// How many since the sweep or this run began.
        payments: usize,
        /// Where it is.
        at: Timestamp,
        /// Where it ends.
        until: Timestamp,
    },
    /// Events of a payment never came.
    Missing(&'a govuk_pay::MissingEvent),
}
