//! Writes the history of processes that are seen from outside.
//!
//! A table's proxy sees rows stored, claimed and marked. What happens inside an inbox file is seen
//! only by reading a copy of it after a process has ended, so there the recorder infers: a row that
//! is in the file was stored when the first request for it since the last look arrived; a claim
//! precedes each delivery; a mark is what the row says. A 200 whose row is not in the file then has
//! no `Stored` before it, which is what the checker looks for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock, Timestamp};

use super::lateness;
use crate::{
    history::{Digest, Genuineness, Happened, History, Moment, RowState},
    simulate::content::{content_of, digest_of},
};

/// What a machine that many processes share may add to the 2.5 s: Pay waits for 3 s.
const ALLOWANCE: Duration = Duration::from_millis(500);
/// Longer than any call of a process to a table takes.
const QUIET: Duration = Duration::from_secs(5);

/// A row in an inbox, as it was found.
pub(crate) struct FoundRow {
    pub(crate) key: String,
    pub(crate) state: RowState,
    pub(crate) reason: String,
    pub(crate) digest: Digest,
}

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
    contents: HashMap<Digest, u64>,
    /// Where the first request for these bytes since the last look is in the history.
    first_posts: HashMap<Digest, usize>,
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

/// A request that was recorded.
pub(crate) struct PostedRequest {
    pub(crate) post: u32,
    began: tokio::time::Instant,
    lateness: Duration,
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

    fn push(&self, recording: &mut RecorderState, what: Happened) {
        let at = self.at(SystemClock.now().as_millis());
        recording.history.push(at, what);
    }

    /// Something that no rule of the checker is about, and must not happen.
    pub(crate) fn problem(&self, text: String) {
        self.lock().problems.push(text);
    }

    pub(crate) fn created(&self, source: &str, id: &str, body: &[u8]) {
        let what = Happened::Created {
            source: source.to_owned(),
            id: id.to_owned(),
            payment: None,
            content: content_of(body),
        };
        self.push(&mut self.lock(), what);
    }

    pub(crate) fn posted(
        &self,
        (source, id): (&str, &str),
        body: &[u8],
        genuine: Genuineness,
    ) -> PostedRequest {
        let post = self.posts.fetch_add(1, Ordering::Relaxed);
        let (content, digest) = (content_of(body), digest_of(body));
        let recording = &mut *self.lock();
        recording.contents.insert(digest, content);
        if genuine == Genuineness::Proven {
            let place = recording.history.moments.len();
            recording.first_posts.entry(digest).or_insert(place);
        }
        let what = Happened::Posted {
            post,
            source: source.to_owned(),
            id: id.to_owned(),
            content,
            digest,
            genuine,
        };
        self.push(recording, what);
        PostedRequest {
            post,
            began: tokio::time::Instant::now(),
            lateness: lateness::total(),
        }
    }

    /// The time to the answer is less what the machine was late meanwhile, and an allowance.
    pub(crate) fn answered(&self, request: &PostedRequest, status: u16) {
        let late = lateness::total().saturating_sub(request.lateness);
        let took = request.began.elapsed();
        self.slow
            .fetch_add(u64::from(took > ALLOWANCE * 5), Ordering::Relaxed);
        let took = took.saturating_sub(late + ALLOWANCE);
        let post = request.post;
        let what = Happened::Answered { post, status, took };
        self.push(&mut self.lock(), what);
    }

    pub(crate) fn ended(&self, source: &str, id: &str, acknowledged: bool) {
        let what = Happened::Ended {
            source: source.to_owned(),
            id: id.to_owned(),
            acknowledged,
        };
        self.push(&mut self.lock(), what);
    }

    /// A row was stored; `is_new` unless it is only seen to be there.
    pub(crate) fn stored(
        &self,
        key: &str,
        digest: Digest,
        held: Option<&'static str>,
        is_new: bool,
    ) {
        let recording = &mut *self.lock();
        let row = recording.rows.entry(key.to_owned()).or_default();
        let was_written = row.was_written;
        row.was_written |= is_new;
        // The reply of the write itself may be seen after what shows that the row is there.
        if row.state.is_some() && !(is_new && was_written) {
            return;
        }
        let content = recording.contents.get(&digest).copied().unwrap_or_default();
        let state = held.map_or(RowState::Open, |_| RowState::Held);
        recording.rows.entry(key.to_owned()).or_default().state = Some(state);
        let key = key.to_owned();
        self.push(
            recording,
            Happened::Stored {
                key,
                content,
                digest,
                held,
            },
        );
    }

