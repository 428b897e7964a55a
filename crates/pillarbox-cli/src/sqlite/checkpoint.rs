//! Moves what was committed from the write-ahead log into the file, beside the writer, not in its way.
//!
//! SQLite's own way is that every so many pages one commit does this and everyone waits for it. Here
//! a thread of its own copies nearly everything while the writer goes on, and the writer only copies
//! the little that came meanwhile, after which the log begins anew.

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
    writer::{SharedQueue, WriterConnection},
};
use pillarbox::inbox::InboxError;

/// How often the log is moved into the file. More often copies the same pages again and again, and
/// its flushes come in the way of the writer's.
const EVERY: Duration = Duration::from_secs(2);
/// From so many pages of 2 KB on the log is begun anew.
const LONG: i64 = 16 * 1024;

/// Works until dropped.
pub(super) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, queue: Arc<SharedQueue>) -> Result<Self, InboxError> {
        let mut desk = WriterConnection::open(path)?;
        let (stop, stopped) = channel();
        let work = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if queue.has_committed() {
                    pass(&mut desk, &queue);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("inbox-checkpoint".to_owned())
            .spawn(work);
        let thread = thread.map_err(|error| {
            InboxError::Unavailable(format!("no thread for checkpoints: {error}"))
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

/// Copies what there is; if the log is long, copies the rest and has the writer begin it anew.
///
/// A failure changes nothing that was promised: the log keeps what it has, and the next pass tries again.
fn pass(desk: &mut WriterConnection, queue: &SharedQueue) {
    if desk.read(checkpoint).is_ok_and(|pages| pages >= LONG) && desk.read(checkpoint).is_ok() {
        queue.settle();
    }
}

/// Copies as much as can be copied without anyone waiting; returns how many pages the log has.
pub(super) fn checkpoint(db: &rusqlite::Connection) -> Result<i64, SqliteError> {
    Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?)
}
