//! Time and chance, which enter everywhere as an argument, so that a whole run can be repeated.

use super::Timestamp;

/// Where a run takes its time and its chance from.
///
/// The real one reads the system clock and the operating system's random source; tests bring one
/// of their own and decide both.
pub trait Clock: Send + Sync + 'static {
    /// The instant it is now.
    fn now(&self) -> Timestamp;

    /// 64 fresh random bits.
    fn random(&self) -> u64;
}

/// Time and chance as they are.
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

    /// From the operating system, not from a generator of our own: two processes restored from one
    /// snapshot must not draw the same lease.
    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system has a random source")
    }
}
