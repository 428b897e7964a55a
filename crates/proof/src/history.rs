//! A history: the events at senders, receiver, inbox, destinations and the senders' APIs, in order.
//!
//! Each component records an event at the instant of its effect: a destination when it accepts an
//! event, a table when a change takes effect, a sender when it receives an answer. The checker
//! reads only the history, so it can check any run that records these events: simulated, over
//! sockets, or with killed processes.

use std::{fmt, time::Duration};

use pillarbox::domain::State;

/// A SHA-256 digest.
pub(crate) type Sha256Digest = [u8; 32];

/// Whether a posted body is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyGenuineness {
    /// Signed with an installed secret.
    Proven,
    /// Signed by the sender with a secret that may not be installed.
    Unknown,
    /// Not signed by the sender.
    Forged,
}

/// The state of a row.
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
    /// Whether the row needs no more work.
    pub(crate) fn is_finished(self) -> bool {
        matches!(self, Self::Delivered | Self::Repeat | Self::Discarded)
    }
}

impl From<State> for RowState {
    fn from(state: State) -> Self {
        match state {
            State::Recorded => Self::Open,
            State::Delivered => Self::Delivered,
            State::Repeat => Self::Repeat,
            State::Dead => Self::Dead,
            State::Held => Self::Held,
            State::Discarded => Self::Discarded,
        }
    }
}

/// One event. `key` identifies a row, `source` and `id` identify a sender's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordedEvent {
    /// A sender created a message and begins to send it.
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
    /// The receiver answered the request.
    Answered {
        post: u32,
        status: u16,
        took: Duration,
    },
    /// A sender no longer sends a message, because it is acknowledged or given up.
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
    /// HMRC accepted an acknowledgement of these ids.
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
    /// A destination accepted the event.
    Accepted {
        key: String,
        call: u32,
        digest: Sha256Digest,
    },
    /// The call of a destination ended or was dropped.
    Returned {
        key: String,
        call: u32,
        refused: bool,
    },
    /// A worker wrote the outcome of an attempt; `done` is false if the inbox did not store it.
    Marked {
        key: String,
        attempt: u32,
        lease: u64,
        state: RowState,
        reason: String,
        done: bool,
    },
    /// A person replayed a row.
    Replayed { key: String },
    /// A person discarded a row.
    Discarded { key: String },
    /// A row was removed after its expiry.
    Expired { key: String, state: RowState },
    /// A stream batch was answered. `untouched` are the rows before the point of resumption without
    /// an attempt.
    StreamAnswered {
        records: usize,
        untouched: Vec<String>,
    },
    /// A fault was injected that may affect this row; any row if `key` is `None`.
    FaultInjected {
        key: Option<String>,
        fault: &'static str,
    },
    /// A process's clock was changed by this number of milliseconds.
    ClockSet { by: i64 },
    /// No faults are injected from now on.
    FaultsEnded,
    /// A row in the inbox at the end.
    Remaining {
        key: String,
        state: RowState,
        digest: Option<Sha256Digest>,
    },
    /// A notification that is not acknowledged at HMRC at the end.
    Unacknowledged { source: String, id: String },
    /// A part of the run did not end in time.
    Stuck { what: String },
}

/// An event with its time in milliseconds since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimedRecord {
    pub(crate) at: i64,
    pub(crate) event: RecordedEvent,
}

/// All events of one run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) records: Vec<TimedRecord>,
    /// How long a finished row is kept; `None` if no row expires in this run.
    pub(crate) retention: Option<Duration>,
    /// Whether reconcile runs, so that no message may be missing at the end.
    pub(crate) is_reconciled: bool,
}

impl History {
    pub(crate) fn push(&mut self, at: i64, event: RecordedEvent) {
        self.records.push(TimedRecord { at, event });
    }

    /// The number of injected faults.
    pub(crate) fn faults(&self) -> usize {
        use RecordedEvent::{ClockSet, FaultInjected};
        let is_fault =
            |record: &&TimedRecord| matches!(record.event, FaultInjected { .. } | ClockSet { .. });
        self.records.iter().filter(is_fault).count()
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
        let text = format!("{:?}", self.event);
        // Digests are shortened to their first four bytes.
        let mut rest = text.as_str();
        while let Some(start) = rest.find('[') {
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
