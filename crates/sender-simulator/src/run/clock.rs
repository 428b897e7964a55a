//! The sender's clock, on which days can pass in seconds.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that runs faster than ours by a whole factor.
///
/// Only what a sender waits for by itself is compressed. How long it waits for an answer is not:
/// the receiver lives in our time.
#[derive(Clone, Copy, Debug)]
pub(super) struct SenderClock {
    scale: u32,
    began: Instant,
}

impl SenderClock {
    pub(super) fn start(scale: u32) -> Self {
        Self {
            scale: scale.max(1),
            began: Instant::now(),
        }
    }

    /// Waits `span` of the sender's time.
    pub(super) async fn sleep(self, span: Duration) {
        if !span.is_zero() {
            tokio::time::sleep(span / self.scale).await;
        }
    }

    /// How much of the sender's time has passed.
    pub(super) fn elapsed(self) -> Duration {
        self.began.elapsed().saturating_mul(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_day_passes_in_a_moment_of_ours() {
        let (day, ours) = (Duration::from_secs(24 * 60 * 60), Instant::now());
        let clock = SenderClock::start(3_600);
        clock.sleep(day).await;
        assert_eq!(clock.elapsed(), day);
        assert_eq!(ours.elapsed(), Duration::from_secs(24));
    }
}
