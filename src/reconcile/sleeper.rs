//! Waiting, which comes in like the time: a test's week is over at once.

use std::{future::Future, time::Duration};

/// Lets time pass.
pub trait Sleeper: Send + Sync {
    /// Returns once `time` is over by the clock of the run's [`World`](crate::domain::World).
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// Waits as long as it takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSleeper;

impl Sleeper for TokioSleeper {
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
