//! The slots of a listener, and which connection is evicted for a new one.
//!
//! A flood of connections must not starve a sender, and an address does not identify a sender:
//! behind a proxy all peers share one. So each new connection gets a slot, if necessary that of the
//! connection that has shown least. A sender's request arrives within milliseconds of its
//! connection, which then no longer ranks lowest.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::wire::ConnectionWatch;

/// The time between two attempts to evict a connection for a new one.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The slots of one listener.
pub(super) struct ConnectionSlots {
    permits: Arc<Semaphore>,
    occupied: Mutex<HashMap<u64, OccupiedSlot>>,
    next_id: AtomicU64,
    evictions: AtomicU64,
}

struct OccupiedSlot {
    watch: ConnectionWatch,
    evicted: CancellationToken,
}

/// The slot of one connection, released when this is dropped.
pub(super) struct ConnectionSlot {
    id: u64,
    slots: Arc<ConnectionSlots>,
    evicted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionSlots {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(count)),
            occupied: Mutex::default(),
            next_id: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        })
    }

    /// Acquires a slot for a new connection. If none is free, evicts a connection; waits while
    /// every connection is being answered.
    pub(super) async fn acquire(self: &Arc<Self>, watch: &ConnectionWatch) -> ConnectionSlot {
        let permit = loop {
            let permit = Arc::clone(&self.permits);
            if let Ok(permit) = permit.try_acquire_owned() {
                break permit;
            }
            self.evict();
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(Ok(permit)) = timeout(RETRY_INTERVAL, permit).await {
                break permit;
            }
        };
        let slot = ConnectionSlot {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            slots: Arc::clone(self),
            evicted: CancellationToken::new(),
            _permit: permit,
        };
        let occupied = OccupiedSlot {
            watch: watch.clone(),
            evicted: slot.evicted.clone(),
        };
        self.lock().insert(slot.id, occupied);
        slot
    }

    /// Closes the connection that has shown least, unless all are being answered.
    pub(super) fn evict(&self) {
        let now = Instant::now();
        let mut occupied = self.lock();
        let least = occupied
            .iter()
            .filter_map(|(id, slot)| Some((slot.watch.eviction_rank(now)?, *id)))
            .min();
        if let Some(least) = least.and_then(|(_, id)| occupied.remove(&id)) {
            least.evicted.cancel();
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn log_evictions(&self) {
        let connections = self.evictions.swap(0, Ordering::Relaxed);
        if connections > 0 {
            tracing::warn!(
                connections,
                "silent or slow connections closed to make room for new ones"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, OccupiedSlot>> {
        self.occupied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlot {
    /// Completes when the connection is evicted.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().remove(&self.id);
    }
}
