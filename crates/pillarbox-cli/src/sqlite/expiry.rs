//! Removes expired rows, ledger entries and audit entries.
//!
//! A pass removes small batches until everything that had expired at its start is gone. Each batch
//! is one background write, so the writer makes the changes that senders wait for between batches.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::SqliteInbox;
use pillarbox::{
    domain::{Clock, Timestamp},
    inbox::InboxError,
};

/// The time between two passes.
const INTERVAL: Duration = Duration::from_secs(60);
/// The most rows, ledger entries and audit entries of one batch.
const BATCH_ROWS: usize = 250;
/// A batch ends once it has removed this many bytes of bodies, because SQLite overwrites them.
pub(super) const BATCH_BYTES: u64 = 1 << 20;

/// What one batch removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgedBatch {
    /// The number of rows.
    pub rows: usize,
    /// Whether nothing else had expired.
    pub is_last: bool,
}

impl SqliteInbox {
    /// Removes everything that had expired at `now`; returns the number of rows.
    pub async fn purge_all(&self, now: Timestamp) -> Result<usize, InboxError> {
        let mut rows = 0;
        loop {
            let batch = self.purge(now, BATCH_ROWS).await?;
            rows += batch.rows;
            if batch.is_last {
                return Ok(rows);
            }
        }
    }

    /// Removes expired rows, and indexes the references of older rows, until it is dropped.
    pub async fn purge_forever(&self, clock: &dyn Clock) {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.purge_all(clock.now()).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows = rows as u64, "expired rows removed"),
                Err(error) => tracing::error!(reason = %error, "expired rows could not be removed"),
            }
            if let Err(error) = self.index_references().await {
                tracing::error!(reason = %error, "references of older rows could not be indexed");
            }
        }
    }
}
