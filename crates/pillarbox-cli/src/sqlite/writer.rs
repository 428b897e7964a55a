//! Group commit: one thread makes all changes, so that the changes that were queued during a flush
//! share the next one.
//!
//! Two queues feed the writer: interactive writes go first, and each batch takes a limited number
//! of background writes. A batch is one transaction. A caller gets its result after the commit, so
//! no change is reported before it would survive a power cut; if the commit fails, every caller of
//! the batch gets the error.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    checkpoint::{CheckpointThread, checkpoint, log_failure},
    connection::{self, SqliteError},
    pair::{FileId, FilePair, raise_counter},
};
use pillarbox::inbox::InboxError;

/// The most background writes in a batch without interactive writes.
const MAX_BACKGROUND_ALONE: usize = 256;
/// The most background writes beside interactive ones, which they delay.
const MAX_BACKGROUND_BESIDE: usize = 32;

/// Which queue a write joins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePriority {
    /// A sender waits for it: these go first.
    Interactive,
    /// Only Pillarbox waits for it.
    Background,
}

/// The only way to change the file.
pub(super) struct SqliteWriter {
    queue: Arc<SharedQueue>,
    thread: Option<JoinHandle<()>>,
    _checkpointer: CheckpointThread,
}

impl SqliteWriter {
    pub(super) fn start(pair: &Arc<FilePair>) -> Result<Self, InboxError> {
        let connection = CheckedConnection::open(Arc::clone(pair))?;
        let queue = Arc::new(SharedQueue::default());
        let writer_queue = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("inbox-writer".to_owned())
            .spawn(move || run_writer(&writer_queue, connection))
            .map_err(|error| {
                InboxError::Unavailable(format!("cannot start the writer thread: {error}"))
            })?;
        let checkpointer = CheckpointThread::start(Arc::clone(pair), Arc::clone(&queue))?;
        Ok(Self {
            queue,
            thread: Some(thread),
            _checkpointer: checkpointer,
        })
    }

    /// Makes one change and returns once it would survive a power cut.
    ///
    /// `work` runs inside a transaction that other changes share; if it fails, only it fails. If
    /// the caller is cancelled while the change is queued, the change is not made.
    pub(super) async fn change<T, F>(
        &self,
        priority: WritePriority,
        work: F,
    ) -> Result<T, InboxError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.push(
            priority,
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

    /// Runs the work once. Returns only errors of SQLite, which may concern the whole batch.
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
        let _ = reply.send(answer); // the change is made even if the caller was cancelled
    }
}

/// The queues that feed the writer.
#[derive(Default)]
pub(super) struct SharedQueue {
    queues: Mutex<WriteQueues>,
    not_empty: Condvar,
    committed: AtomicBool,
    checkpoint_requested: AtomicBool,
}

#[derive(Default)]
struct WriteQueues {
    interactive: Vec<Box<dyn BoxedChange>>,
    background: VecDeque<Box<dyn BoxedChange>>,
    closed: bool,
}

impl SharedQueue {
    fn push(&self, priority: WritePriority, job: Box<dyn BoxedChange>) {
        let mut queues = self.lock();
        match priority {
            WritePriority::Interactive => queues.interactive.push(job),
            WritePriority::Background => queues.background.push_back(job),
        }
        drop(queues);
        self.not_empty.notify_one();
    }

