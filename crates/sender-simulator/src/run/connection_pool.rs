//! Idle connections, kept for reuse.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use crate::{ClientProfile, ExchangeError, ReceiverConnection, Sender};

/// The connections of one sender to one URL.
pub(super) struct SenderConnections {
    sender: Sender,
    profile: ClientProfile,
    idle_timeout: Duration,
    idle: Mutex<Vec<(ReceiverConnection, Instant)>>,
}

impl SenderConnections {
    pub(super) fn new(sender: Sender) -> Self {
        let idle_timeout = match sender {
            // HMRC's client keeps idle connections for a minute, Pay's for 5 seconds.
            Sender::Hmrc => Duration::from_secs(60),
            Sender::GovukPay => Duration::from_secs(5),
        };
        Self {
            sender,
            profile: sender.client_profile(),
            idle_timeout,
            idle: Mutex::default(),
        }
    }

    /// The connection that was used last and is still open, or a new one.
    pub(super) async fn take(&self, url: &Url) -> Result<ReceiverConnection, ExchangeError> {
        loop {
            let Some((mut connection, since)) = self.idle().pop() else {
                return ReceiverConnection::open(url, self.profile).await;
            };
            if since.elapsed() < self.idle_timeout(&connection) && connection.is_still_open().await
            {
                return Ok(connection);
            }
        }
    }

    /// Keeps a connection for reuse, if the receiver keeps it open.
    pub(super) fn put(&self, connection: ReceiverConnection) {
        if connection.is_open() {
            self.idle().push((connection, Instant::now()));
        }
    }

    /// Only Pay's client honours the receiver's `Keep-Alive`.
    fn idle_timeout(&self, connection: &ReceiverConnection) -> Duration {
        let limit = connection
            .keep_alive()
            .filter(|_| self.sender == Sender::GovukPay);
        limit.map_or(self.idle_timeout, |limit| limit.min(self.idle_timeout))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(ReceiverConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
