//! Writes the history of processes that are seen from outside.
//!
//! A table's proxy sees rows stored, claimed and marked. What happens inside an inbox file is seen
//! only by reading a copy of it after a process has ended, so there the recorder infers: a row that
//! is in the file was stored when the first request for it since the last look arrived; a claim
//! precedes each delivery; a mark is what the row says. A 200 whose row is not in the file then has
//! no `Stored` before it, which is what the checker looks for.

mod posts;
mod changes;
mod calls;
mod inference;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock, Timestamp};

use crate::history::{History, RecordedEvent, RowState, Sha256Digest};

pub(crate) use inference::FoundRow;

/// Longer than any call of a process to a table takes.
const QUIET: Duration = Duration::from_secs(5);

/// The claim that holds a row.
#[derive(Clone, Copy)]
pub(crate) struct HeldClaim {
    pub(crate) attempt: u32,
    pub(crate) lease: u64,
    /// The process that has it.
    pub(crate) process: usize,
}

/// What is known of a row between two moments.
#[derive(Default)]
struct KnownRow {
    state: Option<RowState>,
    claim: Option<HeldClaim>,
    /// Inferred, where claims are not seen.
    attempts: u32,
    was_accepted: bool,
    was_claimed: bool,
    claimed_at: i64,
    /// Whether the reply to a write of it was seen.
    was_written: bool,
}

#[derive(Default)]
struct RecorderState {
    history: History,
    contents: HashMap<Sha256Digest, u64>,
    /// Where the first request for these bytes since the last look is in the history.
    first_posts: HashMap<Sha256Digest, usize>,
    rows: BTreeMap<String, KnownRow>,
    /// The leases of all claims and marks, each of which is recorded once.
    claims: HashSet<u64>,
    marks: HashSet<u64>,
    /// The calls of destinations that have not returned, with the process that makes them.
    calls: BTreeMap<u32, (String, usize)>,
    problems: Vec<String>,
}

/// The history of one set-up, while it is written.
pub(crate) struct HistoryRecorder {
    began: Timestamp,
    /// Whether a proxy sees what the inbox does.
    sees_inbox: bool,
    recording: Mutex<RecorderState>,
    posts: AtomicU32,
    calls: AtomicU32,
    /// The answers that took longer than 2.5 s by the clock.
    pub(crate) slow: AtomicU64,
}

impl HistoryRecorder {
    pub(crate) fn new(sees_inbox: bool) -> Self {
        Self {
            began: SystemClock.now(),
            sees_inbox,
            recording: Mutex::default(),
            posts: AtomicU32::new(1),
            calls: AtomicU32::new(1),
            slow: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A time of the machine, as the history counts.
    pub(crate) fn at(&self, instant: i64) -> i64 {
        instant - self.began.as_millis()
    }

    fn push(&self, recording: &mut RecorderState, what: RecordedEvent) {
        let at = self.at(SystemClock.now().as_millis());
        recording.history.push(at, what);
    }

    /// Something that no rule of the checker is about, and must not happen.
    pub(crate) fn problem(&self, text: String) {
        self.lock().problems.push(text);
    }

    /// Waits until nothing has happened for so long that nothing is under way.
    pub(crate) async fn is_quiet(&self, limit: Duration) {
        let end = tokio::time::Instant::now() + limit;
        let quiet = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
        while tokio::time::Instant::now() < end {
            let last = self.lock().history.moments.last().map_or(0, |last| last.at);
            if self.at(SystemClock.now().as_millis()) - last > quiet {
                return;
            }
            tokio::time::sleep(QUIET / 20).await;
        }
    }

    /// Ends the history with what is left.
    pub(crate) fn finish(&self, rows: Vec<(String, RowState, Option<Sha256Digest>)>) {
        let recording = &mut *self.lock();
        self.push(recording, RecordedEvent::Calmed);
        for (key, state, digest) in rows {
            self.push(recording, RecordedEvent::Left { key, state, digest });
        }
    }

    pub(crate) fn stuck(&self, what: String) {
        self.push(&mut self.lock(), RecordedEvent::Stuck { what });
    }

    /// The senders' APIs are asked, so that nothing may be missing at the end.
    pub(crate) fn is_reconciled(&self) {
        self.lock().history.is_reconciled = true;
    }

    /// Anything else that happened.
    pub(crate) fn push_event(&self, what: RecordedEvent) {
        self.push(&mut self.lock(), what);
    }

    /// The history, and what else went wrong.
    pub(crate) fn take(&self) -> (History, Vec<String>) {
        let recording = std::mem::take(&mut *self.lock());
        (recording.history, recording.problems)
    }
}

fn claimed(key: &str, claim: HeldClaim, until: i64) -> RecordedEvent {
    RecordedEvent::Claimed {
        key: key.to_owned(),
        attempt: claim.attempt,
        lease: claim.lease,
        until,
    }
}

fn marked(key: &str, (attempt, lease): (u32, u64), state: RowState, reason: &str) -> RecordedEvent {
    RecordedEvent::Marked {
        key: key.to_owned(),
        attempt,
        lease,
        state,
        reason: reason.to_owned(),
        done: true,
    }
}
