//! A circuit breaker for each source's destination.
//!
//! After [`CircuitBreaker::FAILURE_THRESHOLD`] consecutive failures the circuit is open: the rows
//! of that source stay due without using attempts, and one row at a time is attempted, until an
//! attempt ends as delivered or dead. The state is in memory only. That is safe, because it only
//! decides which rows are attempted now: a new process makes a few unnecessary attempts, and a row
//! that is not attempted stays in the inbox. `docs/decisions/0008-circuit-breaker.md` has the
//! reasons.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{AttemptOutcome, AttemptResult};

/// The consecutive failures of each source's destination.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    failures: Mutex<BTreeMap<String, u32>>,
}

impl CircuitBreaker {
    /// The number of consecutive failures that opens the circuit.
    pub const FAILURE_THRESHOLD: u32 = 8;

    /// Whether the circuit of `source` is open.
    pub fn is_open(&self, source: &str) -> bool {
        self.failures()
            .get(source)
            .is_some_and(|failures| *failures >= Self::FAILURE_THRESHOLD)
    }

    /// The sources whose circuits are open.
    pub fn open_sources(&self) -> Vec<String> {
        let failures = self.failures();
        let open = failures
            .iter()
            .filter(|(_, failures)| **failures >= Self::FAILURE_THRESHOLD);
        open.map(|(source, _)| source.clone()).collect()
    }

    /// Counts the outcome of an attempt. Returns whether it closed an open circuit.
    pub fn record(&self, attempt: &AttemptResult) -> bool {
        let source = attempt.key.source();
        match attempt.ended.as_ref().map(|processed| &processed.outcome) {
            Ok(AttemptOutcome::Retry { .. }) => {
                *self.failures().entry(source.to_owned()).or_default() += 1;
                false
            }
            Ok(AttemptOutcome::Delivered | AttemptOutcome::Dead(_)) => {
                let failures = self.failures().remove(source);
                failures.is_some_and(|failures| failures >= Self::FAILURE_THRESHOLD)
            }
            // These outcomes do not depend on the destination.
            Ok(
                AttemptOutcome::Repeat(_)
                | AttemptOutcome::Held(_)
                | AttemptOutcome::NotOurs
                | AttemptOutcome::Lost(_),
            )
            | Err(_) => false,
        }
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        delivery::{AttemptError, ProcessedRow},
        domain::{Key, Timestamp},
    };

    fn record(breaker: &CircuitBreaker, outcome: AttemptOutcome) -> bool {
        breaker.record(&AttemptResult {
            key: Key::parse("pay:a").unwrap(),
            took: Duration::ZERO,
            ended: Ok(ProcessedRow {
                outcome,
                attempt: 1,
                age: Duration::ZERO,
            }),
        })
    }

    fn failed() -> AttemptOutcome {
        let retry_at = Timestamp::from_millis(0);
        AttemptOutcome::Retry {
            reason: "https: no connection".to_owned(),
            retry_at,
        }
    }

    #[test]
    fn a_circuit_opens_after_consecutive_failures_and_closes_after_one_delivery() {
        let breaker = CircuitBreaker::default();
        for _ in 0..CircuitBreaker::FAILURE_THRESHOLD {
            assert!(!breaker.is_open("pay"));
            assert!(!record(&breaker, failed()));
        }
        assert!(
            breaker.is_open("pay") && !breaker.is_open("hmrc"),
            "each source has its own circuit"
        );
        assert_eq!(breaker.open_sources(), ["pay"]);

        let repeat = AttemptOutcome::Repeat(Key::parse("pay:b").unwrap());
        assert!(!record(&breaker, repeat));
        assert!(breaker.is_open("pay"), "a repeat is not delivered");
        assert!(record(&breaker, AttemptOutcome::Delivered));
        assert!(!breaker.is_open("pay") && breaker.open_sources().is_empty());
        assert!(
            !record(&breaker, AttemptOutcome::Delivered),
            "it was closed before"
        );
    }

    #[test]
    fn a_refusal_closes_the_circuit_and_a_panic_does_not_reset_the_count() {
        let breaker = CircuitBreaker::default();
        for _ in 1..CircuitBreaker::FAILURE_THRESHOLD {
            record(&breaker, failed());
        }
        breaker.record(&AttemptResult {
            key: Key::parse("pay:a").unwrap(),
            took: Duration::ZERO,
            ended: Err(AttemptError::Panicked),
        });
        record(&breaker, failed());
        assert!(breaker.is_open("pay"));
        assert!(record(&breaker, AttemptOutcome::Dead("refused".to_owned())));
        assert!(!breaker.is_open("pay"));
    }
}
