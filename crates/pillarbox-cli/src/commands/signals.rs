//! The signals that stop a process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Stops gracefully at the first SIGTERM or Ctrl-C, and immediately at the second.
pub(super) fn stop_on_signals() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for is_last in [false, true] {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if is_last {
                std::process::exit(1); // loses nothing, since acknowledged notifications are stored
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}
