//! Chance that falls the same way in every run of one seed, whatever else happens in that run.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Clock, Timestamp};

/// What chance decides; each has a stream of its own, so that asking for one thing more changes nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// The box a run posts to.
    Box = 1,
    /// A payment's id and reference.
    Payment,
    /// A message's own id and words.
    Message,
    /// What befalls a message.
    Twist,
    /// The order of a group of messages.
    Order,
    /// A challenge.
    Challenge,
    /// A message that is forged, or the same event told again.
    Other,
}

/// A clock for one decision: its clock stands still, and its chance is drawn from the seed.
pub(super) struct Dice {
    now: Timestamp,
    state: AtomicU64,
}

/// What SplitMix64 adds before each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The dice of the `n`th thing of its sort.
    pub(super) fn new(seed: u64, of: Of, n: u64, now: Timestamp) -> Self {
        let state = mix(mix(seed.wrapping_add(of as u64)) ^ n);
        Self {
            now,
            state: AtomicU64::new(state),
        }
    }

    /// True in so many of a hundred cases.
    pub(super) fn hits(&self, percent: u8) -> bool {
        self.random() % 100 < u64::from(percent)
    }
}

impl Clock for Dice {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn random(&self) -> u64 {
        mix(self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP))
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, of: Of, n: u64) -> [u64; 4] {
        let dice = Dice::new(seed, of, n, Timestamp::from_millis(0));
        std::array::from_fn(|_| dice.random())
    }

    #[test]
    fn the_same_seed_falls_the_same_way_and_every_other_one_another() {
        assert_eq!(drawn(7, Of::Message, 3), drawn(7, Of::Message, 3));
        let others = [
            drawn(8, Of::Message, 3),
            drawn(7, Of::Payment, 3),
            drawn(7, Of::Message, 4),
        ];
        for other in others {
            assert!(
                other
                    .iter()
                    .all(|number| !drawn(7, Of::Message, 3).contains(number))
            );
        }
    }

    #[test]
    fn a_percentage_is_hit_about_as_often_as_it_says() {
        let hits = |percent| {
            (0..10_000)
                .filter(|&n| Dice::new(1, Of::Twist, n, Timestamp::from_millis(0)).hits(percent))
                .count()
        };
        assert_eq!((hits(0), hits(100)), (0, 10_000));
        assert!((800..1_200).contains(&hits(10)), "{}", hits(10));
    }
}
