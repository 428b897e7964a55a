//! How long to leave a sender alone that is down, or asked us to.

use std::time::Duration;

/// How often in a row something is tried before it is given up for this run: two minutes, give or
/// take.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// The shortest pause after the first failure; each later one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The shortest pause after the fifth failure and all later ones.
const LAST: Duration = Duration::from_secs(15);

/// The pause after failure number `failures`, from 1: the shortest there is for it, and by chance
/// up to twice that.
pub(super) fn backoff(failures: u32, chance: u64) -> Duration {
    let shortest = FIRST
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LAST);
    let spread = u64::try_from(shortest.as_millis()).unwrap_or(u64::MAX - 1);
    shortest + Duration::from_millis(chance % (spread + 1))
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
