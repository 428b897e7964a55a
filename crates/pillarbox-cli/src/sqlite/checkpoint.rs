//! Checkpoints: copies committed pages from the write-ahead log into the file while the writer
//! runs.
//!
//! By default SQLite does this during a commit after every so many pages, and every caller waits.
//! Here a separate thread copies nearly all pages beside the writer. If the log is long, the writer
//! then copies the few pages that were committed meanwhile, after which the log starts again from
//! its beginning. A checkpoint changes nothing that was promised: a commit is in the log until it
//! is in the file.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    connection::SqliteError,
    writer::{CheckedConnection, SharedQueue},
};
use pillarbox::inbox::InboxError;

/// More frequent checkpoints copy the same pages repeatedly, and their flushes delay the writer's.
const INTERVAL: Duration = Duration::from_secs(2);
/// From this many pages of 2 KB the log is restarted.
const RESTART_PAGES: i64 = 16 * 1024;

/// The checkpoint thread, which runs until this is dropped.
pub(super) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, queue: Arc<SharedQueue>) -> Result<Self, InboxError> {
        let mut connection = CheckedConnection::open(path)?;
        let (stop, stopped) = channel();
        let run = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if queue.has_committed() {
                    checkpoint_pass(&mut connection, &queue);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("inbox-checkpoint".to_owned())
            .spawn(run);
        let thread = thread.map_err(|error| {
            InboxError::Unavailable(format!("cannot start the checkpoint thread: {error}"))
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies the log; if it is long, copies again and has the writer restart it.
///
/// After a failure the log keeps its pages, and the next pass copies them.
fn checkpoint_pass(connection: &mut CheckedConnection, queue: &SharedQueue) {
    if connection
        .read(checkpoint)
        .is_ok_and(|pages| pages >= RESTART_PAGES)
        && connection.read(checkpoint).is_ok()
    {
        queue.request_checkpoint();
    }
}

/// Copies all pages that can be copied without blocking a caller; returns the length of the log in
/// pages.
pub(super) fn checkpoint(db: &rusqlite::Connection) -> Result<i64, SqliteError> {
    Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?)
}
