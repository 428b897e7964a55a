//! The audit trail: which person changed notifications or viewed a masked field, and when.
//!
//! An act writes its entry twice under one id: before the first change, as started, and after the
//! last change, with its outcome. If its process dies in between, the entry stays as started. An
//! act whose first entry cannot be written changes nothing.
//!
//! Entries contain keys and filters, but no content of a notification. They cover what people do
//! with these tools. The platform's logs cover other uses of the same credentials.

use crate::domain::Timestamp;

/// One act of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When the act began. Together with `id` it identifies the entry.
    pub at: Timestamp,
    /// A random number.
    pub id: u64,
    /// The person: the user of the operating system, and on AWS the identity that signs requests.
    pub actor: String,
    /// The kind of act.
    pub action: AuditAction,
    /// The key of the notification, or the filter in words.
    pub target: String,
    /// How many notifications the act applies to; `None` if that was not known when it began.
    pub planned: Option<u64>,
    /// How many notifications it has changed or shown.
    pub done: u64,
    /// The outcome of the act.
    pub outcome: AuditOutcome,
}

/// The kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// Notifications were set back to recorded.
    Replay,
    /// Notifications were discarded.
    Discard,
    /// Notifications were discarded and their bytes erased.
    Erase,
    /// A masked field was shown.
    Unmask,
    /// Exported notifications were stored.
    Import,
    /// A sample was sent to a source.
    SendSample,
}

impl AuditAction {
    const ALL: [Self; 6] = [
        Self::Replay,
        Self::Discard,
        Self::Erase,
        Self::Unmask,
        Self::Import,
        Self::SendSample,
    ];

    /// The name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Erase => "erase",
            Self::Unmask => "unmask",
            Self::Import => "import",
            Self::SendSample => "send-sample",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// The outcome of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It has not ended, or its process died.
    Started,
    /// It ended. Notifications whose state did not allow it were not changed.
    Done,
    /// A person stopped it.
    Stopped,
    /// The inbox failed.
    Failed,
}

impl AuditOutcome {
    const ALL: [Self; 4] = [Self::Started, Self::Done, Self::Stopped, Self::Failed];

    /// The name that is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}