    pub(crate) fn claimed(&self, key: &str, claim: HeldClaim, until: i64) {
        let recording = &mut *self.lock();
        if !recording.claims.insert(claim.lease) {
            return;
        }
        let row = recording.rows.entry(key.to_owned()).or_default();
        row.claim = Some(claim);
        row.was_claimed = true;
        row.claimed_at = self.at(SystemClock.now().as_millis());
        self.push(recording, claimed(key, claim, until));
    }

    /// Whether nothing was ever done about an open row.
    pub(crate) fn is_untouched(&self, key: &str) -> bool {
        let recording = self.lock();
        let row = recording.rows.get(key);
        row.is_some_and(|row| row.state == Some(RowState::Open) && !row.was_claimed)
    }

    pub(crate) fn marked(&self, key: &str, claim: (u32, u64), state: RowState, reason: &str) {
        let recording = &mut *self.lock();
        if !recording.marks.insert(claim.1) {
            return;
        }
        let row = recording.rows.entry(key.to_owned()).or_default();
        row.claim = None;
        row.state = Some(state);
        self.push(recording, marked(key, claim, state, reason));
    }

    /// A destination is called by a process.
    pub(crate) fn delivering(&self, process: usize, key: &str) -> u32 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let recording = &mut *self.lock();
        recording.calls.insert(call, (key.to_owned(), process));
        let row = recording.rows.entry(key.to_owned()).or_default();
        if !self.sees_inbox {
            row.attempts += 1;
            let claim = HeldClaim {
                attempt: row.attempts,
                lease: u64::from(call),
                process,
            };
            row.claim = Some(claim);
            self.push(recording, claimed(key, claim, 0));
        }
        let key = key.to_owned();
        self.push(recording, Happened::Delivering { key, call });
        call
    }

    pub(crate) fn accepted(&self, key: &str, call: u32, bytes: &[u8]) {
        let digest = digest_of(bytes);
        let recording = &mut *self.lock();
        recording
            .rows
            .entry(key.to_owned())
            .or_default()
            .was_accepted = true;
        let key = key.to_owned();
        self.push(recording, Happened::Accepted { key, call, digest });
    }

    pub(crate) fn returned(&self, call: u32) {
        let recording = &mut *self.lock();
        if let Some((key, _)) = recording.calls.remove(&call) {
            let refused = false;
            self.push(recording, Happened::Returned { key, call, refused });
        }
    }

    /// A fault touched a row.
    pub(crate) fn disturbed(&self, key: &str, fault: &'static str) {
        let key = Some(key.to_owned());
        self.push(&mut self.lock(), Happened::Disturbed { key, fault });
    }

    /// A process was killed: its calls are over, and what it held was disturbed.
    pub(crate) fn killed(&self, process: usize) {
        let recording = &mut *self.lock();
        let calls: Vec<u32> = of_process(&recording.calls, process);
        for call in calls {
            if let Some((key, _)) = recording.calls.remove(&call) {
                let refused = false;
                self.push(recording, Happened::Returned { key, call, refused });
            }
        }
        let held = |row: &KnownRow| row.claim.is_some_and(|claim| claim.process == process);
        let rows = recording.rows.iter().filter(|(_, row)| held(row));
        let keys: Vec<String> = rows.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let (key, fault) = (Some(key), "kill");
            self.push(recording, Happened::Disturbed { key, fault });
        }
    }

    /// The rows that an ended process left in an inbox that no proxy sees.
    pub(crate) fn found(&self, rows: &[FoundRow]) {
        let recording = &mut *self.lock();
        let first_posts = std::mem::take(&mut recording.first_posts);
        let mut stored: BTreeMap<usize, Vec<Happened>> = BTreeMap::new();
        for found in rows {
            if recording
                .rows
                .get(&found.key)
                .is_some_and(|row| row.state.is_some())
            {
                continue;
            }
            let end = recording.history.moments.len();
            // Bytes that no sender posted break a rule wherever the row is put.
            let place = first_posts
                .get(&found.digest)
                .map_or(end, |place| place + 1);
            let content = recording.contents.get(&found.digest);
            let held = (found.state == RowState::Held).then_some("held");
            stored.entry(place).or_default().push(Happened::Stored {
                key: found.key.clone(),
                content: content.copied().unwrap_or_default(),
                digest: found.digest,
                held,
            });
            let state = held.map_or(RowState::Open, |_| RowState::Held);
            recording.rows.entry(found.key.clone()).or_default().state = Some(state);
        }
        insert(&mut recording.history, stored);
        for found in rows {
            self.compare(recording, found);
        }
    }

    /// Infers what became of a row since the last look.
    fn compare(&self, recording: &mut RecorderState, found: &FoundRow) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let row = recording.rows.entry(found.key.clone()).or_default();
        if row.state == Some(found.state) {
            if found.state == RowState::Open && row.was_accepted {
                let (key, fault) = (Some(found.key.clone()), "kill");
                self.push(recording, Happened::Disturbed { key, fault });
            }
            return;
        }
        row.state = Some(found.state);
        let seen = row.claim.take();
        let claim = seen.unwrap_or(HeldClaim {
            attempt: row.attempts + 1,
            lease: u64::from(call),
            process: 0,
        });
        if seen.is_none() {
            self.push(recording, claimed(&found.key, claim, 0));
        }
        let claim = (claim.attempt, claim.lease);
        let what = marked(&found.key, claim, found.state, &found.reason);
        self.push(recording, what);
    }

    /// Whether no attempt at a row can be under way: it is not claimed, or was so long ago.
    pub(crate) fn is_at_rest(&self, key: &str) -> bool {
        let quiet = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
        let now = self.at(SystemClock.now().as_millis());
        let recording = self.lock();
        let row = recording.rows.get(key);
        row.is_none_or(|row| row.claim.is_none() || now - row.claimed_at > quiet)
    }

    /// The rows whose claim the harness ended, because nothing lives that holds it.
    pub(crate) fn lapsed(&self, rows: &[(String, u32)]) {
        let recording = &mut *self.lock();
        for (key, _) in rows {
            let row = recording.rows.entry(key.clone()).or_default();
            if let Some(claim) = row.claim.take() {
                let claim = (claim.attempt, claim.lease);
                self.push(recording, marked(key, claim, RowState::Open, "lapsed"));
            }
        }
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
    pub(crate) fn finish(&self, rows: Vec<(String, RowState, Option<Digest>)>) {
        let recording = &mut *self.lock();
        self.push(recording, Happened::Calmed);
        for (key, state, digest) in rows {
            self.push(recording, Happened::Left { key, state, digest });
        }
    }

    pub(crate) fn stuck(&self, what: String) {
        self.push(&mut self.lock(), Happened::Stuck { what });
    }

    /// The senders' APIs are asked, so that nothing may be missing at the end.
    pub(crate) fn is_reconciled(&self) {
        self.lock().history.is_reconciled = true;
    }

    /// Anything else that happened.
    pub(crate) fn push_event(&self, what: Happened) {
        self.push(&mut self.lock(), what);
    }

    /// The history, and what else went wrong.
    pub(crate) fn take(&self) -> (History, Vec<String>) {
        let recording = std::mem::take(&mut *self.lock());
        (recording.history, recording.problems)
    }
}

