//! The delivery loop: starts new rows immediately, and due rows while this process has the sweep
//! duty.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{NewRows, ServeInbox, SweepDuty, sweep_recorder::SweepRecorder};
use crate::metrics::ServeMetrics;
use pillarbox::{
    delivery::{AttemptResult, DeliveryLimits, DeliveryWorker, sweep::Sweep},
    destinations::Destination,
    inbox::InboxError,
    telemetry::{MetricSample, PlatformFields},
};

/// How long the attempts in flight may take when the process stops. Longer ones are cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long attempts that were cut off may take to store their outcome.
const CUT_OFF_TIMEOUT: Duration = Duration::from_secs(3);

/// Delivers until `stop`, then waits for the attempts in flight.
pub(super) async fn run<I: ServeInbox, D: Destination>(
    worker: Arc<DeliveryWorker<I, D>>,
    sources: Option<BTreeSet<String>>,
    mut new_rows: NewRows,
    metrics: Arc<ServeMetrics>,
    duty: SweepDuty,
    stop: CancellationToken,
) {
    let mut sweep = Sweep::new(Arc::clone(&worker), Arc::default(), DeliveryLimits::SERVER);
    if let Some(sources) = sources {
        sweep = sweep.only_of(sources);
    }
    let mut recorder = SweepRecorder::default();
    let mut sweep_tick = interval(I::SWEEP_INTERVAL);
    sweep_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let maintaining = tokio::spawn(maintain(Arc::clone(&worker), duty.clone()));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(attempt) = sweep.next_result() => record_attempt(&attempt, &metrics),
            Some(key) = new_rows.next(), if sweep.has_room() => sweep.start_unless_open(key),
            _ = sweep_tick.tick() => {
                if duty.is_held() {
                    let begun = sweep.begin_round().await;
                    if begun.is_ok() {
                        metrics.add(None, &[MetricSample::SWEEP]);
                        recorder.store_sweep(&worker, sweep.open_circuits());
                    }
                    log_failure(begun);
                } else {
                    sweep.begin_unread_round();
                }
            }
        }
        log_failure(sweep.fill().await);
    }
    maintaining.abort(); // the next start, or another replica, continues
    // The last new rows are started too, while there is room. The next sweep starts the rest.
    while sweep.has_room()
        && let Some(key) = new_rows.try_next()
    {
        sweep.start_unless_open(key);
    }
    if !drain(&mut sweep, &metrics, DRAIN_TIMEOUT).await {
        worker.cut_off();
        drain(&mut sweep, &metrics, CUT_OFF_TIMEOUT).await;
    }
}

/// Maintains the inbox while this process has the sweep duty.
async fn maintain<I: ServeInbox, D: Destination>(
    worker: Arc<DeliveryWorker<I, D>>,
    mut duty: SweepDuty,
) {
    loop {
        duty.wait_until_held().await;
        tokio::select! {
            () = I::maintain(&worker) => {}
            () = duty.wait_until_lost() => {}
        }
    }
}

/// Waits up to `timeout` for the attempts in flight. Returns whether all have ended.
async fn drain<I: ServeInbox, D: Destination>(
    sweep: &mut Sweep<I, D>,
    metrics: &ServeMetrics,
    timeout: Duration,
) -> bool {
    let drained = async {
        while let Some(attempt) = sweep.next_result().await {
            record_attempt(&attempt, metrics);
        }
    };
    tokio::time::timeout(timeout, drained).await.is_ok()
}

fn record_attempt(attempt: &AttemptResult, metrics: &ServeMetrics) {
    let record = attempt.record(PlatformFields::default());
    metrics.count_attempt(&record);
    record.log();
}

fn log_failure(read: Result<(), InboxError>) {
    if let Err(error) = read {
        tracing::error!(reason = %error, "due rows could not be read");
    }
}
