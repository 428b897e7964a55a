//! The pauses between attempts to reach a sender that is unavailable.

use std::time::Duration;

/// The number of attempts before a run gives up, which take about two minutes.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// The minimum pause after the first failure. Each later failure doubles it.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The minimum pause after the fifth and every later failure.
const MAX_MIN_PAUSE: Duration = Duration::from_secs(15);

/// The pause after failure number `failures`, from 1: its minimum, with random jitter up to twice
/// that.
pub(super) fn backoff(failures: u32, random: u64) -> Duration {
    let shortest = MIN_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(MAX_MIN_PAUSE);
    let spread = u64::try_from(shortest.as_millis()).unwrap_or(u64::MAX - 1);
    shortest + Duration::from_millis(random % (spread + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_and_none_is_shorter_than_a_second() {
        let range = |failures| {
            let shortest = u64::try_from(backoff(failures, 0).as_millis()).unwrap();
            (
                shortest,
                u64::try_from(backoff(failures, shortest).as_millis()).unwrap(),
            )
        };
        let expected = [
            (1000, 2000),
            (2000, 4000),
            (4000, 8000),
            (8000, 16_000),
            (15_000, 30_000),
            (15_000, 30_000),
        ];
        assert_eq!([1, 2, 3, 4, 5, u32::MAX].map(range), expected);
    }
}
