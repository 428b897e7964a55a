//! The checkpoint of a source: where a run stopped, so that a later one resumes there.
//!
//! One entry of the inbox's key-value store for each source, written by compare-and-swap. A lost
//! checkpoint costs only time: the next run starts from the beginning, and recording is idempotent.

use serde::{Serialize, de::DeserializeOwned};

use super::{LockedRun, RunEnd};
use crate::inbox::{CasOutcome, KvEntry, KvKey, ReconcileInbox};

/// The stored checkpoint of a source, as this run last read or wrote it.
#[derive(Debug)]
pub(super) struct Checkpoint {
    key: KvKey,
    version: Option<u64>,
    text: String,
}

impl Checkpoint {
    /// Reads the checkpoint. An unreadable one counts as absent.
    pub(super) async fn load<T: DeserializeOwned + Default>(
        run: &LockedRun<'_, impl ReconcileInbox>,
    ) -> Result<(Self, T), RunEnd> {
        let key = KvKey::new("progress", run.source.as_str());
        let entry = run.inbox().kv_get(&key).await?;
        let position = entry
            .as_ref()
            .and_then(|entry| serde_json::from_str(&entry.text).ok())
            .unwrap_or_default();
        let version = entry.as_ref().map(|entry| entry.version);
        let text = entry.map_or_else(String::new, |entry| entry.text);
        Ok((Self { key, version, text }, position))
    }

    /// Writes the run's position. Fails with [`RunEnd::LockLost`] if another run has written since.
    pub(super) async fn save<T: Serialize>(
        &mut self,
        run: &LockedRun<'_, impl ReconcileInbox>,
        position: &T,
    ) -> Result<(), RunEnd> {
        let text = serde_json::to_string(position).expect("stats and texts serialise to JSON");
        if text == self.text {
            return Ok(());
        }
        let entry = KvEntry {
            version: run.random(),
            text,
        };
        match run
            .inbox()
            .compare_and_swap(&self.key, self.version, &entry)
            .await?
        {
            CasOutcome::Stored => {
                self.version = Some(entry.version);
                self.text = entry.text;
                Ok(())
            }
            CasOutcome::Conflict(_) => Err(RunEnd::LockLost),
        }
    }
}
