//! Time and randomness, passed in as an argument so that a run can be repeated.

use crate::timestamp::Timestamp;

/// The source of a run's time and randomness. Tests replace it to fix both.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// 64 fresh random bits.
    fn random(&self) -> u64;
}

/// The system clock and the operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system has a random source")
    }
}
