//! Reconciles each source every five minutes until the server stops.

use std::{sync::Arc, time::Duration};

use crate::metrics::ServeMetrics;
use pillarbox::{
    config::SourceConfig,
    inbox::Inbox,
    reconcile::{Reconciler, RunLimits},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The time between two runs of a source.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Starts one task for each source, which runs at once and then every five minutes. A run in
/// progress when `stop` is cancelled ends between two steps. The sweep finds what it records.
pub(crate) fn start<I: Inbox>(
    reconciler: Reconciler<I>,
    metrics: &Arc<ServeMetrics>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let reconciler = Arc::new(reconciler);
    let mut tasks = JoinSet::new();
    for source in reconciler.sources() {
        let (source, stop) = (source.clone(), stop.clone());
        tasks.spawn(run(
            Arc::clone(&reconciler),
            source,
            Arc::clone(metrics),
            stop,
        ));
    }
    tasks
}

async fn run<I: Inbox>(
    reconciler: Arc<Reconciler<I>>,
    source: SourceConfig,
    metrics: Arc<ServeMetrics>,
    stop: CancellationToken,
) {
    let limits = RunLimits {
        stop: stop.clone(),
        ..RunLimits::default()
    };
    while !stop.is_cancelled() {
        for record in reconciler.reconcile(&source, &limits).await {
            metrics.count_run(&record);
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}
