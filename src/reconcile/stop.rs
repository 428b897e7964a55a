//! Asking a run to end: it does so between two steps, or in the middle of a pause.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a run before its time. All copies of one are the same.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<watch::Sender<bool>>);

impl Default for StopSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl StopSignal {
    /// Asks for the end.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody asks.
    pub(super) async fn asked(&self) {
        // The sender is our own, so waiting ends in no other way.
        let _ = self.0.subscribe().wait_for(|is_asked| *is_asked).await;
    }
}
