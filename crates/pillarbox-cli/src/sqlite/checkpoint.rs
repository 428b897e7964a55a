//! Checkpoints: copies committed pages from the write-ahead log into the file while the writer
//! runs.
//!
//! By default SQLite does this during a commit whenever the log has a certain length, and every
//! caller waits. Here a separate thread copies nearly all pages while the writer runs. If the log
//! is long, the writer then copies the few pages that were committed meanwhile, and SQLite restarts
//! the log from its beginning. A checkpoint cannot lose a commit: a page stays in the log until it
//! is in the file.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    connection::{SqliteError, set_busy_timeout},
    pair::FilePair,
    writer::{CheckedConnection, SharedQueue},
};
use pillarbox::inbox::InboxError;

/// More frequent checkpoints copy the same pages repeatedly, and their flushes delay the writer's.
const INTERVAL: Duration = Duration::from_secs(2);
/// From this many pages of 2 KB the log is restarted.
const RESTART_PAGES: i64 = 16 * 1024;

/// The checkpoint thread, which runs until this is dropped.
pub(super) struct CheckpointThread {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CheckpointThread {
    pub(super) fn start(pair: Arc<FilePair>, queue: Arc<SharedQueue>) -> Result<Self, InboxError> {
        let mut connection = CheckedConnection::open(pair)?;
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

impl Drop for CheckpointThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies the log. If it is long, copies it again and has the writer restart it.
///
/// After a failure the log keeps its pages, and the next pass copies them.
fn checkpoint_pass(connection: &mut CheckedConnection, queue: &SharedQueue) {
    let copied = connection.read(checkpoint).and_then(|pages| {
        if pages >= RESTART_PAGES {
            connection.read(checkpoint)?;
            queue.request_checkpoint();
        }
        Ok(())
    });
    if let Err(error) = copied {
        log_failure(error.into());
    }
}

/// Logs why a checkpoint failed. Nothing is lost, but the log grows.
pub(super) fn log_failure(error: InboxError) {
    tracing::warn!(reason = %error, "the log of the inbox was not copied into its file");
}

/// Copies all pages that can be copied without blocking a caller; returns the length of the log in
/// pages.
pub(super) fn checkpoint(db: &rusqlite::Connection) -> Result<i64, SqliteError> {
    Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?)
}

/// How many times emptying the log is tried while another process uses it.
const MAX_ATTEMPTS: u32 = if cfg!(test) { 4 } else { 40 };
/// The time between two attempts, in which senders' notifications are committed.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(250);
/// How long an attempt waits for other processes. Commits wait with it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(50);

/// Copies the log into the file and empties it. Returns false if other processes prevented that
/// for ten seconds.
pub(super) fn empty_log(db: &rusqlite::Connection) -> Result<bool, SqliteError> {
    db.busy_timeout(ATTEMPT_TIMEOUT)?;
    let mut emptied = try_empty_log(db);
    for _ in 1..MAX_ATTEMPTS {
        if !matches!(emptied, Ok(false)) {
            break;
        }
        std::thread::sleep(ATTEMPT_INTERVAL);
        emptied = try_empty_log(db);
    }
    set_busy_timeout(db)?;
    Ok(emptied?)
}

fn try_empty_log(db: &rusqlite::Connection) -> Result<bool, rusqlite::Error> {
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy = db.query_row(checkpoint, [], |row| row.get::<_, bool>(0));
    match is_busy {
        Ok(is_busy) => Ok(!is_busy),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
