//! Stores when `serve` last swept and which circuits are open, so that `pillarbox status` and the
//! console of another process can show it.
//!
//! That is one small write a minute, and one more when a circuit opens or closes. Deliveries do not
//! wait for it.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use super::ServeInbox;
use pillarbox::{
    delivery::DeliveryWorker, destinations::Destination, inbox::SWEEP_STATUS_INTERVAL,
};

/// The least time between two writes, however often circuits open and close.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The status that was stored last.
#[derive(Default)]
pub(super) struct SweepRecorder {
    last: Option<(Instant, Vec<String>)>,
    write: Option<JoinHandle<()>>,
}

impl SweepRecorder {
    /// Stores a successful sweep, if a write is due.
    pub(super) fn store_sweep<I: ServeInbox, D: Destination>(
        &mut self,
        worker: &Arc<DeliveryWorker<I, D>>,
        mut open_circuits: Vec<String>,
    ) {
        open_circuits.sort();
        let is_written = self.write.as_ref().is_none_or(JoinHandle::is_finished);
        if !is_written || !self.is_due(&open_circuits) {
            return;
        }
        self.last = Some((Instant::now(), open_circuits.clone()));
        let worker = Arc::clone(worker);
        self.write = Some(tokio::spawn(async move {
            if let Err(error) = worker.record_sweep(open_circuits).await {
                tracing::warn!(reason = %error, "the status of the sweep could not be stored");
            }
        }));
    }

    fn is_due(&self, open_circuits: &[String]) -> bool {
        let Some((at, stored)) = &self.last else {
            return true;
        };
        let interval = if stored == open_circuits {
            SWEEP_STATUS_INTERVAL
        } else {
            MIN_INTERVAL
        };
        at.elapsed() >= interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_status_is_stored_every_minute_and_soon_after_a_circuit_opens() {
        let stored = vec!["pay".to_owned()];
        for (seconds, circuits, is_due) in [
            (59, &stored[..], false),
            (60, &stored, true),
            (9, &[], false),
            (10, &[], true),
        ] {
            let recorder = SweepRecorder {
                last: Some((Instant::now(), stored.clone())),
                write: None,
            };
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(recorder.is_due(circuits), is_due, "{seconds} s");
        }
        assert!(SweepRecorder::default().is_due(&[]));
    }
}
