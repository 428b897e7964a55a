//! The server: receives callbacks on one address, and delivers what they stored.
//!
//! Receiving and delivery run side by side and meet only in the inbox. The key of a new row is a
//! hint for delivery, so that the row does not wait for the next sweep.

mod body_memory;
mod delivery_loop;
mod request;
pub(crate) mod reconcile_loop;

use std::sync::Arc;

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    listener::{connection_limits, listen},
    metrics::ServeMetrics,
    sqlite::SqliteInbox,
};
use pillarbox::{
    delivery::DeliveryWorker, destinations::Destination, inbox::InboxError, receive::Receiver,
};
use request::RequestHandler;

/// How many hints may wait. Rows beyond that are found by the next sweep.
const MAX_HINTS: usize = 4096;

/// Receives on `listener` and delivers with `worker` until `stop`, and counts both in `metrics`.
/// Returns when everything in flight has ended.
///
/// The caller holds the inbox's serve lock, so no other process works on a row: all leases are
/// released first.
pub async fn serve<D: Destination>(
    listener: TcpListener,
    receiver: Receiver<SqliteInbox>,
    worker: DeliveryWorker<SqliteInbox, D>,
    metrics: Arc<ServeMetrics>,
    stop: CancellationToken,
) -> Result<(), InboxError> {
    let released = receiver.inbox.release_leases().await?;
    if released > 0 {
        tracing::info!(
            rows = released as u64,
            "leases of an earlier process released"
        );
    }
    let (wake, new_rows) = mpsc::channel(MAX_HINTS);
    // Delivery stops after the receiver, so that the last new rows are still delivered.
    let received_all = CancellationToken::new();
    let worker = Arc::new(worker);
    let delivering = tokio::spawn(delivery_loop::run(
        worker,
        new_rows,
        Arc::clone(&metrics),
        received_all.clone(),
    ));
    let handler = Arc::new(RequestHandler::new(receiver, wake, metrics));
    let (limits, _) = connection_limits();
    listen(listener, handler, limits, stop).await;
    received_all.cancel();
    if let Err(error) = delivering.await {
        tracing::error!(reason = %error, "delivery ended early; the next start continues it");
    }
    Ok(())
}
