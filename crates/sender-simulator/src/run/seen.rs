//! What a run tells while it goes on.

use std::time::Duration;

use url::Url;

use crate::{Answer, Attempt, Outcome, Request, Sender};

/// What a message is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A notification of the sender's.
    Notification,
    /// The same event as another notification's, under an id of its own.
    SecondId,
    /// Signed with another key: must be refused.
    Forged,
    /// Cut short after signing: must be refused.
    Truncated,
    /// A request of an earlier run, as it was.
    Replayed,
    /// HMRC's question whether the URL is the receiver's.
    Challenge,
}

impl What {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::SecondId => "second-id",
            Self::Forged => "forged",
            Self::Truncated => "truncated",
            Self::Replayed => "replayed",
            Self::Challenge => "challenge",
        }
    }

    /// Whether it is the sender's own, so that a receiver must take it.
    pub fn is_genuine(self) -> bool {
        matches!(self, Self::Notification | Self::SecondId)
    }

    /// Whether it is a stranger's, so that a receiver must refuse it.
    pub fn is_hostile(self) -> bool {
        matches!(self, Self::Forged | Self::Truncated)
    }
}

/// What became of a message, as its sender believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Taken: it is never sent again.
    Acknowledged,
    /// Given up after the last attempt.
    Failed,
    /// A redirect turned it into a GET without a body, and that succeeded: the sender believes it was taken.
    LostByRedirect,
    /// Refused, as a stranger's must be.
    Refused,
}

impl Fate {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Failed => "failed",
            Self::LostByRedirect => "lost-by-redirect",
            Self::Refused => "refused",
        }
    }
}

/// One request and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged<'a> {
    /// Its place in the run, from 1.
    pub number: u64,
    /// Who sent it.
    pub sender: Sender,
    /// What it was to the receiver.
    pub what: What,
    /// Which of the sender's attempts.
    pub attempt: Attempt,
    /// Where it went; a redirect leads elsewhere.
    pub url: &'a Url,
    /// What was sent.
    pub request: &'a Request,
    /// What came back, if anything did.
    pub answer: Option<&'a Answer>,
    /// What the sender makes of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// A message the sender is done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who sent it.
    pub sender: Sender,
    /// The sender's id, which stands in the body.
    pub id: String,
    /// What it was to the receiver.
    pub what: What,
    /// What the sender believes.
    pub fate: Fate,
    /// How many attempts of the schedule it took.
    pub attempts: u32,
    /// How many requests went out for it.
    pub requests: u32,
    /// What the last of them came to.
    pub last: Outcome,
    /// How long the last of them took.
    pub took: Duration,
}

/// What a run tells.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// One request is over.
    Exchanged(Exchanged<'a>),
    /// One message is settled.
    Settled(&'a Settled),
}
