//! Random numbers that are the same in every run with one seed, independent of other events.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Clock, Timestamp};

/// The purpose of random numbers. Each has a separate stream, so that one more draw for one purpose
/// changes no other.
#[derive(Clone, Copy, Debug)]
pub(super) enum RngStream {
    /// The box id of a run.
    Box = 1,
    /// A payment's id and reference.
    Payment,
    /// A message's id and text.
    Message,
    /// The injected faults of a message.
    Fault,
    /// The order of a group of messages.
    Order,
    /// HMRC's challenge.
    Challenge,
    /// A forged message, or an event sent again.
    Other,
}

/// A [`Clock`] with a fixed time, whose random numbers depend on the seed.
pub(super) struct SeededRng {
    now: Timestamp,
    state: AtomicU64,
}

/// The increment of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SeededRng {
    /// The generator for the `n`th item.
    pub(super) fn new(seed: u64, of: RngStream, n: u64, now: Timestamp) -> Self {
        let state = mix(mix(seed.wrapping_add(of as u64)) ^ n);
        Self {
            now,
            state: AtomicU64::new(state),
        }
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&self, percent: u8) -> bool {
        self.random() % 100 < u64::from(percent)
    }
}

impl Clock for SeededRng {
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

    fn drawn(seed: u64, of: RngStream, n: u64) -> [u64; 4] {
        let rng = SeededRng::new(seed, of, n, Timestamp::from_millis(0));
        std::array::from_fn(|_| rng.random())
    }

    #[test]
    fn each_seed_stream_and_item_has_different_random_numbers() {
        assert_eq!(
            drawn(7, RngStream::Message, 3),
            drawn(7, RngStream::Message, 3)
        );
        let others = [
            drawn(8, RngStream::Message, 3),
            drawn(7, RngStream::Payment, 3),
            drawn(7, RngStream::Message, 4),
        ];
        for other in others {
            assert!(
                other
                    .iter()
                    .all(|number| !drawn(7, RngStream::Message, 3).contains(number))
            );
        }
    }

    #[test]
    fn a_chance_occurs_about_as_often_as_its_percentage() {
        let hits = |percent| {
            (0..10_000)
                .filter(|&n| {
                    SeededRng::new(1, RngStream::Fault, n, Timestamp::from_millis(0))
                        .chance(percent)
                })
                .count()
        };
        assert_eq!((hits(0), hits(100)), (0, 10_000));
        assert!((800..1_200).contains(&hits(10)), "{}", hits(10));
    }
}
