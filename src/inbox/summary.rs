//! A summary of the rows that wait in an inbox, for a person.
//!
//! It is read from the pending index and a few rows, without a scan. Counts end at a limit, because
//! a person with ten thousand dead notifications does not need the exact number.

use std::{collections::BTreeMap, ops::AddAssign};

use super::Row;
use crate::domain::Timestamp;

/// How many rows with the latest next attempts are read, to show whether deliveries fail.
pub const MAX_RETRYING_ROWS: usize = 20;

/// What to count, and how far.
#[derive(Clone, Copy, Debug)]
pub struct SummaryRequest {
    /// Open rows received before this time are overdue.
    pub overdue_before: Timestamp,
    /// Rows that expired before this time should have been removed.
    pub expired_before: Timestamp,
    /// The most rows of each state that are counted.
    pub limit: usize,
}

/// The rows that wait in an inbox.
#[derive(Clone, Debug, Default)]
pub struct InboxSummary {
    /// The open rows.
    pub open: StateSummary,
    /// How many of the counted open rows are overdue.
    pub overdue: usize,
    /// At most [`MAX_RETRYING_ROWS`] open rows that have been attempted, without their bytes: those
    /// with the latest next attempts.
    pub retrying: Vec<Row>,
    /// The dead rows.
    pub dead: StateSummary,
    /// The held rows.
    pub held: StateSummary,
    /// The held rows by reason, of those whose reasons were read.
    pub held_reasons: BTreeMap<String, usize>,
    /// Rows that should have been removed; `None` if there are none, or if the store itself removes
    /// them.
    pub expired: Option<StateSummary>,
}

/// The rows of one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSummary {
    /// How many were counted.
    pub rows: usize,
    /// Whether there are more rows than were counted.
    pub has_more: bool,
    /// When the oldest of them was received or, for expired rows, when it expired.
    pub oldest: Option<Timestamp>,
}

impl StateSummary {
    /// A summary of the rows with these times, of which `limit` count. The caller reads one row
    /// more, which shows whether there are more.
    pub fn of_times(times: impl IntoIterator<Item = Timestamp>, limit: usize) -> Self {
        let mut summary = Self::default();
        for at in times {
            if summary.rows == limit {
                summary.has_more = true;
                return summary;
            }
            summary.rows += 1;
            summary.oldest = Some(summary.oldest.map_or(at, |oldest| oldest.min(at)));
        }
        summary
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl AddAssign for StateSummary {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.has_more |= other.has_more;
        self.oldest = match (self.oldest, other.oldest) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
    }
}
