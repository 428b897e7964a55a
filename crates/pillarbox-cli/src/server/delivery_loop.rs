//! Feeds the delivery loop: with new rows at once, and with what is due whenever this process has
//! the sweep duty.

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

/// How long the attempts in flight may take to end when the process stops. Those that take longer
/// are cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the attempts that were cut off may take to store that.
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
            Some(attempt) = sweep.next_result() => note_attempt(&attempt, &metrics),
            Some(key) = new_rows.next(), if sweep.has_room() => sweep.start_unless_open(key),
            _ = sweep_tick.tick() => {
                if duty.is_held() {
                    let begun = sweep.begin_round().await;
                    if begun.is_ok() {
                        metrics.add(None, &[MetricSample::SWEEP]);
                        recorder.note(&worker, sweep.open_circuits());
                    }
                    log_failure(begun);
                } else {
                    sweep.begin_unread_round();
                }
            }
        }
        log_failure(sweep.fill().await);
    }
    maintaining.abort(); // between two writes; the next start, or another replica, goes on
    // The last new rows are delivered, too, while there is room; the rest by the next sweep.
    while sweep.has_room()
        && let Some(key) = new_rows.take()
    {
        sweep.start_unless_open(key);
    }
    if !has_drained(&mut sweep, &metrics, DRAIN_TIMEOUT).await {
        worker.cut_off();
        has_drained(&mut sweep, &metrics, CUT_OFF_TIMEOUT).await;
    }
}

/// Keeps the inbox in order while this process has the duty.
async fn maintain<I: ServeInbox, D: Destination>(
    worker: Arc<DeliveryWorker<I, D>>,
    mut duty: SweepDuty,
) {
    loop {
        duty.held().await;
        tokio::select! {
            () = I::maintain(&worker) => {}
            () = duty.lost() => {}
        }
    }
}

/// Waits for the attempts in flight, up to `timeout`; returns whether all of them have ended.
async fn has_drained<I: ServeInbox, D: Destination>(
    sweep: &mut Sweep<I, D>,
    metrics: &ServeMetrics,
    timeout: Duration,
) -> bool {
    let drained = async {
        while let Some(attempt) = sweep.next_result().await {
            note_attempt(&attempt, metrics);
        }
    };
    tokio::time::timeout(timeout, drained).await.is_ok()
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
