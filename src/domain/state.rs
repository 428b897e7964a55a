//! The states of a notification.

use std::fmt;

/// The state of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Stored and not finished: open.
    Recorded,
    /// Finished: delivered to the destination.
    Delivered,
    /// Finished: the same event under another id, stored but not delivered.
    Repeat,
    /// Out of budget, or refused permanently.
    Dead,
    /// Authentic, but waiting for a person.
    Held,
    /// Ended by a person.
    Discarded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Recorded,
        Self::Delivered,
        Self::Repeat,
        Self::Dead,
        Self::Held,
        Self::Discarded,
    ];

    /// The name of the state, in storage, logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Delivered => "delivered",
            Self::Repeat => "repeat",
            Self::Dead => "dead",
            Self::Held => "held",
            Self::Discarded => "discarded",
        }
    }

    /// Reads a state's name; `open` is a synonym for recorded.
    pub fn parse(text: &str) -> Option<Self> {
        let text = if text == "open" { "recorded" } else { text };
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more happens to the row unless a person replays or discards it.
    pub fn is_finished(self) -> bool {
        self.index_partition().is_none()
    }

    /// The partition of the pending index that lists rows in this state; `None` for finished rows.
    pub fn index_partition(self) -> Option<&'static str> {
        match self {
            Self::Recorded => Some("open"),
            Self::Dead => Some("dead"),
            Self::Held => Some("held"),
            Self::Delivered | Self::Repeat | Self::Discarded => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an authentic notification is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldReason {
    /// Not valid JSON, without an id or a date, or nested too deeply.
    Unreadable,
    /// Another notification already has this id, with other content.
    Conflict,
    /// Its signed date lies outside the acceptance window.
    Stale,
    /// It was pulled, and its destination accepts only messages that their sender signed.
    Unsigned,
    /// It was imported from an inbox in which it was open.
    Imported,
}

impl HeldReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Unreadable,
        Self::Conflict,
        Self::Stale,
        Self::Unsigned,
        Self::Imported,
    ];

    /// The name of the reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Conflict => "conflict",
            Self::Stale => "stale",
            Self::Unsigned => "unsigned",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a notification was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The sender posted it.
    Push,
    /// Pillarbox requested it from the sender.
    Pull,
}

impl Origin {
    /// The name of the origin.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }

    /// Reads an origin's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Push, Self::Pull]
            .into_iter()
            .find(|origin| origin.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_parsed_from_its_own_name() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("open"), Some(State::Recorded));
        assert_eq!(State::parse("lost"), None);
    }
}
