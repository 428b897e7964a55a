//! The server: receives callbacks on one address, and delivers what they stored.
//!
//! Receiving and delivery run side by side and meet only in the inbox. The key of a new row is a
//! hint for delivery, so that the row does not wait for the next sweep.

mod body_memory;
mod delivery_loop;
#[cfg(feature = "test-support")]
mod in_memory;
mod new_rows;
mod request;
pub(crate) mod reconcile_loop;
mod serve_inbox;
pub(crate) mod sweep_lease;
mod sweep_recorder;

use std::{collections::BTreeSet, sync::Arc};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    listener::{connection_limits, listen},
    metrics::ServeMetrics,
    refusals::RefusalLog,
};
#[cfg(feature = "test-support")]
pub use in_memory::InMemoryServer;
pub use new_rows::{NewRowHints, NewRows};
use pillarbox::{
    delivery::DeliveryWorker, destinations::Destination, inbox::InboxError, receive::Receiver,
};
use request::RequestHandler;
pub use serve_inbox::ServeInbox;
pub use sweep_lease::SweepDuty;

/// A server before it starts.
pub struct Server<I, D> {
    /// Receives and stores notifications.
    pub receiver: Receiver<I>,
    /// Delivers them.
    pub worker: DeliveryWorker<I, D>,
    /// The keys of new rows, from the receiver and from reconciling.
    pub new_rows: NewRows,
    /// Counts requests and deliveries.
    pub metrics: Arc<ServeMetrics>,
    /// Keeps the last refused requests.
    pub refusals: Arc<RefusalLog>,
    /// The sources whose rows are delivered; all if `None`.
    pub sources: Option<BTreeSet<String>>,
    /// Whether this process reads the due rows.
    pub duty: SweepDuty,
}

impl<I: ServeInbox, D: Destination> Server<I, D> {
    /// Receives on `listener` and delivers until `stop`. Returns when everything in flight has
    /// ended.
    ///
    /// # Errors
    /// If the inbox cannot be taken over.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), InboxError> {
        self.receiver.inbox.take_over().await?;
        let hints = self.new_rows.hints();
        // Delivery stops after the receiver, so that the last new rows are still delivered.
        let received_all = CancellationToken::new();
        let delivering = tokio::spawn(delivery_loop::run(
            Arc::new(self.worker),
            self.sources,
            self.new_rows,
            Arc::clone(&self.metrics),
            self.duty,
            received_all.clone(),
        ));
        let counters = (self.metrics, self.refusals);
        let handler = Arc::new(RequestHandler::new(self.receiver, hints, counters));
        let (limits, _) = connection_limits();
        listen(listener, handler, limits, stop).await;
        received_all.cancel();
        if let Err(error) = delivering.await {
            tracing::error!(reason = %error, "delivery ended early; the next start continues it");
        }
        Ok(())
    }
}
