//! Random numbers that depend only on a seed.

use std::sync::{Mutex, PoisonError};

/// SplitMix64: small, fast, and good enough to choose faults.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// An independent stream for one part of a run, so that a change in one part does not affect
    /// the others.
    pub(crate) fn of(seed: u64, part: u64) -> Self {
        Self(Self(seed ^ part.wrapping_mul(0xd134_2543_de82_ef95)).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// An index into a slice of this length; 0 if it is empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True with a probability of `permille` in a thousand.
    pub(crate) fn is(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// One of the values, of which there must be at least one.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

/// A generator that the tasks of one process share.
#[derive(Debug)]
pub(crate) struct SharedRandom(Mutex<SplitMix64>);

impl SharedRandom {
    pub(crate) fn new(random: SplitMix64) -> Self {
        Self(Mutex::new(random))
    }

    pub(crate) fn draw<T>(&self, with: impl FnOnce(&mut SplitMix64) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
