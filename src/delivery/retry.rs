//! Decides what follows a failed attempt: a retry with exponential backoff and full jitter, or the
//! state dead or held.
//!
//! Pure: no clock, no randomness, no I/O.

use std::time::Duration;

use crate::{destinations::DeliveryError, domain::HeldReason, inbox::MAX_BACKOFF};

/// How long a notification is retried before it is dead.
pub const BUDGET: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The longest delay after the first failure. Each further failure doubles it.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(5);

/// The reason of a dead row whose destination refused its event permanently.
pub const REFUSED: &str = "refused";

/// What follows a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Dead, for this reason.
    Dead(&'static str),
    /// Held for a person, for this reason.
    Held(HeldReason),
    /// Due again after this delay.
    RetryAfter(Duration),
}

/// Decides what follows attempt number `attempt`, `spent` after the budget began.
///
/// `random` is a random number. It spreads the delay over the whole backoff ("full jitter"), so
/// that rows that failed at the same time are not due at the same time.
pub fn after_failure(
    error: &DeliveryError,
    attempt: u32,
    spent: Duration,
    random: u64,
) -> RetryDecision {
    match error {
        DeliveryError::Refused(_) => RetryDecision::Dead(REFUSED),
        DeliveryError::Unsigned => RetryDecision::Held(HeldReason::Unsigned),
        DeliveryError::Unavailable(_) | DeliveryError::Busy { .. } if spent >= BUDGET => {
            RetryDecision::Dead("budget spent")
        }
        DeliveryError::Unavailable(_) => RetryDecision::RetryAfter(spread_delay(attempt, random)),
        DeliveryError::Busy { delay, .. } => {
            let delay = spread_delay(attempt, random).max(*delay);
            RetryDecision::RetryAfter(delay.min(MAX_BACKOFF))
        }
    }
}

/// A random delay between zero and the [`backoff`].
fn spread_delay(attempt: u32, random: u64) -> Duration {
    let longest = u64::try_from(backoff(attempt).as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis(random % (longest + 1))
}

/// The longest delay after attempt number `attempt`: 5 s, doubled each time, at most an hour.
fn backoff(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST_BACKOFF * 2u32.pow(doublings)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> DeliveryError {
        DeliveryError::Unavailable("https: status 503".into())
    }

    #[test]
    fn delays_grow_from_five_seconds_to_an_hour() {
        let seconds: Vec<u64> = (1..=13).map(|attempt| backoff(attempt).as_secs()).collect();
        assert_eq!(
            seconds,
            [
                5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600
            ]
        );
        assert_eq!(backoff(u32::MAX), MAX_BACKOFF);
    }

    #[test]
    fn the_random_number_spreads_the_delay_over_the_whole_backoff() {
        for (random, millis) in [(0, 0), (1_234, 1_234), (5_000, 5_000), (5_001, 0)] {
            let decision = after_failure(&down(), 1, Duration::ZERO, random);
            let delay = Duration::from_millis(millis);
            assert_eq!(decision, RetryDecision::RetryAfter(delay), "{random}");
        }
    }

    #[test]
    fn a_busy_destination_gets_the_delay_that_it_asks_for_up_to_an_hour() {
        let busy = |seconds| DeliveryError::Busy {
            reason: "https: status 503".into(),
            delay: Duration::from_secs(seconds),
        };
        for (seconds, attempt, random, expected) in [
            (120, 1, 1_234, 120_000),
            (0, 1, 1_234, 1_234),
            (2, 1, 4_000, 4_000),
            (7_200, 1, 0, 3_600_000),
        ] {
            let decision = after_failure(&busy(seconds), attempt, Duration::ZERO, random);
            let delay = Duration::from_millis(expected);
            assert_eq!(decision, RetryDecision::RetryAfter(delay), "{seconds}");
        }
        let spent = after_failure(&busy(1), 80, BUDGET, 7);
        assert_eq!(spent, RetryDecision::Dead("budget spent"));
    }

    #[test]
    fn a_row_is_dead_when_its_budget_is_spent_or_its_event_is_refused() {
        assert_eq!(BUDGET.as_secs(), 259_200, "three days");
        let just_before = BUDGET - Duration::from_millis(1);
        assert!(matches!(
            after_failure(&down(), 80, just_before, 7),
            RetryDecision::RetryAfter(_)
        ));
        assert_eq!(
            after_failure(&down(), 80, BUDGET, 7),
            RetryDecision::Dead("budget spent")
        );
        let refused = DeliveryError::Refused("https: status 422".into());
        assert_eq!(
            after_failure(&refused, 1, Duration::ZERO, 7),
            RetryDecision::Dead("refused")
        );
    }
}
