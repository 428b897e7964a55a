//! Time and randomness, passed as an argument so that tests control both.

use super::Timestamp;

/// The source of time and randomness.
///
/// [`SystemClock`] reads the system clock and the operating system's random source.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// 64 fresh random bits.
    fn random(&self) -> u64;
}

/// The system's time and randomness.
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

    /// From the operating system, because two processes restored from one snapshot of a generator
    /// would draw the same lease.
    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system has a random source")
    }
}
