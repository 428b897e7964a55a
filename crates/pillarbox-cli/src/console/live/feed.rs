//! Reads the newest rows for all streams.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use crate::console::{
    inbox::{ConsoleInbox, ListCost},
    state::{ConsoleState, SharedConsoleState},
};
use pillarbox::inbox::{InboxError, PageRequest, Row, RowFilter};

/// How many of the newest rows are followed.
pub(super) const FOLLOWED_ROWS: usize = 100;
/// The time between two reads of a local file (docs/benchmarks.md has their cost).
const LOCAL_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two reads of a table, each of which AWS charges.
const TABLE_INTERVAL: Duration = Duration::from_secs(30);
/// The most rows of each shard of a table that are counted: one page of the index.
const COUNTED_ROWS: usize = 25;
/// The most streams. Further lists get no updates, so that pages find a free connection.
const MAX_STREAMS: usize = 24;

/// The result of the last read.
#[derive(Clone, Debug)]
pub(in crate::console) enum LiveSnapshot {
    /// Nothing yet.
    Pending,
    /// The newest rows, newest first.
    Rows(Arc<Vec<Row>>),
    /// The numbers of a table's open, dead and held rows, in words.
    Counts(String),
    /// The inbox could not be read.
    Failed,
}

/// The snapshots, and whether a task reads them.
pub(in crate::console) struct LiveFeed {
    snapshots: watch::Sender<LiveSnapshot>,
    is_running: Mutex<bool>,
}

impl LiveFeed {
    pub(in crate::console) fn new() -> Self {
        Self {
            snapshots: watch::Sender::new(LiveSnapshot::Pending),
            is_running: Mutex::new(false),
        }
    }

    /// The snapshots from now on; `None` if too many streams are open. Starts the task that reads
    /// them unless it runs.
    pub(super) fn follow<I: ConsoleInbox>(
        state: &SharedConsoleState<I>,
    ) -> Option<watch::Receiver<LiveSnapshot>> {
        let feed = &state.live;
        let mut is_running = feed.lock();
        if feed.snapshots.receiver_count() >= MAX_STREAMS {
            return None;
        }
        let snapshots = feed.snapshots.subscribe();
        if !*is_running {
            *is_running = true;
            tokio::spawn(read_while_followed(Arc::downgrade(state)));
        }
        Some(snapshots)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        let lock = self.is_running.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the task end if no stream follows. Returns whether it must end.
    fn end_if_unused(&self) -> bool {
        let mut is_running = self.lock();
        if self.snapshots.receiver_count() > 0 {
            return false;
        }
        *is_running = false;
        self.snapshots.send_replace(LiveSnapshot::Pending);
        true
    }
}

/// Reads while a stream follows. Keeps neither the console nor its inbox open.
async fn read_while_followed<I: ConsoleInbox>(state: Weak<ConsoleState<I>>) {
    loop {
        let Some(state) = state.upgrade().filter(|state| !state.stop.is_cancelled()) else {
            return;
        };
        if state.live.end_if_unused() {
            return;
        }
        let read = read(&state).await;
        let next = read.unwrap_or_else(|error| {
            tracing::debug!(reason = %error, "the console could not read the newest rows");
            LiveSnapshot::Failed
        });
        state.live.snapshots.send_if_modified(|last| {
            let is_new = !last.is_same(&next);
            if is_new {
                *last = next;
            }
            is_new
        });
        let interval = match state.inbox.list_cost() {
            ListCost::Local => LOCAL_INTERVAL,
            ListCost::Scan => TABLE_INTERVAL,
        };
        drop(state);
        sleep(interval).await;
    }
}

async fn read<I: ConsoleInbox>(state: &ConsoleState<I>) -> Result<LiveSnapshot, InboxError> {
    if state.inbox.list_cost() == ListCost::Local {
        let page = PageRequest::first(FOLLOWED_ROWS);
        let listed = state.inbox.list(&RowFilter::default(), page).await?;
        return Ok(LiveSnapshot::Rows(Arc::new(listed.rows)));
    }
    let now = state.settings.clock.now();
    let gauges = state.inbox.pending_gauges(now, COUNTED_ROWS).await?;
    let held = gauges.held_rows + gauges.conflict_rows;
    let (open, dead) = (gauges.open_rows, gauges.dead_rows);
    Ok(LiveSnapshot::Counts(format!(
        "{open} open, {dead} dead, {held} held"
    )))
}

impl LiveSnapshot {
    /// Whether a stream would find no difference.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rows(one), Self::Rows(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other.iter()).all(|(one, other)| {
                        (&one.key, one.state, one.attempts)
                            == (&other.key, other.state, other.attempts)
                    })
            }
            (Self::Counts(one), Self::Counts(other)) => one == other,
            (Self::Failed, Self::Failed) | (Self::Pending, Self::Pending) => true,
            _ => false,
        }
    }
}
