//! What can be done to one notification, and how that ends.

use pillarbox::{
    domain::{State, Timestamp},
    inbox::{AuditAction, BodyCopy, DiscardOutcome, InboxError, ReplayOutcome, Row},
};

/// What is done to a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAct {
    /// It is set back to recorded: due now, with a new budget.
    Replay,
    /// It is ended for good.
    Discard,
    /// It is ended for good, and every copy of its bytes is erased.
    Erase,
}

impl RowAct {
    /// What the audit trail calls it.
    pub fn action(self) -> AuditAction {
        match self {
            Self::Replay => AuditAction::Replay,
            Self::Discard => AuditAction::Discard,
            Self::Erase => AuditAction::Erase,
        }
    }

    /// The participle: `replayed`, `discarded`, `erased`.
    pub fn participle(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
            Self::Erase => "erased",
        }
    }

    /// The states that an act on all that match is about, unless its filter names one. What waits
    /// for a person is replayed and discarded; bytes are erased in every state.
    pub fn states(self) -> &'static [State] {
        match self {
            Self::Replay | Self::Discard => &[State::Dead, State::Held],
            Self::Erase => &[],
        }
    }

    /// Whether the state of a row allows it, or why not.
    pub fn is_possible(self, row: &Row, now: Timestamp) -> Result<(), &'static str> {
        match self {
            Self::Replay => row.replayable(now),
            Self::Discard => row.discardable(false, now),
            Self::Erase => row.discardable(true, now),
        }
    }
}

/// How an act on one notification ended.
#[derive(Clone, Debug)]
pub enum RowResult {
    /// It is done.
    Done,
    /// The key is unknown.
    Absent,
    /// Its state does not allow it, for this reason.
    Refused(&'static str),
    /// It is ended, and these places still hold bytes of it.
    BytesLeft(Vec<BodyCopy>),
    /// It cannot be read: it is damaged, or of a newer version.
    Unreadable(InboxError),
}

impl From<ReplayOutcome> for RowResult {
    fn from(replayed: ReplayOutcome) -> Self {
        match replayed {
            ReplayOutcome::Done => Self::Done,
            ReplayOutcome::Absent => Self::Absent,
            ReplayOutcome::Refused(why) => Self::Refused(why),
        }
    }
}

impl From<DiscardOutcome> for RowResult {
    fn from(discarded: DiscardOutcome) -> Self {
        match discarded {
            DiscardOutcome::Done => Self::Done,
            DiscardOutcome::Absent => Self::Absent,
            DiscardOutcome::Refused(why) => Self::Refused(why),
        }
    }
}
