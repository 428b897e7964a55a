//! The sender's clock, on which days can pass in seconds of real time.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that runs faster than real time by a whole factor.
///
/// It scales only the sender's waits between requests. Response timeouts are in real time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScaledClock {
    scale: u32,
    began: Instant,
}

impl ScaledClock {
    pub(super) fn start(scale: u32) -> Self {
        Self {
            scale: scale.max(1),
            began: Instant::now(),
        }
    }

    /// Waits for `span` of the sender's time.
    pub(super) async fn sleep(self, span: Duration) {
        if !span.is_zero() {
            tokio::time::sleep(span / self.scale).await;
        }
    }

    /// The sender's time that has passed.
    pub(super) fn elapsed(self) -> Duration {
        self.began.elapsed().saturating_mul(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_day_of_the_sender_passes_in_seconds() {
        let (day, began) = (Duration::from_secs(24 * 60 * 60), Instant::now());
        let clock = ScaledClock::start(3_600);
        clock.sleep(day).await;
        assert_eq!(clock.elapsed(), day);
        assert_eq!(began.elapsed(), Duration::from_secs(24));
    }
}
