//! How many calls a second a service takes from one caller.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

/// The most calls that are taken in any second, counted for each caller.
///
/// Neither sender says how it counts. This window slides, which is the strictest way: whoever keeps within it keeps within
/// any other.
pub(super) struct Rate {
    most: usize,
    taken: HashMap<String, VecDeque<Timestamp>>,
}

impl Rate {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            taken: HashMap::new(),
        }
    }

    pub(super) fn set(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether one more call is taken now. One that isn't does not count.
    pub(super) fn takes(&mut self, caller: &str, now: Timestamp) -> bool {
        let taken = self.taken.entry(caller.to_owned()).or_default();
        while taken.front().is_some_and(|first| first.plus(SECOND) <= now) {
            taken.pop_front();
        }
        let takes = taken.len() < self.most;
        if takes {
            taken.push_back(now);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_taken_up_to_the_most_in_any_second_for_each_caller() {
        let mut rate = Rate::new(3);
        for (ms, caller, expected) in [
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
                rate.takes(caller, Timestamp::from_millis(ms)),
                expected,
                "{caller} at {ms}"
            );
        }
    }
}
