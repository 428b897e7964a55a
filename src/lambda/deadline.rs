//! The times that the front and the platform report -> the time that is left. Pure.

use std::time::Duration;

use crate::{domain::Timestamp, receive::RECORD_TIMEOUT};

/// The time for the answer after recording timed out, before the platform stops the function.
const ANSWER_MARGIN: Duration = Duration::from_millis(300);
/// The time that a reconcile run needs to end: it stores its last answer and its checkpoint, and
/// releases the lock.
const FINISH_MARGIN: Duration = Duration::from_secs(10);
/// A front's request time that is further away comes from a wrong clock and is ignored.
const MAX_CLOCK_DISTANCE: Duration = Duration::from_secs(3);

/// A reported deadline below this number (an instant in 2001, before Lambda existed) is the number
/// of milliseconds that are left.
const BEFORE_LAMBDA: i64 = 1_000_000_000_000;

/// When the function is stopped, from the platform's milliseconds since 1970. `cargo lambda watch`
/// reports the milliseconds that are left instead.
pub(super) fn stopped_at(reported: u64, now: Timestamp) -> Timestamp {
    let reported = i64::try_from(reported).unwrap_or(i64::MAX);
    Timestamp::from_millis(if reported < BEFORE_LAMBDA {
        now.as_millis().saturating_add(reported)
    } else {
        reported
    })
}

/// The time for recording at `now`, of a request that its front received at `requested_at`, in a
/// function that is stopped at `stopped_at`. Zero if none is left: the sender still gets an answer.
pub(super) fn time_left(
    requested_at: Option<Timestamp>,
    stopped_at: Timestamp,
    now: Timestamp,
) -> Duration {
    let is_plausible = |at: &Timestamp| *at <= now && now.since(*at) <= MAX_CLOCK_DISTANCE;
    let requested_at = requested_at.filter(is_plausible).unwrap_or(now);
    requested_at
        .plus(RECORD_TIMEOUT)
        .min(stopped_at.minus(ANSWER_MARGIN))
        .since(now)
}

/// When a reconcile run must end, in a function that is stopped at `stopped_at`.
pub(super) fn last_step(stopped_at: Timestamp) -> Timestamp {
    stopped_at.minus(FINISH_MARGIN)
}

/// When unfinished work is cancelled, so that the function can answer before it is stopped.
pub(super) fn cut_off(stopped_at: Timestamp) -> Timestamp {
    stopped_at.minus(ANSWER_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

    #[test]
    fn a_deadline_is_an_instant_or_for_cargo_lambda_a_duration() {
        let at = |offset: i64| NOW.as_millis() + offset;
        for (reported, stopped) in [
            (at(5_000), at(5_000)),
            (at(-5_000), at(-5_000)),
            (600_000, at(600_000)),
            (0, at(0)),
            (i64::MAX, i64::MAX),
        ] {
            let reported = u64::try_from(reported).unwrap();
            assert_eq!(
                stopped_at(reported, NOW),
                Timestamp::from_millis(stopped),
                "{reported}"
            );
        }
        assert_eq!(stopped_at(u64::MAX, NOW), Timestamp::from_millis(i64::MAX));
    }

    #[test]
    fn the_time_left_ends_with_that_of_the_front_or_of_the_function_whichever_is_first() {
        let ms = Duration::from_millis;
        for (requested, stopped, left) in [
            (Some(0), 5_000, 2_300),
            (Some(-40), 5_000, 2_260),
            (Some(-2_300), 5_000, 0),
            (Some(-3_000), 5_000, 0),
            (Some(-3_001), 5_000, 2_300), // from a wrong clock
            (Some(1), 5_000, 2_300),
            (None, 5_000, 2_300),
            (Some(-40), 1_000, 700),
            (Some(-40), 300, 0),
            (Some(-40), 0, 0),
            (Some(-40), -5_000, 0),
            (Some(i64::MIN), 5_000, 2_300),
            (Some(i64::MAX), i64::MIN, 0),
        ] {
            let at = |offset: i64| Timestamp::from_millis(NOW.as_millis().saturating_add(offset));
            assert_eq!(
                time_left(requested.map(at), at(stopped), NOW),
                ms(left),
                "{requested:?} {stopped}"
            );
        }
    }
}
