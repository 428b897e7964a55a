//! Waiting as a dependency, like the clock: in a test, a week passes instantly.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};

/// Lets time pass.
pub trait RunSleeper: Send + Sync {
    /// Returns once `duration` has passed on the run's [`Clock`](crate::domain::Clock).
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// Waits in real time.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSleeper;

impl RunSleeper for TokioSleeper {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
