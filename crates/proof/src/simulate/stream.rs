//! The table's stream, as AWS implements it, with shards, batches, redelivery and loss.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    delivery::{
        DeliveryWorker, RunDeadline,
        stream_batch::{self, BatchOutcome, BatchRecord, SequenceNumber},
    },
    domain::{Key, State},
};

use super::{
    delivery::start_worker, plan::FaultKind, process::SimulatedProcess, random::SplitMix64,
    simulation::Simulation,
};
use crate::{history::RecordedEvent, sync::lock};

const SHARDS: usize = 2;
/// The largest number of records in a batch.
const BATCH: usize = 25;
/// The number of retries of a batch.
const RETRIES: u32 = 5;
/// The time for which a stream keeps a record.
const RETENTION_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// The unread records of each shard.
#[derive(Default)]
pub(crate) struct StreamShards {
    shards: [Vec<SimulatedStreamRecord>; SHARDS],
    written: u64,
}

#[derive(Clone)]
struct SimulatedStreamRecord {
    sequence: u64,
    key: Key,
    at: i64,
}

impl StreamShards {
    /// Adds the record of a new row.
    pub(crate) fn push(&mut self, key: &Key, at: i64) {
        self.written += 1;
        let shard = usize::from(key.shard(2)) % SHARDS;
        // Sequence numbers have different lengths, because they must be compared as numbers.
        let sequence = self.written * self.written * 7;
        self.shards[shard].push(SimulatedStreamRecord {
            sequence,
            key: key.clone(),
            at,
        });
    }

    fn take(&mut self, shard: usize) -> Vec<SimulatedStreamRecord> {
        std::mem::take(&mut self.shards[shard])
    }
}

/// Reads one shard forever.
pub(crate) async fn read_shard(simulation: Arc<Simulation>, shard: usize) {
    let mut random = SplitMix64::of(simulation.plan.seed, 0x100 + shard as u64);
    let mut process = SimulatedProcess::start(&simulation, 0);
    loop {
        let mut records = lock(&simulation.stream).take(shard);
        if records.is_empty() {
            simulation.changed.notified().await;
            continue;
        }
        let draws_fault = |kind, permille: u64, random: &mut SplitMix64| {
            !simulation.faults_ended() && simulation.plan.faults.has(kind) && random.is(permille)
        };
        let mut wait = random.between(50, 900);
        if draws_fault(FaultKind::StreamDelay, 200, &mut random) {
            wait = random.between(1_000, 6 * 60 * 60_000);
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        records.retain(|record| {
            let is_old = simulation.elapsed() - record.at > RETENTION_MILLIS;
            !is_old && !draws_fault(FaultKind::StreamLoss, 200, &mut random)
        });
        for batch in records.chunks(BATCH) {
            let repeats = 1 + u32::from(draws_fault(FaultKind::StreamRepeat, 300, &mut random));
            for _ in 0..repeats {
                process_batch(&simulation, &mut process, batch.to_vec()).await;
            }
        }
    }
}

/// Invokes the function with a batch until it succeeds or is given up.
async fn process_batch(
    simulation: &Arc<Simulation>,
    process: &mut Arc<SimulatedProcess>,
    batch: Vec<SimulatedStreamRecord>,
) {
    let mut waiting = vec![(batch, 0)];
    while let Some((batch, retries)) = waiting.pop() {
        if process.has_ended() {
            *process = SimulatedProcess::start(simulation, 0);
        }
        match invoke(process, &batch).await {
            Some(BatchOutcome::Done) => {}
            _ if retries == RETRIES => {} // the sweep finds the rows
            Some(BatchOutcome::ResumeFrom(sequence)) => {
                let from = batch.iter().position(|record| number(record) == sequence);
                let from = from.unwrap_or(0);
                let retries = if from == 0 { retries + 1 } else { retries };
                waiting.push((batch[from..].to_vec(), retries));
            }
            None if batch.len() > 1 => {
                let (first, second) = batch.split_at(batch.len() / 2);
                waiting.push((second.to_vec(), retries));
                waiting.push((first.to_vec(), retries));
            }
            None => waiting.push((batch, retries + 1)),
        }
        tokio::time::sleep(process.millis(10, 1_000)).await;
    }
}

fn number(record: &SimulatedStreamRecord) -> SequenceNumber {
    SequenceNumber::parse(&record.sequence.to_string()).expect("a valid sequence number")
}

async fn invoke(
    process: &Arc<SimulatedProcess>,
    batch: &[SimulatedStreamRecord],
) -> Option<BatchOutcome> {
    let worker: Arc<DeliveryWorker<_, _>> = start_worker(process);
    let records: Vec<BatchRecord> = batch
        .iter()
        .map(|record| BatchRecord {
            sequence: number(record),
            key: Some(record.key.clone()),
        })
        .collect();
    let deadline = RunDeadline::before(worker.clock.now().plus(Duration::from_secs(60)));
    let work = stream_batch::run(&worker, &records, deadline, |_| ());
    let (outcome, _) = process.run(work).await?;
    record_untouched(&process.simulation, batch, &outcome);
    Some(outcome)
}

/// Records the rows in the answered part of the batch that have no attempt.
fn record_untouched(
    simulation: &Simulation,
    batch: &[SimulatedStreamRecord],
    outcome: &BatchOutcome,
) {
    let rows = simulation.table.rows();
    let untouched = batch
        .iter()
        .filter(|record| match outcome {
            BatchOutcome::Done => true,
            BatchOutcome::ResumeFrom(from) => number(record) < *from,
        })
        .filter(|record| {
            let row = rows.iter().find(|row| row.key == record.key);
            row.is_some_and(|row| {
                let is_replayed = row.budget_from != row.received_at;
                row.state == State::Recorded && row.attempts == 0 && !is_replayed
            })
        });
    let untouched = untouched.map(|record| record.key.to_string()).collect();
    simulation.record(RecordedEvent::StreamAnswered {
        records: batch.len(),
        untouched,
    });
}
