//! The history of a row: its last attempts, replays and discards.
//!
//! A mark writes the history together with the outcome of its attempt, and a replay or a discard
//! writes it with the new state, so it needs no further write or read. It has at most
//! [`MAX_ENTRIES`] entries in at most [`MAX_BYTES`], so a row that fails for days stays small. An
//! older program does not change it, and a row without a stored history has an empty one.
//!
//! An attempt whose process stopped writes no entry. Attempts are numbered, so a missing number
//! between two entries shows that there was such an attempt.

mod encoding;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Row;
use crate::domain::{State, Timestamp};

/// The most entries that are kept.
pub const MAX_ENTRIES: usize = 20;
/// The limit of a stored history.
pub const MAX_BYTES: usize = 1024;
/// The most characters of an answer or an error that are kept.
pub const MAX_TEXT_CHARS: usize = 200;

/// The history of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryHistory {
    /// How often a person replayed the row.
    pub replays: u32,
    entries: Vec<HistoryEntry>,
}

/// An entry of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryEntry {
    /// An attempt that ended with an outcome.
    Attempt(PastAttempt),
    /// Attempts without an outcome: their process stopped, or was slower than its lease. Never
    /// stored.
    Lapsed {
        /// The number of the first such attempt.
        first: u32,
        /// The number of the last such attempt.
        last: u32,
    },
    /// A person replayed the row, and the attempts are counted from 1 again.
    Replayed {
        /// The time of the replay.
        at: Timestamp,
        /// The number of attempts before.
        attempts: u32,
    },
    /// A person discarded the row.
    Discarded {
        /// The time of the discard.
        at: Timestamp,
        /// The number of attempts before.
        attempts: u32,
        /// Whether its bytes were erased.
        erased: bool,
    },
}

/// An attempt that ended with an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// The number of the attempt, counted from 1 since the row was recorded or replayed.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub outcome: PastOutcome,
    /// The name of the destination; `None` for the default one.
    pub destination: Option<String>,
    /// The status of an HTTP answer.
    pub status: Option<u16>,
    /// Why it failed, unless there is a status.
    pub error: Option<String>,
    /// The beginning of the answer, safe to display. It may contain personal data.
    pub answer: Option<String>,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastOutcome {
    /// The destination has the event.
    Delivered,
    /// The attempt failed, and the row may be attempted again.
    Failed,
    /// The destination refused the event permanently.
    Refused,
    /// Another row has the event, so it was not delivered.
    Repeat,
    /// Held for a person.
    Held,
}

impl PastOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Failed,
        Self::Refused,
        Self::Repeat,
        Self::Held,
    ];

    /// The outcome in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Repeat => "repeat",
            Self::Held => "held",
        }
    }
}

impl PastAttempt {
    /// When it ended.
    pub fn ended_at(&self) -> Timestamp {
        self.began_at.plus(self.duration)
    }
}

impl DeliveryHistory {
    /// The entries that are kept, in order.
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    /// The attempts that are kept, in order.
    pub fn attempts(&self) -> impl DoubleEndedIterator<Item = &PastAttempt> {
        self.entries.iter().filter_map(|entry| match entry {
            HistoryEntry::Attempt(attempt) => Some(attempt),
            _ => None,
        })
    }

    /// When the event was last delivered.
    pub fn delivered_at(&self) -> Option<Timestamp> {
        let mut latest_first = self.attempts().rev();
        latest_first
            .find(|attempt| attempt.outcome == PastOutcome::Delivered)
            .map(PastAttempt::ended_at)
    }

    /// When a person last replayed the row.
    pub fn replayed_at(&self) -> Option<Timestamp> {
        self.entries.iter().rev().find_map(|entry| match entry {
            HistoryEntry::Replayed { at, .. } => Some(*at),
            _ => None,
        })
    }

    /// Adds an attempt.
    pub fn add_attempt(&mut self, mut attempt: PastAttempt) {
        for text in [&mut attempt.error, &mut attempt.answer] {
            *text = text.take().map(|text| shortened(&text));
        }
        self.add(HistoryEntry::Attempt(attempt));
    }

