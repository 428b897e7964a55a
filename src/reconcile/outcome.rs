//! The outcome of a run: why it ended, and its findings.

use super::{SenderAccess, govuk_pay, hmrc};
use crate::{
    domain::Timestamp,
    inbox::{HeldLock, InboxError},
};

/// The outcome of one run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Why the run ended.
    pub ended: RunEnd,
    /// The findings up to the end.
    pub found: RunFindings,
}

/// The findings of a run.
#[derive(Clone, Debug)]
pub enum RunFindings {
    /// The report of each of HMRC's boxes.
    Hmrc(Vec<hmrc::BoxReport>),
    /// The report of GOV.UK Pay's payments.
    GovukPay(govuk_pay::PaymentsReport),
}

/// Why a run ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunEnd {
    /// The run is complete.
    #[error("everything was looked at")]
    Completed,
    /// Some of HMRC's boxes could not be emptied; the others were. Their reports say why.
    #[error("not every box could be emptied")]
    Incomplete,
    /// The last sweep ended too recently.
    #[error("the last run ended too recently: the next begins after {0}")]
    NotDue(Timestamp),
    /// Another run holds the lock.
    #[error("another run is under way: {0}")]
    AlreadyRunning(HeldLock),
    /// Another run took the lock, because this one did not renew it for a minute.
    #[error("another run has taken over")]
    LockLost,
    /// The next step would have passed the deadline.
    #[error("there was no time left: a later run goes on")]
    Deadline,
    /// The run was cancelled.
    #[error("it was stopped: a later run goes on")]
    Stopped,
    /// The inbox failed. Only stored notifications were acknowledged.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// HMRC refused a request that every box needs.
    #[error("HMRC: {0}")]
    Hmrc(hmrc::HmrcError),
    /// GOV.UK Pay refused a request.
    #[error("GOV.UK Pay: {0}")]
    GovukPay(govuk_pay::PayError),
}

impl RunEnd {
    /// Whether the end is a failure. A run that was stopped, out of time or not due is not one.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Incomplete | Self::Inbox(_) | Self::Hmrc(_) | Self::GovukPay(_)
        )
    }
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconcileStats {
    /// HMRC's notifications, or Pay's payments, that were listed.
    pub seen: usize,
    /// Notifications, or observations of payments, that this run recorded because push had missed
    /// them.
    pub recorded: usize,
    /// Those that were recorded before.
    pub duplicates: usize,
    /// Notifications that this run recorded and held.
    pub held: usize,
    /// Notifications acknowledged to HMRC.
    pub acknowledged: usize,
    /// Events of payments that were not received.
    pub missing: usize,
    /// When the oldest unacknowledged notification was created.
    pub oldest: Option<Timestamp>,
    /// Boxes that could not be emptied, and payments that could not be read.
    pub errors: usize,
}

impl RunOutcome {
    /// The counts of a run.
    pub fn stats(&self) -> ReconcileStats {
        match &self.found {
            RunFindings::Hmrc(boxes) => hmrc::stats(boxes),
            RunFindings::GovukPay(report) => report.stats(),
        }
    }
}

impl RunFindings {
    pub(super) fn empty(access: &SenderAccess) -> Self {
        match access {
            SenderAccess::Hmrc(_) => Self::Hmrc(Vec::new()),
            SenderAccess::GovukPay(_) => Self::GovukPay(govuk_pay::PaymentsReport::default()),
        }
    }
}
