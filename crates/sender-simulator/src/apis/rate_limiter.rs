//! The limit on calls per second for each client.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

/// Limits the calls of each client in any second.
///
/// Neither sender documents how it counts. This window slides, which is the strictest method: a
/// client within this limit is within any other.
pub(super) struct ApiRateLimiter {
    pub(super) max_per_second: usize,
    accepted: HashMap<String, VecDeque<Timestamp>>,
}

impl ApiRateLimiter {
    pub(super) fn new(max_per_second: usize) -> Self {
        Self {
            max_per_second,
            accepted: HashMap::new(),
        }
    }

    /// Whether a call is allowed now. A refused call is not counted.
    pub(super) fn try_acquire(&mut self, client: &str, now: Timestamp) -> bool {
        let accepted = self.accepted.entry(client.to_owned()).or_default();
        while accepted
            .front()
            .is_some_and(|first| first.plus(SECOND) <= now)
        {
            accepted.pop_front();
        }
        let is_allowed = accepted.len() < self.max_per_second;
        if is_allowed {
            accepted.push_back(now);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_allowed_up_to_the_limit_in_any_second_for_each_client() {
        let mut rate = ApiRateLimiter::new(3);
        for (ms, client, expected) in [
            (0, "a", true),
            (400, "a", true),
            (800, "a", true),
            (999, "a", false),
            (999, "b", true),
            (1000, "a", true),
            (1001, "a", false),
            (1400, "a", true),
            (9000, "a", true),
        ] {
            assert_eq!(
                rate.try_acquire(client, Timestamp::from_millis(ms)),
                expected,
                "{client} at {ms}"
            );
        }
    }
}
