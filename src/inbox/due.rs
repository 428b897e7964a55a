//! When a row is due or leased, and which stored dates are trusted.
//!
//! A clock that was wrong for a while leaves dates in the future. No row is due later than the
//! longest backoff, and a lease is shorter than that. So a date further in the future than
//! [`MAX_AHEAD`] was written by a wrong clock: such a row is due, and such a lease has expired. If
//! the process with that lease is still working, the event may be delivered twice under one key,
//! and only the later claim can mark the row.

use std::time::Duration;

use crate::domain::Timestamp;

/// The furthest that a claim or a failed attempt moves `due_at` into the future.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// How far in the future a stored date is trusted: the longest backoff, plus the difference between
/// two clocks.
pub const MAX_AHEAD: Duration = Duration::from_secs(65 * 60);

const _: () = assert!(MAX_AHEAD.as_secs() > MAX_BACKOFF.as_secs());

/// A range of `due_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRange {
    /// The exclusive start.
    pub after: Timestamp,
    /// The inclusive end.
    pub until: Timestamp,
}

/// The ranges of `due_at` whose rows are due at `now`: past dates, then dates that are not trusted.
pub fn due_ranges(now: Timestamp) -> [DueRange; 2] {
    [
        DueRange {
            after: Timestamp::from_millis(i64::MIN),
            until: now,
        },
        DueRange {
            after: now.plus(MAX_AHEAD),
            until: Timestamp::from_millis(i64::MAX),
        },
    ]
}

/// Whether a row with this `due_at` is due at `now`.
pub fn is_due(due_at: Timestamp, now: Timestamp) -> bool {
    !is_ahead(due_at, now)
}

/// Whether a lease that ends at `until` is valid at `now`.
pub fn is_leased(until: Timestamp, now: Timestamp) -> bool {
    is_ahead(until, now)
}

/// Whether the date is in the future and trusted.
fn is_ahead(date: Timestamp, now: Timestamp) -> bool {
    date > now && date <= now.plus(MAX_AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_date_is_trusted_up_to_the_longest_backoff_and_a_clock_difference() {
        let now = Timestamp::from_millis(1_772_446_531_480);
        let second = Duration::from_secs(1);
        for (date, is_trusted) in [
            (Timestamp::from_millis(0), false),
            (now, false),
            (now.plus(second), true),
            (now.plus(MAX_BACKOFF), true),
            (now.plus(MAX_AHEAD), true),
            (now.plus(MAX_AHEAD + Duration::from_millis(1)), false),
            (now.plus(24 * MAX_BACKOFF), false),
            (Timestamp::from_millis(i64::MAX), false),
        ] {
            assert_eq!(is_leased(date, now), is_trusted, "{date}");
            assert_eq!(is_due(date, now), !is_trusted, "{date}");
            let ranges = due_ranges(now);
            let in_range = |range: &DueRange| range.after < date && date <= range.until;
            assert_eq!(ranges.iter().any(in_range), !is_trusted, "{date}");
        }
    }
}
