//! Attempts the new rows of a stream batch.
//!
//! The outcome of each attempt is written to its row, so one failure does not delay the other rows.
//! The stream sends the batch again from the sequence number in the reply, and treats a reply
//! without a number as success. The reply therefore has the lowest number whose outcome is not
//! written, or none if every outcome is written. A row that is sent again is not delivered again:
//! its claim finds it finished, or not due yet.

#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    collections::{HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    AttemptCounts, AttemptResult, DeliveryLimits, DeliveryWorker, RunDeadline,
    worker_pool::WorkerPool,
};
use crate::{destinations::Destination, domain::Key, inbox::DeliveryInbox};

/// A sequence number of a stream: a decimal number of up to 40 digits, compared as a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Reads a sequence number of 1 to 40 digits. The reply has the same digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_number =
            (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Self(text.to_owned()))
    }

    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl Ord for SequenceNumber {
    /// Forty digits do not fit any integer type, so the number of digits is compared first. Two
    /// numbers that differ only in leading zeros are compared as texts, so that equal means
    /// identical.
    fn cmp(&self, other: &Self) -> Ordering {
        let digits = (self.digits(), other.digits());
        (digits.0.len().cmp(&digits.1.len()))
            .then_with(|| digits.0.cmp(digits.1))
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// The position in the stream.
    pub sequence: SequenceNumber,
    /// The row to deliver; `None` if the change does not need a delivery.
    pub key: Option<Key>,
}

/// Where the batch resumes. Serialised as the reply to the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Every outcome is written.
    Done,
    /// The lowest sequence number whose outcome is not written.
    ResumeFrom(SequenceNumber),
}

impl Serialize for BatchOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let failures = match self {
            Self::Done => vec![],
            Self::ResumeFrom(sequence) => vec![BatchItemFailure { item: &sequence.0 }],
        };
        let mut reply = serializer.serialize_struct("BatchOutcome", 1)?;
        reply.serialize_field("batchItemFailures", &failures)?;
        reply.end()
    }
}

#[derive(Serialize)]
struct BatchItemFailure<'a> {
    #[serde(rename = "itemIdentifier")]
    item: &'a str,
}

/// Attempts every row of `batch` once, until the deadline. Calls `on_attempt` for each result.
///
/// A row whose attempt was not started or was cancelled has no outcome, and the batch resumes
/// there. If the stream does not send it again, a sweep finds its row.
pub async fn run<I: DeliveryInbox, D: Destination>(
    worker: &Arc<DeliveryWorker<I, D>>,
    batch: &[BatchRecord],
    deadline: RunDeadline,
    mut on_attempt: impl FnMut(&AttemptResult),
) -> (BatchOutcome, AttemptCounts) {
    let mut unwritten: HashSet<&Key> = HashSet::new();
    let mut waiting: VecDeque<&Key> = VecDeque::new();
    let keys = batch.iter().filter_map(|record| record.key.as_ref());
    waiting.extend(keys.filter(|key| unwritten.insert(key)));

    let mut pool = WorkerPool::new(Arc::clone(worker), DeliveryLimits::function(deadline));
    let mut counts = AttemptCounts::default();
    let work = async {
        loop {
            while pool.can_start()
                && let Some(key) = waiting.pop_front()
            {
                pool.start(key.clone());
            }
            let Some(attempt) = pool.next_result().await else {
                return;
            };
            if attempt.ended.is_ok() {
                unwritten.remove(&attempt.key);
            }
            counts.add(&attempt);
            on_attempt(&attempt);
        }
    };
    // A cancelled attempt stays unwritten.
    let _ = tokio::time::timeout(deadline.remaining(worker.clock.now()), work).await;
    counts.unwritten = unwritten.len() as u64;
    let is_unwritten = |record: &&BatchRecord| {
        record
            .key
            .as_ref()
            .is_some_and(|key| unwritten.contains(key))
    };
    let lowest = batch
        .iter()
        .filter(is_unwritten)
        .map(|record| &record.sequence)
        .min();
    let outcome = lowest
        .cloned()
        .map_or(BatchOutcome::Done, BatchOutcome::ResumeFrom);
    (outcome, counts)
}
