//! When an inbox was last swept, and which circuits were open.
//!
//! The process that sweeps stores both in the key-value store every minute, so that every other
//! process can show them. If several processes sweep at the same time, the last one to write wins.
//! That is correct, because each reports its own destinations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{InboxError, KvEntry, KvKey, ReconcileInbox};
use crate::domain::Timestamp;

/// The longest time between two writes of the status while an inbox is swept.
pub const SWEEP_STATUS_INTERVAL: Duration = Duration::from_secs(60);

/// The stored status of the last sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepStatus {
    /// In milliseconds since 1970.
    at: i64,
    /// The sources whose circuits were open.
    pub open_circuits: Vec<String>,
}

impl SweepStatus {
    /// The status of a sweep at `at`.
    pub fn new(at: Timestamp, mut open_circuits: Vec<String>) -> Self {
        open_circuits.sort();
        Self {
            at: at.as_millis(),
            open_circuits,
        }
    }

    /// When the inbox was swept.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}

/// The status of the last sweep; `None` if there is none, or if it is unreadable.
///
/// # Errors
/// If the inbox cannot be read.
pub async fn last_sweep(inbox: &impl ReconcileInbox) -> Result<Option<SweepStatus>, InboxError> {
    let entry = inbox.kv_get(&key()).await?;
    Ok(entry.and_then(|entry| serde_json::from_str(&entry.text).ok()))
}

/// Stores the status of a sweep. If two processes store theirs at the same time, one is stored.
///
/// For implementations of [`DeliveryInbox::record_sweep`](super::DeliveryInbox::record_sweep).
///
/// # Errors
/// If the inbox cannot be read or written.
pub async fn record_sweep(
    inbox: &impl ReconcileInbox,
    status: &SweepStatus,
    version: u64,
) -> Result<(), InboxError> {
    let stored = inbox.kv_get(&key()).await?;
    let next = KvEntry {
        version,
        text: serde_json::to_string(status).expect("a time and names serialise to JSON"),
    };
    let expected = stored.map(|entry| entry.version);
    inbox.compare_and_swap(&key(), expected, &next).await?;
    Ok(())
}

fn key() -> KvKey {
    KvKey::new("status", "sweep")
}
