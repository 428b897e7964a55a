//! The callback port without a socket, for the fuzz targets.

use std::sync::Arc;

use pillarbox::{domain::Clock, inbox::ReceiveInbox, receive::Receiver};
use tokio::io::DuplexStream;

use super::{NewRows, request::RequestHandler};
use crate::{
    listener::serve_in_memory,
    metrics::ServeMetrics,
    refusals::{CandidateSecrets, RefusalLog},
};

/// A server whose connections are in memory.
pub struct InMemoryServer<I>(Arc<RequestHandler<I>>);

impl<I: ReceiveInbox> InMemoryServer<I> {
    /// Creates a server that receives with `receiver`, and delivers nothing.
    pub fn new(receiver: Receiver<I>, clock: Arc<dyn Clock>) -> Self {
        let refusals = RefusalLog::new(CandidateSecrets::default(), clock);
        let hints = NewRows::default().hints();
        let handler = RequestHandler::new(receiver, hints, (ServeMetrics::new(), refusals));
        Self(Arc::new(handler))
    }

    /// Serves one connection, until its peer closes it.
    pub async fn serve(&self, stream: DuplexStream) {
        serve_in_memory(Arc::clone(&self.0), stream).await;
    }
}
