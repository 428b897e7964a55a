//! How long there is: what the front and the platform say -> the time left. Pure.

use std::time::Duration;

use crate::{domain::Timestamp, receive::PATIENCE};

/// What answering takes once storing is given up, before the platform stops the function.
const ANSWER: Duration = Duration::from_millis(300);
/// What a run of reconciling may still have to do once it begins nothing new: write down what it was told last, how far
/// it is, and that others may begin.
const FINISH: Duration = Duration::from_secs(10);
/// A front's request time further away than this is another clock's, and no use.
const BELIEVED: Duration = Duration::from_secs(3);

/// Before this instant of 2001 there was no Lambda: what is said to be a function's end is how long it may take.
const BEFORE_LAMBDA: i64 = 1_000_000_000_000;

/// When the function is stopped, by what the platform says in milliseconds since 1970. The one that
/// `cargo lambda watch` plays says how many there are left.
pub(super) fn stopped_at(said: u64, now: Timestamp) -> Timestamp {
    let said = i64::try_from(said).unwrap_or(i64::MAX);
    Timestamp::from_millis(if said < BEFORE_LAMBDA {
        now.as_millis().saturating_add(said)
    } else {
        said
    })
}

/// How long recording may take at `now`, for a request that its front had at `requested_at`, in a
/// function that is stopped at `stopped_at`. Nothing left is zero: that still is an answer.
pub(super) fn patience(
    requested_at: Option<Timestamp>,
    stopped_at: Timestamp,
    now: Timestamp,
) -> Duration {
    let is_believed = |at: &Timestamp| *at <= now && now.since(*at) <= BELIEVED;
    let asked = requested_at.filter(is_believed).unwrap_or(now);
    asked
        .plus(PATIENCE)
        .min(stopped_at.minus(ANSWER))
        .since(now)
}

/// When reconciling has to have ended by itself, in a function that is stopped at `stopped_at`.
pub(super) fn last_step(stopped_at: Timestamp) -> Timestamp {
    stopped_at.minus(FINISH)
}

/// When whatever still runs is cut off, so that the function can answer before it is stopped.
pub(super) fn cut_off(stopped_at: Timestamp) -> Timestamp {
    stopped_at.minus(ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

    #[test]
    fn an_end_is_an_instant_or_for_cargo_lambda_a_span() {
        let at = |offset: i64| NOW.as_millis() + offset;
        for (said, stopped) in [
            (at(5_000), at(5_000)),
            (at(-5_000), at(-5_000)),
            (600_000, at(600_000)),
            (0, at(0)),
            (i64::MAX, i64::MAX),
        ] {
            let said = u64::try_from(said).unwrap();
            assert_eq!(
                stopped_at(said, NOW),
                Timestamp::from_millis(stopped),
                "{said}"
            );
        }
        assert_eq!(stopped_at(u64::MAX, NOW), Timestamp::from_millis(i64::MAX));
    }

    #[test]
    fn an_answer_is_due_by_the_fronts_clock_or_the_functions_whichever_is_first() {
        let ms = Duration::from_millis;
        for (requested, stopped, left) in [
            (Some(0), 5_000, 2_300),
            (Some(-40), 5_000, 2_260),
            (Some(-2_300), 5_000, 0),
            (Some(-3_000), 5_000, 0),
            (Some(-3_001), 5_000, 2_300), // another clock's
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
                patience(requested.map(at), at(stopped), NOW),
                ms(left),
                "{requested:?} {stopped}"
            );
        }
    }
}
