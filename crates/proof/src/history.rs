//! A history: what senders, receiver, inbox, destinations and the senders' APIs saw, in order.
//!
//! Each part writes what it sees where it happens: a destination when it takes an event, a table
//! when a change takes effect, a sender when it has an answer. The checker knows nothing else, so
//! any run that can write these events can be checked: simulated, over sockets, or killed.

use std::{fmt, time::Duration};

/// SHA-256 of some bytes.
pub(crate) type Sha256Digest = [u8; 32];

/// Whether a posted body is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyGenuineness {
    /// Signed with a secret that is installed.
    Proven,
    /// Signed by the sender with a secret that is not installed now.
    Unknown,
    /// Not signed by the sender.
    Forged,
}

/// What became of a row, as far as the checker cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    Open,
    Delivered,
    Repeat,
    Dead,
    Held,
    Discarded,
}

impl RowState {
    /// Whether nothing more is to be done.
    pub(crate) fn is_finished(self) -> bool {
        matches!(self, Self::Delivered | Self::Repeat | Self::Discarded)
    }
}

/// One event. A `key` is that of a row, a `source` and an `id` are the sender's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordedEvent {
    /// A sender has a message, and begins to send it.
    Created {
        source: String,
        id: String,
        payment: Option<String>,
        content: u64,
    },
    /// A request arrived at the receiver.
    Posted {
        post: u32,
        source: String,
        id: String,
        content: u64,
        digest: Sha256Digest,
        genuine: BodyGenuineness,
    },
    /// The receiver answered it.
    Answered {
        post: u32,
        status: u16,
        took: Duration,
    },
    /// A sender has ended: the message is acknowledged, or given up.
    Ended {
        source: String,
        id: String,
        acknowledged: bool,
    },
    /// A sender's API returned this body.
    Listed {
        source: String,
        digest: Sha256Digest,
    },
    /// HMRC took an acknowledgement of these.
    PullAcknowledged { source: String, ids: Vec<String> },
    /// A row was stored.
    Stored {
        key: String,
        content: u64,
        digest: Sha256Digest,
        held: Option<&'static str>,
    },
    /// A row was claimed for an attempt.
    Claimed {
        key: String,
        attempt: u32,
        lease: u64,
        until: i64,
    },
    /// A destination was called.
    Delivering { key: String, call: u32 },
    /// A destination has the event now.
    Accepted {
        key: String,
        call: u32,
        digest: Sha256Digest,
    },
    /// The call has ended in any way, or was dropped.
    Returned {
        key: String,
        call: u32,
        refused: bool,
    },
    /// An attempt's outcome was to be written.
    Marked {
        key: String,
        attempt: u32,
        lease: u64,
        state: RowState,
        reason: String,
        done: bool,
    },
    /// A person set a row back to recorded.
    Replayed { key: String },
    /// A person ended a row.
    Discarded { key: String },
    /// A row was removed, because its expiry had passed.
    Expired { key: String, state: RowState },
    /// A stream's batch was answered: the rows before the point of resumption that no attempt had
    /// touched.
    StreamAnswered {
        records: usize,
        untouched: Vec<String>,
    },
    /// A fault was injected that may touch this row; any row if it names none.
    Disturbed {
        key: Option<String>,
        fault: &'static str,
    },
    /// A process's clock was set.
    ClockSet { by: i64 },
    /// No more faults from now on.
    Calmed,
    /// What the inbox holds at the end.
    Left {
        key: String,
        state: RowState,
        digest: Option<Sha256Digest>,
    },
    /// What HMRC still waits to have acknowledged at the end.
    Unacknowledged { source: String, id: String },
    /// The run should have ended by then, and had not.
    Stuck { what: String },
}

/// What happened, with the time in milliseconds since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimedRecord {
    pub(crate) at: i64,
    pub(crate) what: RecordedEvent,
}

/// Everything that happened in one run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) moments: Vec<TimedRecord>,
    /// How long a finished row is kept; `None` if nothing expires in this run.
    pub(crate) retention: Option<Duration>,
    /// Whether the senders' APIs are asked, so that nothing may be missing at the end.
    pub(crate) is_reconciled: bool,
}

impl History {
    pub(crate) fn push(&mut self, at: i64, what: RecordedEvent) {
        self.moments.push(TimedRecord { at, what });
    }

    /// The faults that were injected.
    pub(crate) fn faults(&self) -> usize {
        let is_fault = |moment: &&TimedRecord| {
            matches!(
                moment.what,
                RecordedEvent::Disturbed { .. } | RecordedEvent::ClockSet { .. }
            )
        };
        self.moments.iter().filter(is_fault).count()
    }
}

impl fmt::Display for TimedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.at.div_euclid(1000), self.at.rem_euclid(1000));
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{days}d {hours:02}:{minutes:02}:{seconds:02}.{millis:03} "
        )?;
        let text = format!("{:?}", self.what);
        // A digest is known by its first bytes.
        let mut rest = text.as_str();
        while let Some(start) = rest.find("[") {
            let Some(length) = rest[start..].find(']') else {
                break;
            };
            let numbers: Vec<u8> = rest[start + 1..start + length]
                .split(", ")
                .filter_map(|n| n.parse().ok())
                .collect();
            if numbers.len() == 32 {
                f.write_str(&rest[..start])?;
                for byte in &numbers[..4] {
                    write!(f, "{byte:02x}")?;
                }
            } else {
                f.write_str(&rest[..start + length + 1])?;
            }
            rest = &rest[start + length + 1..];
        }
        f.write_str(rest)
    }
}
