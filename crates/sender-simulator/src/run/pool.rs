//! Connections that the receiver has kept open, to be used again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use crate::{Connection, ExchangeError, Manner, Sender};

/// The connections of one sender to one URL.
pub(super) struct Pool {
    manner: Manner,
    idle: Duration,
    kept: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    pub(super) fn new(sender: Sender) -> Self {
        let idle = match sender {
            // HMRC's client keeps them for a minute; Pay's closes what was idle for 5 s.
            Sender::Hmrc => Duration::from_secs(60),
            Sender::GovukPay => Duration::from_secs(5),
        };
        Self {
            manner: sender.manner(),
            idle,
            kept: Mutex::default(),
        }
    }

    /// One that is open still, or a new one.
    pub(super) async fn take(&self, url: &Url) -> Result<Connection, ExchangeError> {
        while let Some((mut connection, since)) = self.pop() {
            if since.elapsed() < self.idle && connection.is_still_open().await {
                return Ok(connection);
            }
        }
        Connection::open(url, self.manner).await
    }

    /// Keeps one for later, if its receiver does.
    pub(super) fn give(&self, connection: Connection) {
        if connection.is_open() {
            self.kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((connection, Instant::now()));
        }
    }

    /// The one that was used last.
    fn pop(&self) -> Option<(Connection, Instant)> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}
