//! How `serve` runs on each kind of inbox.
//!
//! A local file belongs to one process. Any number of replicas share a table, so a start must not
//! affect the work of another replica, and each read of the due rows costs money.

use std::{future::Future, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::sqlite::SqliteInbox;
use pillarbox::{
    delivery::DeliveryWorker,
    destinations::Destination,
    inbox::{Inbox, InboxError, dynamodb::DynamoInbox},
};

/// The time between two settlements of bodies in a table, as on Lambda.
const SETTLE_INTERVAL: Duration = Duration::from_secs(60);

/// An inbox that `serve` can run on.
pub trait ServeInbox: Inbox + Sized {
    /// The time between two reads of the due rows.
    const SWEEP_INTERVAL: Duration;

    /// Takes over the inbox from an earlier process, before the first attempt.
    fn take_over(&self) -> impl Future<Output = Result<(), InboxError>> + Send;

    /// Maintains the inbox until it is dropped.
    fn maintain<D: Destination>(
        worker: &DeliveryWorker<Self, D>,
    ) -> impl Future<Output = ()> + Send;
}

impl ServeInbox for SqliteInbox {
    const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

    /// Releases every lease. This process holds the lock, so no other process works on a row.
    async fn take_over(&self) -> Result<(), InboxError> {
        let released = self.release_leases().await?;
        if released > 0 {
            tracing::info!(
                rows = released as u64,
                "leases of an earlier process released"
            );
        }
        Ok(())
    }

    /// Removes expired rows.
    async fn maintain<D: Destination>(worker: &DeliveryWorker<Self, D>) {
        worker.inbox.purge_forever(&*worker.clock).await;
    }
}

impl ServeInbox for DynamoInbox {
    const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

    /// Releases nothing: other replicas hold the leases, or they lapse.
    async fn take_over(&self) -> Result<(), InboxError> {
        Ok(())
    }

    /// Settles bodies. DynamoDB itself removes expired rows.
    async fn maintain<D: Destination>(worker: &DeliveryWorker<Self, D>) {
        let mut tick = interval(SETTLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match worker.settle_bodies().await {
                Ok(0) => {}
                Ok(bodies) => {
                    tracing::info!(
                        bodies = bodies as u64,
                        "bodies that no row owns were erased"
                    );
                }
                Err(error) => tracing::error!(reason = %error, "bodies could not be settled"),
            }
        }
    }
}
