//! A circuit breaker for each source's destination.
//!
//! After [`CircuitBreaker::FAILURE_THRESHOLD`] failures in a row the circuit is open: the rows of
//! that source are left due, with their attempts, and one row at a time is tried, until an attempt
//! ends in anything but a failure. The state is in memory only. That is safe, because it only
//! decides which rows are tried now: a process that starts without it makes some attempts too
//! many, and a row that is left alone stays in the inbox. Why it exists:
//! `docs/decisions/0008-circuit-breaker.md`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{AttemptOutcome, AttemptResult};

/// The failures in a row of each source's destination.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    failures: Mutex<BTreeMap<String, u32>>,
}

impl CircuitBreaker {
    /// The number of failures in a row that opens the circuit.
    pub const FAILURE_THRESHOLD: u32 = 8;

    /// Whether the destination of `source` is left alone.
    pub fn is_open(&self, source: &str) -> bool {
        self.failures()
            .get(source)
            .is_some_and(|failures| *failures >= Self::FAILURE_THRESHOLD)
    }

    /// The sources whose destinations are left alone.
    pub fn open_sources(&self) -> Vec<String> {
        let failures = self.failures();
        let open = failures
            .iter()
            .filter(|(_, failures)| **failures >= Self::FAILURE_THRESHOLD);
        open.map(|(source, _)| source.clone()).collect()
    }

    /// Counts how an attempt ended. Returns whether it closed an open circuit.
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
            // These say nothing about the destination.
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
    fn a_circuit_opens_after_failures_in_a_row_and_closes_after_one_delivery() {
        let breaker = CircuitBreaker::default();
        for _ in 0..CircuitBreaker::FAILURE_THRESHOLD {
            assert!(!breaker.is_open("pay"));
            assert!(!record(&breaker, failed()));
        }
        assert!(
            breaker.is_open("pay") && !breaker.is_open("hmrc"),
            "another source has a circuit of its own"
        );
        assert_eq!(breaker.open_sources(), ["pay"]);

        assert!(!record(
            &breaker,
            AttemptOutcome::Repeat(Key::parse("pay:b").unwrap())
        ));
        assert!(
            breaker.is_open("pay"),
            "a repeat says nothing about the destination"
        );
        assert!(record(&breaker, AttemptOutcome::Delivered));
        assert!(!breaker.is_open("pay") && breaker.open_sources().is_empty());
        assert!(
            !record(&breaker, AttemptOutcome::Delivered),
            "it was closed before"
        );
    }

    #[test]
    fn a_refusal_interrupts_the_failures_and_a_panic_does_not() {
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
