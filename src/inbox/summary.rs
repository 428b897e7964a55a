//! What waits in an inbox, read for a person without a scan.
//!
//! Everything comes from the pending index, and from at most a few rows beside it. Counts end at a
//! limit, because a person who has ten thousand dead notifications needs no exact number.

use std::{collections::BTreeMap, ops::AddAssign};

use super::Row;
use crate::domain::Timestamp;

/// The rows with the latest next attempts that are read to see whether deliveries fail.
pub const MAX_RETRYING_ROWS: usize = 20;

/// What to count, and how far.
#[derive(Clone, Copy, Debug)]
pub struct SummaryRequest {
    /// Open rows received before this time are overdue.
    pub overdue_before: Timestamp,
    /// Rows that expired before this time should have been removed.
    pub expired_before: Timestamp,
    /// The rows of each state that are counted at most.
    pub limit: usize,
}

/// What waits in an inbox.
#[derive(Clone, Debug, Default)]
pub struct InboxSummary {
    /// The open rows.
    pub open: StateSummary,
    /// Those of them that are overdue, as far as they were counted.
    pub overdue: usize,
    /// Open rows that have been attempted, without their bytes: those with the latest next
    /// attempts, at most [`MAX_RETRYING_ROWS`].
    pub retrying: Vec<Row>,
    /// The dead rows.
    pub dead: StateSummary,
    /// The held rows.
    pub held: StateSummary,
    /// The held rows by reason, as far as their reasons were read.
    pub held_reasons: BTreeMap<String, usize>,
    /// Rows that should have been removed; `None` if there are none, or if the store removes them.
    pub expired: Option<StateSummary>,
}

/// The rows of one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSummary {
    /// How many were counted.
    pub rows: usize,
    /// Whether there are more than were counted.
    pub has_more: bool,
    /// When the oldest of them was received or, if they have expired, expired.
    pub oldest: Option<Timestamp>,
}

impl StateSummary {
    /// A summary of `rows`, of which `limit` count: the caller reads one row more.
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

    /// Whether there is any row.
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
