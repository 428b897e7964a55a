//! The acts on one notification, and their results.

use pillarbox::{
    domain::{State, Timestamp},
    inbox::{AuditAction, BodyCopy, DiscardOutcome, InboxError, ReplayOutcome, Row},
};

/// An act on a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAct {
    /// Set it back to recorded: due now, with a new budget.
    Replay,
    /// End it permanently.
    Discard,
    /// End it permanently, and erase every copy of its bytes.
    Erase,
}

impl RowAct {
    /// Its name in the audit trail.
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

    /// The states that an act on many notifications covers if its filter has none: dead and held to
    /// replay or discard, and every state to erase.
    pub fn states(self) -> &'static [State] {
        match self {
            Self::Replay | Self::Discard => &[State::Dead, State::Held],
            Self::Erase => &[],
        }
    }

    /// Checks that the state of a row allows it; the error is the reason why not.
    pub fn is_possible(self, row: &Row, now: Timestamp) -> Result<(), &'static str> {
        match self {
            Self::Replay => row.replayable(now),
            Self::Discard => row.discardable(false, now),
            Self::Erase => row.discardable(true, now),
        }
    }
}

/// The result of an act on one notification.
#[derive(Clone, Debug)]
pub enum RowResult {
    /// It is done.
    Done,
    /// The key is unknown.
    Absent,
    /// Its state does not allow it, for this reason.
    Refused(&'static str),
    /// It is ended, but these places still have bytes of it.
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
