//! When a row may be worked on, and which dates are believed.
//!
//! A clock that was set ahead and then right again leaves dates in the future. No row is due later
//! than the longest backoff, and no lease lasts longer than a minute or so, so a date further ahead
//! than [`MAX_AHEAD`] was written by a wrong clock: such a row is due, and such a lease has lapsed.
//! If its holder still works, the event may be delivered twice under one key, and only the later
//! claim can mark the row.

use std::time::Duration;

use crate::domain::Timestamp;

/// The furthest that a claim or a failed attempt moves `due_at` into the future.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// How far ahead of the clock a stored date is believed: the longest backoff, and the difference
/// between two clocks.
pub const MAX_AHEAD: Duration = Duration::from_secs(65 * 60);

const _: () = assert!(MAX_AHEAD.as_secs() > MAX_BACKOFF.as_secs());

/// A range of `due_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRange {
    /// Only later dates than this.
    pub after: Timestamp,
    /// Up to and including this date.
    pub until: Timestamp,
}

/// The ranges of `due_at` whose rows are due at `now`: past dates, then dates that are not
/// believed.
pub fn due_ranges(now: Timestamp) -> [DueRange; 2] {
    let (first, last) = (i64::MIN, i64::MAX);
    [
        DueRange {
            after: Timestamp::from_millis(first),
            until: now,
        },
        DueRange {
            after: now.plus(MAX_AHEAD),
            until: Timestamp::from_millis(last),
        },
    ]
}

/// Whether a row with this `due_at` is due at `now`.
pub fn is_due(due_at: Timestamp, now: Timestamp) -> bool {
    !is_ahead(due_at, now)
}

/// Whether a lease that ends at `until` holds at `now`.
pub fn is_leased(until: Timestamp, now: Timestamp) -> bool {
    is_ahead(until, now)
}

/// Whether the date is in the future, and believed.
fn is_ahead(date: Timestamp, now: Timestamp) -> bool {
    date > now && date <= now.plus(MAX_AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_believed_up_to_the_longest_backoff_and_a_little_more() {
        let now = Timestamp::from_millis(1_772_446_531_480);
        let second = Duration::from_secs(1);
        for (date, is_believed) in [
            (Timestamp::from_millis(0), false),
            (now, false),
            (now.plus(second), true),
            (now.plus(MAX_BACKOFF), true),
            (now.plus(MAX_AHEAD), true),
            (now.plus(MAX_AHEAD + Duration::from_millis(1)), false),
            (now.plus(24 * MAX_BACKOFF), false),
            (Timestamp::from_millis(i64::MAX), false),
        ] {
            assert_eq!(is_leased(date, now), is_believed, "{date}");
            assert_eq!(is_due(date, now), !is_believed, "{date}");
            let in_range = |range: DueRange| range.after < date && date <= range.until;
            assert_eq!(
                due_ranges(now).iter().any(|&range| in_range(range)),
                !is_believed,
                "{date}"
            );
        }
    }
}
