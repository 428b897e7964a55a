//! Time and randomness, passed as an argument so that tests control both.

use super::Timestamp;

/// The source of time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
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
        reason = "the only function that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    /// Not from a generator in the process: two processes restored from one snapshot of it would
    /// draw the same lease.
    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system has a random source")
    }
}
