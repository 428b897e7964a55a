//! Reconciles each source every five minutes until the server stops, while this process has the
//! sweep duty: otherwise every replica would ask the senders.

use std::{sync::Arc, time::Duration};

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

/// Starts one task for each source, which runs at once and then every five minutes. A run in
/// progress when `stop` is cancelled ends between two steps. The sweep finds what it records.
pub(crate) fn start<I: Inbox>(
    reconciler: Reconciler<I>,
    duty: &SweepDuty,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let reconciler = Arc::new(reconciler);
    let mut tasks = JoinSet::new();
    for source in reconciler.sources() {
        let run = run(
            Arc::clone(&reconciler),
            source.clone(),
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
    mut duty: SweepDuty,
    stop: CancellationToken,
) {
    let limits = RunLimits {
        stop: stop.clone(),
        ..RunLimits::default()
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = duty.held() => {}
        }
        reconciler.reconcile(&source, &limits).await;
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}
