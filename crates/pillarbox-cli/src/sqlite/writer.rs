//! One thread that writes, so that whatever came while the disk was busy shares the next flush.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    checkpoint::{Checkpointer, checkpoint},
    connection::{self, IfMissing, SqliteError},
};
use pillarbox::inbox::InboxError;

/// How many changes that can wait join one flush when nobody is waiting with a clock running.
const LATER_ALONE: usize = 256;
/// How many join a flush beside those that can't wait: each makes it a little longer.
const LATER_BESIDE: usize = 32;

/// Whether somebody is waiting for an answer with a clock running.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePriority {
    /// A sender is: these always go first.
    Now,
    /// Only we are.
    Later,
}

/// The only way to change the file.
pub(super) struct SqliteWriter {
    queue: Arc<SharedQueue>,
    thread: Option<JoinHandle<()>>,
    _checkpointer: Checkpointer,
}

impl SqliteWriter {
    pub(super) fn start(path: &Path) -> Result<Self, InboxError> {
        let desk = WriterConnection::open(path)?;
        let queue = Arc::new(SharedQueue::default());
        let taken = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("inbox-writer".to_owned())
            .spawn(move || work_off(&taken, desk))
            .map_err(|error| {
                InboxError::Unavailable(format!("no thread for the writer: {error}"))
            })?;
        let checkpointer = Checkpointer::start(path, Arc::clone(&queue))?;
        Ok(Self {
            queue,
            thread: Some(thread),
            _checkpointer: checkpointer,
        })
    }

    /// Makes one change and returns once it would survive a power cut.
    ///
    /// `work` runs inside a transaction that other changes share; when it fails, only it fails. If
    /// its caller stops waiting before its turn comes, it is not made at all.
    pub(super) async fn change<T, F>(
        &self,
        urgency: WritePriority,
        work: F,
    ) -> Result<T, InboxError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.push(
            urgency,
            Box::new(QueuedChange {
                work: Some(work),
                done: None,
                reply,
            }),
        );
        answer
            .await
            .unwrap_or_else(|_| Err(InboxError::Unavailable("the writer has stopped".to_owned())))
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A change of any result type, as the queue sees it.
trait BoxedChange: Send {
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, db: &mut Connection) -> Result<(), rusqlite::Error>;
    fn finish(self: Box<Self>, outcome: Result<(), InboxError>);
}

struct QueuedChange<F, T> {
    work: Option<F>,
    done: Option<Result<T, InboxError>>,
    reply: oneshot::Sender<Result<T, InboxError>>,
}

