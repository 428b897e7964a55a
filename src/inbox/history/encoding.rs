//! The stored format of a history. It is compact, because every kilobyte of a row costs money.
//!
//! One byte for the format, then the number of replays, then the entries. Numbers are LEB128. A
//! time is the difference from the previous entry. A text that is the same as in the previous
//! attempt takes one byte, because a destination that is down gives the same answer every time.

use std::time::Duration;

use super::{DeliveryHistory, HistoryEntry, MAX_ENTRIES, PastAttempt, PastOutcome};
use crate::domain::Timestamp;

/// The format that this program writes. A history in another format is read as empty.
const FORMAT: u8 = 1;

/// The codes of entries. The codes of attempts are those of their outcomes, which are lower.
const REPLAYED: u64 = 16;
const DISCARDED: u64 = 17;
const ERASED: u64 = 18;

/// The codes of texts. `TEXT` is added to the length of a text that is written out.
const NO_TEXT: u64 = 0;
const SAME_TEXT: u64 = 1;
const TEXT: u64 = 2;

impl PastOutcome {
    fn code(self) -> u64 {
        match self {
            Self::Delivered => 1,
            Self::Failed => 2,
            Self::Refused => 3,
            Self::Repeat => 4,
            Self::Held => 5,
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

impl DeliveryHistory {
    /// The history in its stored format.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = HistoryWriter::default();
        writer.bytes.push(FORMAT);
        writer.number(u64::from(self.replays));
        for entry in &self.entries {
            writer.entry(entry);
        }
        writer.bytes
    }

    /// The history in its stored format; `None` if it is empty.
    pub fn stored(&self) -> Option<Vec<u8>> {
        (*self != Self::default()).then(|| self.encode())
    }

    /// Reads a stored history. A history that cannot be read, or that has more entries than are
    /// kept, is read as empty, because a row must stay usable without its history.
    pub fn decode(stored: &[u8]) -> Self {
        HistoryReader::read(stored).unwrap_or_default()
    }
}

/// The texts of an attempt, in the order in which they are stored.
type AttemptTexts = [Option<String>; 3];

fn texts(attempt: &PastAttempt) -> AttemptTexts {
    [&attempt.destination, &attempt.error, &attempt.answer].map(Clone::clone)
}

#[derive(Default)]
struct HistoryWriter {
    bytes: Vec<u8>,
    last_at: i64,
    last_texts: AttemptTexts,
}

impl HistoryWriter {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn time(&mut self, at: Timestamp) {
        let difference = at.as_millis().wrapping_sub(self.last_at);
        self.last_at = at.as_millis();
        self.number(((difference << 1) ^ (difference >> 63)).cast_unsigned());
    }

    fn entry(&mut self, entry: &HistoryEntry) {
        let (code, at, attempts) = match entry {
            HistoryEntry::Attempt(attempt) => {
                (attempt.outcome.code(), attempt.began_at, attempt.number)
            }
            HistoryEntry::Replayed { at, attempts } => (REPLAYED, *at, *attempts),
            HistoryEntry::Discarded {
                at,
                attempts,
                erased,
            } => (if *erased { ERASED } else { DISCARDED }, *at, *attempts),
            HistoryEntry::Lapsed { .. } => return,
        };
        self.number(code);
        self.time(at);
        self.number(u64::from(attempts));
        if let HistoryEntry::Attempt(attempt) = entry {
            self.number(u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX));
            self.number(u64::from(attempt.status.unwrap_or_default()));
            let texts = texts(attempt);
            for (text, last) in texts.iter().zip(self.last_texts.clone()) {
                self.text(text.as_deref(), last.as_deref());
            }
            self.last_texts = texts;
        }
    }

    fn text(&mut self, text: Option<&str>, last: Option<&str>) {
        match text {
            None => self.number(NO_TEXT),
            Some(_) if text == last => self.number(SAME_TEXT),
            Some(text) => {
                self.number(text.len() as u64 + TEXT);
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
}

struct HistoryReader<'a> {
    bytes: &'a [u8],
    last_at: i64,
    last_texts: AttemptTexts,
}

impl<'a> HistoryReader<'a> {
    fn read(stored: &'a [u8]) -> Option<DeliveryHistory> {
        let (&FORMAT, bytes) = stored.split_first()? else {
            return None;
        };
        let mut reader = Self {
            bytes,
            last_at: 0,
            last_texts: AttemptTexts::default(),
        };
        let replays = reader.number()?.try_into().ok()?;
        let mut entries = Vec::new();
        while !reader.bytes.is_empty() {
            entries.push(reader.entry()?);
            if entries.len() > MAX_ENTRIES {
                return None; // no version writes so many
            }
        }
        Some(DeliveryHistory { replays, entries })
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn time(&mut self) -> Option<Timestamp> {
        let number = self.number()?;
        let difference = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        self.last_at = self.last_at.wrapping_add(difference);
        Some(Timestamp::from_millis(self.last_at))
    }

    fn entry(&mut self) -> Option<HistoryEntry> {
        let (code, at) = (self.number()?, self.time()?);
        let attempts = self.number()?.try_into().ok()?;
        Some(match code {
            REPLAYED => HistoryEntry::Replayed { at, attempts },
            DISCARDED | ERASED => HistoryEntry::Discarded {
                at,
                attempts,
                erased: code == ERASED,
            },
            _ => HistoryEntry::Attempt(PastAttempt {
                number: attempts,
                began_at: at,
                duration: Duration::from_millis(self.number()?),
                outcome: PastOutcome::from_code(code)?,
                status: Some(self.number()?.try_into().ok()?).filter(|&status| status > 0),
                destination: self.text(0)?,
                error: self.text(1)?,
                answer: self.text(2)?,
            }),
        })
    }

    /// The text at `index` of [`AttemptTexts`].
    fn text(&mut self, index: usize) -> Option<Option<String>> {
        let text = match self.number()? {
            NO_TEXT => None,
            SAME_TEXT => self.last_texts[index].clone(),
            length => {
                let length = usize::try_from(length - TEXT).ok()?;
                let (text, rest) = self.bytes.split_at_checked(length)?;
                self.bytes = rest;
                Some(std::str::from_utf8(text).ok()?.to_owned())
            }
        };
        self.last_texts[index].clone_from(&text);
        Some(text)
    }
}
