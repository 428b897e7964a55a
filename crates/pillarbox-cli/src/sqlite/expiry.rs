//! Removes what has expired, as fast as it comes in.
//!
//! A pass removes small batches until nothing is left that had expired when it began. Each batch is
//! one background write: between two of them the writer takes whatever senders wait for.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::SqliteInbox;
use pillarbox::{
    domain::{Clock, Timestamp},
    inbox::InboxError,
};

/// How often a pass begins.
const INTERVAL: Duration = Duration::from_secs(60);
/// The rows, and the ledger entries, of one batch.
const BATCH_ROWS: usize = 250;
/// A batch ends with the row whose body passes this, since removed bytes are overwritten.
pub(super) const BATCH_BYTES: u64 = 1 << 20;

/// What one batch removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgedBatch {
    /// How many rows.
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

    /// Removes what expires, as long as it is polled.
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