impl<F, T> BoxedChange for QueuedChange<F, T>
where
    T: Send,
    F: FnOnce(&mut Connection) -> Result<T, SqliteError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Runs the work once. Only an error of SQLite's own is returned: it may concern the others, too.
    fn run(&mut self, db: &mut Connection) -> Result<(), rusqlite::Error> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        match work(db) {
            Ok(value) => self.done = Some(Ok(value)),
            Err(SqliteError::Inbox(error)) => self.done = Some(Err(error)),
            Err(SqliteError::Sqlite(error)) => {
                self.done = Some(Err(connection::unavailable(&error)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), InboxError>) {
        let not_run = || {
            Err(InboxError::Unavailable(
                "the change was not made".to_owned(),
            ))
        };
        let Self { done, reply, .. } = *self;
        let answer = outcome.and_then(|()| done.unwrap_or_else(not_run));
        let _ = reply.send(answer); // nobody waits any more: the change stands all the same
    }
}

/// Two lines before one desk.
#[derive(Default)]
pub(super) struct SharedQueue {
    lines: Mutex<WriteQueue>,
    filled: Condvar,
    committed: AtomicBool,
    settle: AtomicBool,
}

#[derive(Default)]
struct WriteQueue {
    now: Vec<Box<dyn BoxedChange>>,
    later: VecDeque<Box<dyn BoxedChange>>,
    closed: bool,
}

impl SharedQueue {
    fn push(&self, urgency: WritePriority, job: Box<dyn BoxedChange>) {
        let mut lines = self.lines();
        match urgency {
            WritePriority::Now => lines.now.push(job),
            WritePriority::Later => lines.later.push_back(job),
        }
        drop(lines);
        self.filled.notify_one();
    }

    /// Waits for work and takes what the next flush is for; `None` once closed and worked off.
    fn take(&self) -> Option<Vec<Box<dyn BoxedChange>>> {
        let mut lines = self.lines();
        while lines.now.is_empty() && lines.later.is_empty() {
            if lines.closed {
                return None;
            }
            lines = self
                .filled
                .wait(lines)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = std::mem::take(&mut lines.now);
        let most = if batch.is_empty() {
            LATER_ALONE
        } else {
            LATER_BESIDE
        };
        let later = lines.later.len().min(most);
        batch.extend(lines.later.drain(..later));
        Some(batch)
    }

    /// Whether anything was committed since this was last asked.
    pub(super) fn has_committed(&self) -> bool {
        self.committed.swap(false, Ordering::Relaxed)
    }

    /// Has the writer copy the little that is left of its log, between two batches.
    pub(super) fn settle(&self) {
        self.settle.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.lines().closed = true;
        self.filled.notify_one();
    }

    fn lines(&self) -> MutexGuard<'_, WriteQueue> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work_off(queue: &SharedQueue, mut desk: WriterConnection) {
    while let Some(mut batch) = queue.take() {
        batch.retain(|job| !job.is_abandoned());
        let outcome = desk.commit(&mut batch);
        queue.committed.fetch_or(outcome.is_ok(), Ordering::Relaxed);
        for job in batch {
            job.finish(outcome.clone());
        }
        if queue.settle.swap(false, Ordering::Relaxed) {
            let _ = desk.read(checkpoint); // if it fails, the log goes on growing until the next pass
        }
    }
}

/// The connection, the file it belongs to, and a new one when the old one is spoilt.
pub(super) struct WriterConnection {
    path: PathBuf,
    file: FileId,
    connection: Option<Connection>,
}

impl WriterConnection {
    pub(super) fn open(path: &Path) -> Result<Self, InboxError> {
        let connection = connection::open(path, IfMissing::Fail)?;
        Ok(Self {
            path: path.to_owned(),
            file: FileId::of(path)?,
            connection: Some(connection),
        })
    }

    /// Makes all changes of `batch` in one transaction: all of them stand, or none does.
    fn commit(&mut self, batch: &mut [Box<dyn BoxedChange>]) -> Result<(), InboxError> {
        if batch.is_empty() {
            return Ok(());
        }
        let db = self.ready()?;
        let outcome = run(db, batch);
        outcome.map_err(|error| {
            if connection::spoils_connection(&error) {
                self.connection = None;
            }
            connection::unavailable(&error)
        })
    }

    /// Asks for something, without a transaction.
    pub(super) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let outcome = work(self.ready()?);
        if let Err(SqliteError::Sqlite(error)) = &outcome
            && connection::spoils_connection(error)
        {
            self.connection = None;
        }
        outcome
    }

    /// The connection, to the file that is still at its path. A file that was deleted or replaced
    /// could be written to for days, and everything in it would be gone at the next start.
    fn ready(&mut self) -> Result<&mut Connection, InboxError> {
        let there = FileId::of(&self.path)?;
        if there != self.file || self.connection.is_none() {
            self.connection = None;
            let mut fresh = connection::open(&self.path, IfMissing::Fail)?;
            super::schema::migrate(&mut fresh).map_err(|error| connection::unavailable(&error))?;
            self.file = there;
            self.connection = Some(fresh);
        }
        self.connection
            .as_mut()
            .ok_or_else(|| InboxError::Unavailable("no connection".to_owned()))
    }
}

fn run(db: &mut Connection, batch: &mut [Box<dyn BoxedChange>]) -> Result<(), rusqlite::Error> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    for job in batch.iter_mut() {
        let done = job.run(db);
        // Some errors (a full disk, for one) end the whole transaction, and then nothing stands.
        if db.is_autocommit() {
            return Err(done.err().unwrap_or(rusqlite::Error::InvalidQuery));
        }
    }
    db.execute_batch("COMMIT").inspect_err(|_| {
        let _ = db.execute_batch("ROLLBACK"); // it may be rolled back already
    })
}

/// Which file stands at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> Result<Self, InboxError> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).map_err(|error| Self::gone(path, &error))?;
        Ok(Self(found.dev(), found.ino()))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Result<Self, InboxError> {
        std::fs::metadata(path).map_err(|error| Self::gone(path, &error))?;
        Ok(Self(0, 0))
    }

    fn gone(path: &Path, error: &std::io::Error) -> InboxError {
        let path = path.display();
        InboxError::Unavailable(format!(
            "{path} is no longer there ({error}): put it back, or restart to begin a new one"
        ))
    }
}
