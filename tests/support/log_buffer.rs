//! Collects log lines and metrics in memory.

use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::Value;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::{Layer, Registry, prelude::*};

/// While a process has only one subscriber, `tracing` queries the subscriber of the thread that
/// first reaches a log line whether the line is enabled, and caches the answer. That thread can
/// belong to another test without a subscriber, and then the line is never written. With these
/// subscribers there are always at least two, and nothing is cached.
static OTHER_SUBSCRIBERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Dispatch::new(tracing_subscriber::registry())));

/// Sends the log of this thread to `lines` until the guard is dropped.
pub fn listen_with(lines: impl Layer<Registry> + Send + Sync) -> DefaultGuard {
    LazyLock::force(&OTHER_SUBSCRIBERS);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(lines))
}

/// A writer to memory.
#[derive(Clone, Default)]
pub struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl LogBuffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines written since the last call, each one JSON object.
    pub fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }
}
