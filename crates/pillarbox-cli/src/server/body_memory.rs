//! The memory for request bodies while they are received.
//!
//! A body can be verified only when all of it has arrived, so anyone can make the receiver buffer
//! one. All bodies share one limit. When it is reached, the body with the highest cost is evicted:
//! its bytes times how long it has held them. A sender's body arrives quickly and is soon gone; the
//! cost of a slow or stalled body rises all the time. Bodies that wait for memory get it in order
//! of cost, the lowest first. A complete body is never evicted.
//!
//! Each buffer is a separate mapping, so its memory returns to the system when it is dropped. The
//! allocator would keep most of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use memmap2::MmapMut;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use pillarbox::{
    inbox::InboxError,
    receive::{MAX_BODY_BYTES, Refusal},
};

/// The limit for all bodies. Each counts twice, because verifying or storing it may copy it.
const BODY_MEMORY_BYTES: usize = 48 * 1024 * 1024;
/// The initial size of a buffer.
const FIRST_BYTES: usize = 16 * 1024;

/// The memory that all bodies share.
pub(super) struct BodyMemory {
    state: Mutex<MemoryState>,
    freed: Notify,
}

struct MemoryState {
    free: usize,
    next_id: u64,
    bodies: HashMap<u64, HeldMemory>,
}

/// The memory of one body.
struct HeldMemory {
    bytes: usize,
    since: Instant,
    is_waiting: bool,
    is_complete: bool,
    evicted: CancellationToken,
}

impl HeldMemory {
    /// The bytes times the microseconds for which they have been held.
    fn byte_microseconds(&self, now: Instant) -> u128 {
        let held = now.duration_since(self.since).as_micros().max(1);
        held.saturating_mul(self.bytes as u128)
    }
}

/// The buffer of one body while it is received and processed. Dropping it releases its memory.
pub(super) struct BodyBuffer {
    memory: Arc<BodyMemory>,
    id: u64,
    bytes: Option<MmapMut>,
    length: usize,
    evicted: CancellationToken,
}

impl BodyMemory {
    pub(super) fn new() -> Arc<Self> {
        Self::with_limit(BODY_MEMORY_BYTES)
    }

    fn with_limit(free: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(MemoryState {
                free,
                next_id: 0,
                bodies: HashMap::new(),
            }),
            freed: Notify::new(),
        })
    }

    /// An empty buffer.
    pub(super) fn buffer(self: &Arc<Self>) -> BodyBuffer {
        let evicted = CancellationToken::new();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let held = HeldMemory {
            bytes: 0,
            since: Instant::now(),
            is_waiting: false,
            is_complete: false,
            evicted: evicted.clone(),
        };
        state.bodies.insert(id, held);
        drop(state);
        BodyBuffer {
            memory: Arc::clone(self),
            id,
            bytes: None,
            length: 0,
            evicted,
        }
    }

    /// Waits until `more` bytes are free, and gives them to a body.
    async fn reserve(&self, id: u64, more: usize) -> Result<(), Refusal> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.lock().try_reserve(id, more)? {
                self.freed.notify_waiters(); // the rest may be enough for the next body
                return Ok(());
            }
            freed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryState {
    /// Gives `more` bytes to a body if they are free and no waiting body has a lower cost. If they
    /// are not free, evicts the bodies with the highest costs; fails if this body is one of them.
    fn try_reserve(&mut self, id: u64, more: usize) -> Result<bool, Refusal> {
        let now = Instant::now();
        if let Some(held) = self.bodies.get_mut(&id) {
            held.is_waiting = true;
        }
        let waiting = self.bodies.iter();
        let waiting = waiting.filter(|(_, held)| held.is_waiting && !held.evicted.is_cancelled());
        let first = waiting.min_by_key(|(id, held)| (held.byte_microseconds(now), **id));
        if first.is_none_or(|(first, _)| *first != id) {
            return Ok(false);
        }
        if self.free >= more
            && let Some(held) = self.bodies.get_mut(&id)
        {
            self.free -= more;
            held.bytes += more;
            held.is_waiting = false;
            return Ok(true);
        }
        let leaving = self
            .bodies
            .values()
            .filter(|held| held.evicted.is_cancelled());
        let mut soon_free = self.free + leaving.map(|held| held.bytes).sum::<usize>();
        while soon_free < more {
            let receiving = self.bodies.iter();
            let receiving =
                receiving.filter(|(_, held)| !held.is_complete && !held.evicted.is_cancelled());
            let Some((costliest, held)) =
                receiving.max_by_key(|(_, held)| held.byte_microseconds(now))
            else {
                break; // the other bodies are being processed, and released soon
            };
            if *costliest == id {
                return Err(Refusal::Slow);
            }
            held.evicted.cancel();
            soon_free += held.bytes;
        }
        Ok(false)
    }
}

