//! The real world: the system's clock, and chance from the operating system.

use crate::{notification::Timestamp, world::Clock};

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

/// One environment variable; one that is no UTF-8 counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads variables"
)]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