fn of_process(calls: &BTreeMap<u32, (String, usize)>, process: usize) -> Vec<u32> {
    let own = calls.iter().filter(|(_, (_, maker))| *maker == process);
    own.map(|(call, _)| *call).collect()
}

fn claimed(key: &str, claim: HeldClaim, until: i64) -> Happened {
    Happened::Claimed {
        key: key.to_owned(),
        attempt: claim.attempt,
        lease: claim.lease,
        until,
    }
}

fn marked(key: &str, (attempt, lease): (u32, u64), state: RowState, reason: &str) -> Happened {
    Happened::Marked {
        key: key.to_owned(),
        attempt,
        lease,
        state,
        reason: reason.to_owned(),
        done: true,
    }
}

/// Puts events at these places, each at the time of the event before it.
fn insert(history: &mut History, mut at: BTreeMap<usize, Vec<Happened>>) {
    let old = std::mem::take(&mut history.moments);
    let (mut time, end) = (0, old.len());
    let mut put = |place: usize, time: i64, moments: &mut Vec<Moment>| {
        for what in at.remove(&place).into_iter().flatten() {
            moments.push(Moment { at: time, what });
        }
    };
    for (place, moment) in old.into_iter().enumerate() {
        put(place, time, &mut history.moments);
        time = moment.at;
        history.moments.push(moment);
    }
    put(end, time, &mut history.moments);
}
