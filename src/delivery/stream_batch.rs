//! A batch of new rows -> every one of them worked on -> where to resume.
//!
//! The rows are independent: each outcome is written in its own row, so one that fails holds up
//! nobody. Whoever sends the batch sends it again from the lowest sequence number returned, and
//! takes an empty list for success: it is empty only when every outcome is written.

#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    collections::{HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{AttemptCounts, AttemptResult, DeliveryWorker, RunDeadline, worker_pool::WorkerPool};
use crate::{
    destinations::Destination,
    domain::{Clock, Key},
    inbox::DeliveryInbox,
};

/// A place in a stream: a decimal number of up to 40 digits, compared as a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(String);

impl SequenceNumber {
    /// Takes text that can be given back as a place to resume from: digits, one at least.
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
    /// Forty digits are more than any integer has; a longer number is a greater one. Two spellings
    /// of one number are told apart last, so that equal means identical.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, others) = (self.digits(), other.digits());
        mine.len()
            .cmp(&others.len())
            .then_with(|| mine.cmp(others))
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
    /// Where it stands in the stream.
    pub sequence: SequenceNumber,
    /// The row to work on; `None` if it tells of nothing that has to be done.
    pub key: Option<Key>,
}

/// Where a batch resumes, as the JSON its sender reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Every outcome is written.
    Done,
    /// From here on, some are not.
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

/// Works on every row of `batch`, as long as there is time. `said` hears of each attempt.
///
/// A row whose turn didn't come, or whose attempt was cut off, has no outcome either, and is where
/// the batch resumes; should it never come again, the sweep finds its row.
pub async fn run<I: DeliveryInbox, D: Destination, W: Clock>(
    worker: &Arc<DeliveryWorker<I, D, W>>,
    batch: &[BatchRecord],
    until: RunDeadline,
    mut said: impl FnMut(&AttemptResult),
) -> (BatchOutcome, AttemptCounts) {
    let mut open: HashSet<&Key> = HashSet::new();
    let mut waiting: VecDeque<&Key> = batch
        .iter()
        .filter_map(|record| record.key.as_ref())
        .collect();
    waiting.retain(|key| open.insert(key));
    let (mut crew, mut tally) = (WorkerPool::new(worker, until), AttemptCounts::default());
    let work = async {
        loop {
            while crew.may_start()
                && let Some(key) = waiting.pop_front()
            {
                crew.start(key.clone());
            }
            let Some(attempt) = crew.ended().await else {
                return;
            };
            if attempt.ended.is_ok() {
                open.remove(&attempt.key);
            }
            tally.note(&attempt);
            said(&attempt);
        }
    };
    // what is cut off stays open
    let _ = tokio::time::timeout(until.left(worker.clock.now()), work).await;
    tally.unwritten = open.len() as u64;
    let is_open = |record: &&BatchRecord| record.key.as_ref().is_some_and(|key| open.contains(key));
    let lowest = batch
        .iter()
        .filter(is_open)
        .map(|record| &record.sequence)
        .min();
    (
        lowest.map_or(BatchOutcome::Done, |sequence| {
            BatchOutcome::ResumeFrom(sequence.clone())
        }),
        tally,
    )
}