    /// Waits for writes and returns the next batch; `None` once closed and empty.
    fn next_batch(&self) -> Option<Vec<Box<dyn BoxedChange>>> {
        let mut queues = self.lock();
        while queues.interactive.is_empty() && queues.background.is_empty() {
            if queues.closed {
                return None;
            }
            queues = self
                .not_empty
                .wait(queues)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = std::mem::take(&mut queues.interactive);
        let max_background = if batch.is_empty() {
            MAX_BACKGROUND_ALONE
        } else {
            MAX_BACKGROUND_BESIDE
        };
        let background = queues.background.len().min(max_background);
        batch.extend(queues.background.drain(..background));
        Some(batch)
    }

    /// Whether anything was committed since the last call.
    pub(super) fn has_committed(&self) -> bool {
        self.committed.swap(false, Ordering::Relaxed)
    }

    /// Requests a checkpoint by the writer, between two batches.
    pub(super) fn request_checkpoint(&self) {
        self.checkpoint_requested.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, WriteQueues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run_writer(queue: &SharedQueue, mut connection: CheckedConnection) {
    while let Some(mut batch) = queue.next_batch() {
        batch.retain(|job| !job.is_abandoned());
        let outcome = connection.commit(&mut batch);
        queue.committed.fetch_or(outcome.is_ok(), Ordering::Relaxed);
        for job in batch {
            job.finish(outcome.clone());
        }
        if queue.checkpoint_requested.swap(false, Ordering::Relaxed)
            && let Err(error) = connection.read(checkpoint)
        {
            log_failure(error.into()); // the log grows until the next pass
        }
    }
}

/// A connection to the file that was at its path when the inbox was opened. It is reopened after an
/// error that breaks it.
pub(super) struct CheckedConnection {
    access: ConnectionAccess,
    connection: Option<Connection>,
    /// Outlives the connection.
    pair: Arc<FilePair>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionAccess {
    ReadWrite,
    ReadOnly,
    /// For reading, while no process changes the file.
    Immutable,
}

impl CheckedConnection {
    pub(super) fn open(pair: Arc<FilePair>) -> Result<Self, InboxError> {
        Ok(Self {
            access: ConnectionAccess::ReadWrite,
            connection: Some(pair.connect()?),
            pair,
        })
    }

    /// A connection for [`read`](Self::read) alone.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, InboxError> {
        let pair = Arc::new(FilePair::open(path)?);
        let opened = connection::open_read_only(path)?;
        Ok(Self {
            access: if opened.immutable {
                ConnectionAccess::Immutable
            } else {
                ConnectionAccess::ReadOnly
            },
            connection: Some(opened.connection),
            pair,
        })
    }

    /// Makes all changes of `batch` in one transaction.
    ///
    /// The file and its log are checked before and after the transaction. If one of them is gone,
    /// the changes would be lost at the next start, so they count as failed.
    fn commit(&mut self, batch: &mut [Box<dyn BoxedChange>]) -> Result<(), InboxError> {
        if batch.is_empty() {
            return Ok(());
        }
        let pair = Arc::clone(&self.pair);
        let outcome = run_batch(self.ready()?, &pair, batch);
        outcome.map_err(|error| self.explain(error))
    }

    /// Runs a query, without a transaction.
    pub(super) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let pair = Arc::clone(&self.pair);
        let connection = self.ready()?;
        let outcome = pair.check(connection).and_then(|()| work(connection));
        if self.is_outdated() {
            let why = "another process has opened the inbox meanwhile: run the command again";
            return Err(InboxError::Unavailable(why.to_owned()).into());
        }
        outcome.map_err(|error| self.explain(error).into())
    }

    /// Explains an error, and closes a connection that it breaks.
    fn explain(&mut self, error: SqliteError) -> InboxError {
        if let SqliteError::Sqlite(error) = &error
            && connection::breaks_connection(error)
        {
            self.close();
        }
        error.into()
    }

    fn ready(&mut self) -> Result<&mut Connection, InboxError> {
        let path = self.pair.path();
        if self.access == ConnectionAccess::ReadWrite {
            if self.connection.is_none() {
                FileId::at(path)?;
                self.connection = Some(self.pair.connect()?);
            }
        } else if self.connection.is_none() || self.is_outdated() {
            *self = Self::open_read_only(path)?;
        }
        self.connection
            .as_mut()
            .ok_or_else(|| InboxError::Unavailable("no connection".to_owned()))
    }

    fn is_outdated(&self) -> bool {
        self.access == ConnectionAccess::Immutable && connection::has_log(self.pair.path())
    }

    fn close(&mut self) {
        match (self.connection.take(), self.access) {
            (Some(connection), ConnectionAccess::ReadWrite) => self.pair.disconnect(connection),
            (connection, _) => drop(connection),
        }
    }
}

impl Drop for CheckedConnection {
    fn drop(&mut self) {
        self.close();
    }
}

fn run_batch(
    db: &mut Connection,
    pair: &FilePair,
    batch: &mut [Box<dyn BoxedChange>],
) -> Result<(), SqliteError> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let made = make_changes(db, pair, batch);
    if made.is_err() && !db.is_autocommit() {
        let _ = db.execute_batch("ROLLBACK"); // it may be rolled back already
    }
    made?;
    pair.check(db)
}

/// Makes the changes and commits them.
fn make_changes(
    db: &mut Connection,
    pair: &FilePair,
    batch: &mut [Box<dyn BoxedChange>],
) -> Result<(), SqliteError> {
    pair.check(db)?;
    let before = db.total_changes();
    for job in batch.iter_mut() {
        let done = job.run(db);
        // Some errors, such as a full disk, end the whole transaction: no change is made.
        if db.is_autocommit() {
            return Err(done.err().unwrap_or(rusqlite::Error::InvalidQuery).into());
        }
    }
    if db.total_changes() != before {
        raise_counter(db)?;
    }
    Ok(db.execute_batch("COMMIT")?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::sqlite::SqliteInbox;

    fn new_file() -> (CheckedConnection, TempDir) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("inbox.db");
        drop(SqliteInbox::create(&path).unwrap());
        let pair = Arc::new(FilePair::open(&path).unwrap());
        (CheckedConnection::open(pair).unwrap(), folder)
    }

    /// Queues a row for the key-value store, and returns where its result arrives.
    fn queued(
        queue: &SharedQueue,
        name: &'static str,
    ) -> oneshot::Receiver<Result<usize, InboxError>> {
        let work = move |db: &mut Connection| {
            let insert = "INSERT INTO memo (name, version, text) VALUES (?1, 1, '')";
            Ok(db.execute(insert, [name])?)
        };
        let (reply, answer) = oneshot::channel();
        let change = QueuedChange {
            work: Some(work),
            done: None,
            reply,
        };
        queue.push(WritePriority::Interactive, Box::new(change));
        answer
    }

    fn names(connection: &mut CheckedConnection) -> Vec<String> {
        let read = connection.read(|db| {
            let mut select = db.prepare("SELECT name FROM memo ORDER BY name")?;
            let names = select.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        });
        read.unwrap_or_else(|error| panic!("{}", InboxError::from(error)))
    }

    #[test]
    fn a_queued_change_of_a_cancelled_caller_is_not_made() {
        let (connection, folder) = new_file();
        let queue = SharedQueue::default();
        let mut kept = queued(&queue, "a-kept");
        drop(queued(&queue, "b-abandoned"));
        queue.close();
        run_writer(&queue, connection);
        assert!(matches!(kept.try_recv(), Ok(Ok(1))));
        let pair = Arc::new(FilePair::open(&folder.path().join("inbox.db")).unwrap());
        let mut connection = CheckedConnection::open(pair).unwrap();
        let stored = names(&mut connection);
        assert!(stored.contains(&"a-kept".to_owned()), "{stored:?}");
        assert!(!stored.contains(&"b-abandoned".to_owned()), "{stored:?}");
    }

    #[test]
    fn a_commit_is_reported_once_and_a_requested_checkpoint_is_made_after_it() {
        let (connection, _folder) = new_file();
        let queue = SharedQueue::default();
        assert!(!queue.has_committed());
        let mut stored = queued(&queue, "a-row");
        queue.request_checkpoint();
        assert!(queue.checkpoint_requested.load(Ordering::Relaxed));
        queue.close();
        run_writer(&queue, connection);
        assert!(matches!(stored.try_recv(), Ok(Ok(1))));
        assert!(!queue.checkpoint_requested.load(Ordering::Relaxed));
        assert!(queue.has_committed());
        assert!(!queue.has_committed());
    }
}
