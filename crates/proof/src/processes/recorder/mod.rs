//! Records the history of processes that are observed from outside.
//!
//! The proxy of a table observes rows being stored, claimed and marked. An inbox file can only be
//! read after its process has ended, so there the recorder infers events: a row in the file was
//! stored when the first request for it since the last read arrived, a claim precedes each
//! delivery, and the state of the row shows the mark. If a row is not in the file, its answer 200
//! has no `Stored` event before it, and the checker reports a violation.

mod posts;
mod changes;
mod calls;
mod inference;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock, Timestamp};

use crate::{
    history::{History, RecordedEvent, RowState, Sha256Digest},
    sync::lock,
};

pub(crate) use inference::FoundRow;

/// Longer than any call to a table takes.
const QUIET_PERIOD: Duration = Duration::from_secs(5);

/// The claim that holds a row.
#[derive(Clone, Copy)]
pub(crate) struct HeldClaim {
    pub(crate) attempt: u32,
    pub(crate) lease: u64,
    /// The number of the process.
    pub(crate) process: usize,
}

/// The known state of a row.
#[derive(Default)]
struct KnownRow {
    state: Option<RowState>,
    claim: Option<HeldClaim>,
    /// Inferred if claims are not observed.
    attempts: u32,
    was_accepted: bool,
    was_claimed: bool,
    claimed_at: i64,
    /// Whether the reply to its write was observed.
    was_written: bool,
}

#[derive(Default)]
struct RecorderState {
    history: History,
    contents: HashMap<Sha256Digest, u64>,
    /// The index in the history of the first request with these bytes since the last read.
    first_posts: HashMap<Sha256Digest, usize>,
    rows: BTreeMap<String, KnownRow>,
    /// The leases of all recorded claims and marks. Each is recorded once.
    claims: HashSet<u64>,
    marks: HashSet<u64>,
    /// The calls of destinations that have not returned, each with its key and process.
    calls: BTreeMap<u32, (String, usize)>,
    problems: Vec<String>,
}

/// Records the history of one set-up.
pub(crate) struct HistoryRecorder {
    began: Timestamp,
    /// Whether a proxy observes the inbox.
    observes_inbox: bool,
    recording: Mutex<RecorderState>,
    posts: AtomicU32,
    calls: AtomicU32,
    /// The number of answers after more than 2.5 s.
    pub(crate) slow: AtomicU64,
}

impl HistoryRecorder {
    pub(crate) fn new(observes_inbox: bool) -> Self {
        Self {
            began: SystemClock.now(),
            observes_inbox,
            recording: Mutex::default(),
            posts: AtomicU32::new(1),
            calls: AtomicU32::new(1),
            slow: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        lock(&self.recording)
    }

    /// A system time in milliseconds since the beginning of the history.
    pub(crate) fn at(&self, instant: i64) -> i64 {
        instant - self.began.as_millis()
    }

    fn push(&self, recording: &mut RecorderState, event: RecordedEvent) {
        let at = self.at(SystemClock.now().as_millis());
        recording.history.push(at, event);
    }

    /// Records a problem that no rule of the checker covers.
    pub(crate) fn problem(&self, text: String) {
        self.lock().problems.push(text);
    }

    /// Waits until no event was recorded for [`QUIET_PERIOD`], so that no work is in progress.
    pub(crate) async fn wait_until_quiet(&self, limit: Duration) {
        let end = tokio::time::Instant::now() + limit;
        let quiet = i64::try_from(QUIET_PERIOD.as_millis()).unwrap_or(i64::MAX);
        while tokio::time::Instant::now() < end {
            let last = self.lock().history.records.last().map_or(0, |last| last.at);
            if self.at(SystemClock.now().as_millis()) - last > quiet {
                return;
            }
            tokio::time::sleep(QUIET_PERIOD / 20).await;
        }
    }

    /// Ends the history with the remaining rows.
    pub(crate) fn finish(&self, rows: Vec<(String, RowState, Option<Sha256Digest>)>) {
        let recording = &mut *self.lock();
        self.push(recording, RecordedEvent::FaultsEnded);
        for (key, state, digest) in rows {
            self.push(recording, RecordedEvent::Remaining { key, state, digest });
        }
    }

    pub(crate) fn stuck(&self, what: String) {
        self.push(&mut self.lock(), RecordedEvent::Stuck { what });
    }

    /// Records that reconcile runs, so that no message may be missing at the end.
    pub(crate) fn set_reconciled(&self) {
        self.lock().history.is_reconciled = true;
    }

    /// Records an event.
    pub(crate) fn push_event(&self, event: RecordedEvent) {
        self.push(&mut self.lock(), event);
    }

    /// Returns the history and the problems.
    pub(crate) fn take_history(&self) -> (History, Vec<String>) {
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
