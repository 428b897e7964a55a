//! Delivery: claim a due row, deliver its event, mark the row.
//!
//! [`DeliveryWorker::process`] makes one attempt for one key. Any number of processes may call it
//! for any key at any time: the claim decides which of them works, and its fence decides which may
//! write. [`stream_batch`] and [`sweep`] choose the keys. Both use the same worker pool and limits.

mod attempt;
mod attempt_counts;
mod circuit_breaker;
mod limits;
mod retry;
mod worker_pool;
pub mod stream_batch;
pub mod sweep;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use attempt::{AttemptOutcome, DeliveryWorker, ProcessedRow};
pub use attempt_counts::AttemptCounts;
pub use circuit_breaker::CircuitBreaker;
pub use limits::{ATTEMPT_TIMEOUT, DeliveryLimits, LEASE_DURATION, RunDeadline};
pub use retry::{BUDGET, FIRST_BACKOFF, REFUSED, RetryDecision, after_failure};
pub use worker_pool::{AttemptError, AttemptResult};
