//! Hints at new rows, so that their delivery does not wait for the next sweep: rows that this
//! process received, and rows that its reconcile runs recorded.

use tokio::sync::mpsc;

use pillarbox::{
    domain::Key,
    reconcile::{ProgressEvent, RunReporter},
};

/// The most hints that wait. The next sweep finds the other rows.
const MAX_HINTS: usize = 4096;

/// The hints that the delivery loop has not used yet.
pub struct NewRows {
    hints: NewRowHints,
    waiting: mpsc::Receiver<Key>,
}

/// Wakes the delivery loop.
#[derive(Clone)]
pub struct NewRowHints(mpsc::Sender<Key>);

impl Default for NewRows {
    fn default() -> Self {
        let (hints, waiting) = mpsc::channel(MAX_HINTS);
        Self {
            hints: NewRowHints(hints),
            waiting,
        }
    }
}

impl NewRows {
    /// Returns what wakes the delivery loop that owns this.
    pub fn hints(&self) -> NewRowHints {
        self.hints.clone()
    }

    /// Waits for the next new row.
    pub(super) async fn next(&mut self) -> Option<Key> {
        self.waiting.recv().await
    }

    /// The next new row, if there is one now.
    pub(super) fn try_next(&mut self) -> Option<Key> {
        self.waiting.try_recv().ok()
    }
}

impl NewRowHints {
    /// Hints at a new row. If too many wait, the next sweep finds the row.
    pub(super) fn add(&self, key: &Key) {
        let _ = self.0.try_send(key.clone());
    }
}

impl RunReporter for NewRowHints {
    fn on_event(&self, event: ProgressEvent<'_>) {
        if let ProgressEvent::Recorded(key) = event {
            self.add(key);
        }
    }
}
