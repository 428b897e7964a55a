//! Reconciles each source every five minutes until the server stops, while this process has the
//! sweep duty: otherwise every replica would query the senders.

use std::{sync::Arc, time::Duration};

use crate::metrics::ServeMetrics;
use pillarbox::{
    config::SourceConfig,
    inbox::Inbox,
    reconcile::{Reconciler, RunLimits},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::SweepDuty;

/// The time between two runs of a source.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Starts one task for each source, which reconciles immediately and then every five minutes. A run
/// in progress when `stop` is cancelled ends between two steps.
pub(crate) fn start<I: Inbox>(
    reconciler: Reconciler<I>,
    metrics: &Arc<ServeMetrics>,
    duty: &SweepDuty,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let reconciler = Arc::new(reconciler);
    let mut tasks = JoinSet::new();
    for source in reconciler.sources() {
        let run = run(
            Arc::clone(&reconciler),
            source.clone(),
            Arc::clone(metrics),
            duty.clone(),
            stop.clone(),
        );
        tasks.spawn(run);
    }
    tasks
}

async fn run<I: Inbox>(
    reconciler: Arc<Reconciler<I>>,
    source: SourceConfig,
    metrics: Arc<ServeMetrics>,
    mut duty: SweepDuty,
    stop: CancellationToken,
) {
    let limits = RunLimits {
        stop: stop.clone(),
        ..RunLimits::default()
    };
    // `every` may be shorter than the default interval.
    let every = source.pull.as_ref().and_then(|pull| pull.every);
    let interval = every.map_or(INTERVAL, |every| every.min(INTERVAL));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = duty.wait_until_held() => {}
        }
        for record in reconciler.reconcile(&source, &limits).await {
            metrics.count_run(&record);
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => {}
        }
    }
}