impl BodyBuffer {
    /// Appends `data` to a body that declares `declared` bytes, or nothing.
    ///
    /// # Errors
    /// If the body is evicted, or memory cannot be mapped.
    pub(super) async fn extend(
        &mut self,
        data: &[u8],
        declared: Option<usize>,
    ) -> Result<(), Refusal> {
        let needed = self.length + data.len();
        let held = self.bytes.as_ref().map_or(0, |bytes| bytes.len());
        if needed > held {
            let most = declared.unwrap_or(MAX_BODY_BYTES);
            let grown = (2 * held).max(FIRST_BYTES).min(most).max(needed);
            tokio::select! {
                () = self.evicted.cancelled() => return Err(Refusal::Slow),
                reserved = self.memory.reserve(self.id, 2 * (grown - held)) => reserved?,
            }
            self.grow(grown)?;
        }
        if let Some(bytes) = &mut self.bytes {
            bytes[self.length..needed].copy_from_slice(data);
        }
        self.length = needed;
        Ok(())
    }

    fn grow(&mut self, capacity: usize) -> Result<(), Refusal> {
        let mut grown = MmapMut::map_anon(capacity).map_err(|error| {
            let why = format!("no memory for a body: {error}");
            Refusal::Inbox(InboxError::Unavailable(why))
        })?;
        if let Some(bytes) = &self.bytes {
            grown[..self.length].copy_from_slice(&bytes[..self.length]);
        }
        self.bytes = Some(grown);
        Ok(())
    }

    /// The number of bytes received so far.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Completes when the body is evicted.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// The whole body. Its memory stays counted until the buffer is dropped.
    pub(super) fn complete(&mut self) -> Bytes {
        if let Some(held) = self.memory.lock().bodies.get_mut(&self.id) {
            held.is_complete = true;
        }
        let bytes = self.bytes.take().map(Bytes::from_owner);
        bytes.map_or_else(Bytes::new, |bytes| bytes.slice(..self.length))
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        self.bytes = None;
        let mut state = self.memory.lock();
        if let Some(held) = state.bodies.remove(&self.id) {
            state.free += held.bytes;
        }
        drop(state);
        self.memory.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KB: usize = 1024;

    async fn filled(memory: &Arc<BodyMemory>, length: usize) -> Result<BodyBuffer, Refusal> {
        let mut body = memory.buffer();
        body.extend(&vec![b'x'; length], None).await?;
        Ok(body)
    }

    fn is_evicted(body: &BodyBuffer) -> bool {
        body.evicted.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_with_the_highest_cost_is_evicted_for_a_new_one() {
        let memory = BodyMemory::with_limit(400 * KB);
        let slow = filled(&memory, 50 * KB).await.unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        let large = filled(&memory, 100 * KB).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let whole = {
            let mut body = filled(&memory, 40 * KB).await.unwrap();
            body.complete();
            body
        };
        tokio::time::advance(Duration::from_millis(10)).await;
        let waiting = tokio::spawn({
            let memory = Arc::clone(&memory);
            async move { filled(&memory, 60 * KB).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(is_evicted(&slow) && !is_evicted(&large) && !is_evicted(&whole));
        assert!(!waiting.is_finished(), "the memory is not free yet");
        drop(slow);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_with_the_highest_cost_gets_no_more_memory() {
        let memory = BodyMemory::with_limit(300 * KB);
        let mut slow = filled(&memory, 80 * KB).await.unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        let _new = filled(&memory, 60 * KB).await.unwrap();
        let refused = slow.extend(&[b'x'; 80 * KB], None).await;
        assert!(matches!(refused, Err(Refusal::Slow)));
    }

    #[tokio::test]
    async fn all_memory_is_free_again_once_the_bodies_are_dropped() {
        let memory = BodyMemory::with_limit(BODY_MEMORY_BYTES);
        for round in 1..=8 {
            let mut body = filled(&memory, round * 100 * KB).await.unwrap();
            assert_eq!(body.complete().len(), round * 100 * KB);
        }
        assert_eq!(memory.lock().free, BODY_MEMORY_BYTES);
        assert!(memory.lock().bodies.is_empty());
    }
}
