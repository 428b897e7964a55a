//! Feeds the delivery loop: with new rows at once, and every second with what is due.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{metrics::ServeMetrics, sqlite::SqliteInbox};
use pillarbox::{
    delivery::{AttemptResult, DeliveryLimits, DeliveryWorker, sweep::Sweep},
    destinations::Destination,
    domain::Key,
    inbox::InboxError,
    telemetry::{MetricSample, PlatformFields},
};

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long the attempts in flight may take to end when the process stops. The rows of those that
/// are cancelled are due again at the next start.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Delivers until `stop`, then waits for the attempts in flight.
pub(super) async fn run<D: Destination>(
    worker: Arc<DeliveryWorker<SqliteInbox, D>>,
    mut new_rows: mpsc::Receiver<Key>,
    metrics: Arc<ServeMetrics>,
    stop: CancellationToken,
) {
    let mut sweep = Sweep::new(Arc::clone(&worker), Arc::default(), DeliveryLimits::SERVER);
    let mut sweep_tick = interval(SWEEP_INTERVAL);
    sweep_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let expiring = {
        let worker = Arc::clone(&worker);
        tokio::spawn(async move { worker.inbox.purge_forever(&*worker.clock).await })
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(attempt) = sweep.next_result() => note_attempt(&attempt, &metrics),
            Some(key) = new_rows.recv(), if sweep.has_room() => sweep.start_unless_open(key),
            _ = sweep_tick.tick() => {
                let begun = sweep.begin_round().await;
                if begun.is_ok() {
                    metrics.add(None, &[MetricSample::SWEEP]);
                }
                log_failure(begun);
            }
        }
        log_failure(sweep.fill().await);
    }
    expiring.abort(); // between two batches; the next start goes on
    // The last new rows are delivered, too, while there is room; the rest at the next start.
    while sweep.has_room()
        && let Ok(key) = new_rows.try_recv()
    {
        sweep.start_unless_open(key);
    }
    let drained = async {
        while let Some(attempt) = sweep.next_result().await {
            note_attempt(&attempt, &metrics);
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
}

fn note_attempt(attempt: &AttemptResult, metrics: &ServeMetrics) {
    let record = attempt.record(PlatformFields::default());
    metrics.count_attempt(&record);
    record.log();
}

fn log_failure(found: Result<(), InboxError>) {
    if let Err(error) = found {
        tracing::error!(reason = %error, "due rows could not be read");
    }
}