    /// Adds a replay, after this number of attempts.
    pub fn add_replay(&mut self, at: Timestamp, attempts: u32) {
        self.replays = self.replays.saturating_add(1);
        self.add(HistoryEntry::Replayed { at, attempts });
    }

    /// Adds a discard, after this number of attempts. If the row's bytes are erased, so are the
    /// answers of destinations, which may repeat them.
    pub fn add_discard(&mut self, at: Timestamp, attempts: u32, erased: bool) {
        if erased {
            for entry in &mut self.entries {
                if let HistoryEntry::Attempt(attempt) = entry {
                    attempt.answer = None;
                }
            }
        }
        self.add(HistoryEntry::Discarded {
            at,
            attempts,
            erased,
        });
    }

    fn add(&mut self, entry: HistoryEntry) {
        self.entries.push(entry);
        while self.entries.len() > MAX_ENTRIES {
            self.remove_oldest();
        }
        while self.encode().len() > MAX_BYTES {
            if !self.remove_oldest_text() {
                self.remove_oldest();
            }
        }
    }

    /// Removes the oldest entry, except the last delivery and the last replay.
    fn remove_oldest(&mut self) {
        let last = |is_wanted: fn(&HistoryEntry) -> bool| self.entries.iter().rposition(is_wanted);
        let kept = [
            last(|entry| {
                matches!(entry, HistoryEntry::Attempt(attempt)
                    if attempt.outcome == PastOutcome::Delivered)
            }),
            last(|entry| matches!(entry, HistoryEntry::Replayed { .. })),
        ];
        let oldest = (0..self.entries.len()).find(|at| !kept.contains(&Some(*at)));
        self.entries.remove(oldest.unwrap_or_default());
    }

    /// Removes the answer, or else the error, of the oldest attempt that has one. Returns `false`
    /// if none has.
    fn remove_oldest_text(&mut self) -> bool {
        let attempts = self.entries.iter_mut().filter_map(|entry| match entry {
            HistoryEntry::Attempt(attempt) => Some(attempt),
            _ => None,
        });
        let texts = attempts
            .flat_map(|attempt| [&mut attempt.answer, &mut attempt.error])
            .find(|text| text.is_some());
        texts.and_then(Option::take).is_some()
    }
}

impl Row {
    /// The history at `now`, with the attempts that have no outcome.
    pub fn full_history(&self, now: Timestamp) -> Vec<HistoryEntry> {
        // The current attempt may still end with an outcome.
        let is_attempted = self.state == State::Recorded && self.is_leased(now);
        let ended = self.attempts.saturating_sub(u32::from(is_attempted));
        self.history.with_lapsed(ended)
    }
}

impl DeliveryHistory {
    /// The entries, with the attempts without an outcome between and after them, up to the attempt
    /// number `ended`.
    ///
    /// Attempts before the first entry are not included: their entries were removed, or they were
    /// made before histories were stored.
    fn with_lapsed(&self, ended: u32) -> Vec<HistoryEntry> {
        let (mut full, mut last) = (Vec::new(), None);
        for entry in &self.entries {
            let (until, next) = match entry {
                HistoryEntry::Attempt(attempt) => {
                    (attempt.number.saturating_sub(1), attempt.number)
                }
                HistoryEntry::Replayed { attempts, .. } => (*attempts, 0),
                HistoryEntry::Discarded { attempts, .. } => (*attempts, *attempts),
                HistoryEntry::Lapsed { .. } => continue, // never stored
            };
            full.extend(last.and_then(|last| lapsed_attempts(last, until)));
            full.push(entry.clone());
            last = Some(next);
        }
        full.extend(last.and_then(|last| lapsed_attempts(last, ended)));
        full
    }
}

/// The attempts after number `last` up to `until`, if there are any.
fn lapsed_attempts(last: u32, until: u32) -> Option<HistoryEntry> {
    (last < until).then(|| HistoryEntry::Lapsed {
        first: last + 1,
        last: until,
    })
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT_CHARS {
        return text.to_owned();
    }
    let kept = text.chars().take(MAX_TEXT_CHARS - 1);
    kept.chain(['…']).collect()
}
