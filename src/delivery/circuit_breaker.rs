//! Which destinations are down: their rows keep their attempts until one of them gets through.

use std::collections::HashMap;

use super::AttemptOutcome;

/// After so many failures in a row a destination counts as down.
pub const FAILURE_THRESHOLD: u32 = 8;

/// Knows which sources' destinations are down, by their failures in a row.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    failures: HashMap<String, u32>,
}

impl CircuitBreaker {
    /// Whether the destination of this source is down.
    pub fn is_open(&self, source: &str) -> bool {
        self.failures
            .get(source)
            .is_some_and(|in_a_row| *in_a_row >= FAILURE_THRESHOLD)
    }

    /// The sources whose destinations are down.
    pub fn down(&self) -> Vec<String> {
        self.failures
            .keys()
            .filter(|source| self.is_open(source))
            .cloned()
            .collect()
    }

    /// Takes note of how an attempt ended.
    pub fn note(&mut self, source: &str, outcome: &AttemptOutcome) {
        match outcome {
            AttemptOutcome::Retry(_) => *self.failures.entry(source.to_owned()).or_default() += 1,
            AttemptOutcome::Delivered | AttemptOutcome::Dead(_) => {
                self.failures.remove(source);
            }
            AttemptOutcome::Repeat(_) | AttemptOutcome::NotOurs | AttemptOutcome::Lost => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Key;

    #[test]
    fn a_destination_is_down_after_failures_in_a_row_and_up_after_one_arrival() {
        let mut brake = CircuitBreaker::default();
        for _ in 0..FAILURE_THRESHOLD {
            assert!(!brake.is_open("pay"));
            brake.note("pay", &AttemptOutcome::Retry("https: no connection".into()));
        }
        assert!(
            brake.is_open("pay") && !brake.is_open("hmrc"),
            "another source's may be up"
        );
        assert_eq!(brake.down(), ["pay"]);

        brake.note("pay", &AttemptOutcome::Repeat(Key::parse("pay:a").unwrap()));
        assert!(
            brake.is_open("pay"),
            "a repeat says nothing of the destination"
        );
        brake.note("pay", &AttemptOutcome::Delivered);
        assert!(!brake.is_open("pay") && brake.down().is_empty());
    }
}
