//! How a run ended, and what it found.

use super::{SenderAccess, govuk_pay, hmrc};
use crate::{domain::Timestamp, inbox::InboxError};

/// Everything there is to say about one run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// Why it ended.
    pub ended: RunEnd,
    /// What it found until then.
    pub found: RunFindings,
}

/// What a run found.
#[derive(Clone, Debug)]
pub enum RunFindings {
    /// In each of HMRC's boxes.
    Hmrc(Vec<hmrc::BoxReport>),
    /// Among GOV.UK Pay's payments.
    GovukPay(govuk_pay::PaymentsReport),
}

/// Why a run ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunEnd {
    /// Everything was looked at.
    #[error("everything was looked at")]
    Completed,
    /// Some of HMRC's boxes could not be emptied; the others were. Their reports say why.
    #[error("not every box could be emptied")]
    Incomplete,
    /// The last look is not long enough ago.
    #[error("the last sweep ended less than half an hour ago: the next begins after {0}")]
    NotDue(Timestamp),
    /// Another run has the lock.
    #[error("another run is under way")]
    AlreadyRunning,
    /// Another run took the lock away, which it does if this one was silent for a minute.
    #[error("another run has taken over")]
    LockLost,
    /// What came next could not have ended in time.
    #[error("there was no time left: a later run goes on")]
    Deadline,
    /// It was asked to end.
    #[error("it was stopped: a later run goes on")]
    Stopped,
    /// The inbox fails. Nothing was acknowledged that is not stored.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// HMRC refuses all of it.
    #[error("HMRC: {0}")]
    Hmrc(hmrc::HmrcError),
    /// GOV.UK Pay refuses all of it.
    #[error("GOV.UK Pay: {0}")]
    GovukPay(govuk_pay::PayError),
}

impl RunEnd {
    /// Whether something went wrong, so that somebody should hear of it. A run that had no time
    /// left, or that was not wanted, is none of that.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Incomplete | Self::Inbox(_) | Self::Hmrc(_) | Self::GovukPay(_)
        )
    }
}

/// What happened, as plain stats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconcileStats {
    /// What was looked at: HMRC's notifications, Pay's payments.
    pub seen: usize,
    /// Notifications, or observations of payments, recorded now: what push had missed.
    pub recorded: usize,
    /// What had been recorded before.
    pub duplicates: usize,
    /// Notifications recorded now and held.
    pub held: usize,
    /// Notifications acknowledged to HMRC.
    pub acknowledged: usize,
    /// Events of payments that never came.
    pub missing: usize,
    /// When the oldest notification was created that is not acknowledged.
    pub oldest: Option<Timestamp>,
    /// Boxes that could not be emptied, and what could not be read.
    pub errors: usize,
}

impl RunOutcome {
    /// What happened, as plain stats.
    pub fn stats(&self) -> ReconcileStats {
        match &self.found {
            RunFindings::Hmrc(boxes) => hmrc::stats(boxes),
            RunFindings::GovukPay(report) => report.stats(),
        }
    }
}

impl RunFindings {
    pub(super) fn nothing(access: &SenderAccess) -> Self {
        match access {
            SenderAccess::Hmrc(_) => Self::Hmrc(Vec::new()),
            SenderAccess::GovukPay(_) => Self::GovukPay(govuk_pay::PaymentsReport::default()),
        }
    }
}
