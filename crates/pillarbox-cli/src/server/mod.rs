//! One ordinary process: the callbacks on one address, and the processor behind them.
//!
//! Receiving and processing run side by side and meet only in the inbox; a new row's key is passed
//! on as a hint that saves waiting for the next sweep.

mod connection;
mod request;
mod wire;
pub(crate) mod reconcile_loop;
mod worker;

use std::sync::Arc;

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::sqlite::SqliteInbox;
use pillarbox::{
    app::App, delivery::DeliveryWorker, destinations::Destination, domain::Clock, inbox::InboxError,
};
use request::RequestHandler;

/// How many new rows may wait to be worked on before the sweep has to find them.
const HINTS: usize = 4096;

/// Receives on `listener` and processes until told to `stop`; returns once all in flight has ended.
///
/// The caller holds the inbox's serve lock: every lease is released first, since whoever held one
/// is gone.
pub async fn serve<D: Destination, W: Clock>(
    listener: TcpListener,
    app: App<SqliteInbox>,
    destination: D,
    clock: Arc<W>,
    stop: CancellationToken,
) -> Result<(), InboxError> {
    let released = app.inbox.release_leases().await?;
    if released > 0 {
        tracing::info!(
            rows = released as u64,
            "rows taken over from a process that is gone"
        );
    }
    let (wake, woken) = mpsc::channel(HINTS);
    let worker = DeliveryWorker::new(
        Arc::clone(&app.inbox),
        destination,
        Arc::clone(&clock),
        app.keeping,
    );
    // The processor stops after the receiver, so that what came last is still handed on.
    let received_all = CancellationToken::new();
    let working = tokio::spawn(worker::run(Arc::new(worker), woken, received_all.clone()));
    let handler = Arc::new(RequestHandler::new(app.receiver(clock), wake));
    connection::accept(listener, handler, stop).await;
    received_all.cancel();
    let _ = working.await;
    Ok(())
}
