//! The last refused requests of this process, and the likely cause of each.
//!
//! The response to a failed signature is 401 without a reason, so the sender cannot see the cause,
//! and the operator must find it here. The log is bounded, in memory, and ends with the process. An
//! entry has a reason, lengths and the first digits of a hash: no body, no signature, no secret and
//! no personal data.
//!
//! Anyone can cause an entry, so an entry must be cheap. Adding one takes a lock and some bytes of
//! memory. A separate thread (`diagnosis`), which uses at most a small part of one core, finds the
//! causes. It works on a copy of a short body, and drops the copy afterwards. While its queue is
//! full, entries are added without causes.

mod candidates;
mod diagnosis;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;

use pillarbox::{
    domain::{Clock, Timestamp},
    receive::Refusal,
    senders::{SenderKind, SignatureError},
    telemetry::RequestRecord,
};

pub use candidates::CandidateSecrets;
use diagnosis::{DiagnosisQueue, UndiagnosedRequest};

/// The number of entries that are kept.
pub const MAX_REFUSALS: usize = 200;

/// The length to which a signature header is cut for a diagnosis.
const MAX_HEADER_BYTES: usize = 512;

/// The refused requests of one process.
pub struct RefusalLog {
    entries: Arc<RefusalEntries>,
    queue: Option<DiagnosisQueue>,
    clock: Arc<dyn Clock>,
}

/// A refused POST to a source.
pub struct RefusedPost<'a> {
    /// Why it was refused.
    pub refusal: &'a Refusal,
    /// The record of the request.
    pub record: &'a RequestRecord,
    /// Every value of the source's signature header.
    pub signatures: &'a [&'a [u8]],
    /// The body, if it was read to its end and is short enough for a diagnosis.
    pub body: Option<&'a Bytes>,
}

/// One refused request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRequest {
    /// When it was refused, by this machine's clock.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The source it was posted to.
    pub source: String,
    /// Why, in one word.
    pub reason: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// The length of the body, if it was read.
    pub body_bytes: Option<usize>,
    /// The first 8 hex digits of the body's SHA-256, as in the log.
    pub digest_prefix: Option<String>,
    /// The likely causes, one sentence each, most likely first; empty without a diagnosis.
    pub causes: Vec<String>,
    /// The state of the diagnosis.
    pub diagnosis: DiagnosisState,
}

/// The state of the diagnosis of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisState {
    /// The reason is the cause.
    NotNeeded,
    /// It is queued or in progress.
    Pending,
    /// It is complete.
    Done,
    /// The queue was full.
    Skipped,
}

/// The number of requests to a source that were refused for one reason since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// The source they were posted to.
    pub source: String,
    /// In one word.
    pub reason: &'static str,
    /// The number of requests.
    pub count: u64,
}

/// The content of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalReport {
    /// When counting started.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
    /// All refusals since then, by source and reason.
    pub counts: Vec<RefusalCount>,
    /// The last ones, newest first.
    pub latest: Vec<RefusedRequest>,
}

impl RefusalLog {
    /// An empty log, which finds causes with `secrets`.
    pub fn new(secrets: CandidateSecrets, clock: Arc<dyn Clock>) -> Arc<Self> {
        let entries = RefusalEntries::new(clock.now());
        let queue = diagnosis::start(secrets, Arc::clone(&entries), Arc::clone(&clock));
        Arc::new(Self {
            entries,
            queue,
            clock,
        })
    }

    /// Whether a body of `length` bytes is short enough for a diagnosis.
    pub fn takes_body(&self, length: usize) -> bool {
        self.queue.is_some() && length <= diagnosis::MAX_BODY_BYTES
    }

    /// Adds a refused request. A request without a source is ignored: scans of random paths would
    /// fill the log.
    pub fn record(&self, refused: &RefusedPost<'_>) {
        let Some(source) = &refused.record.source else {
            return;
        };
        let kind = refused.record.kind.and_then(SenderKind::parse);
        let reason = reason(refused, kind);
        let wanted = match (&self.queue, kind, refused.signatures) {
            (Some(queue), Some(kind), [header]) if NEED_DIAGNOSIS.contains(&reason) => {
                Some((queue.reserve(), kind, header))
            }
            _ => None,
        };
        let diagnosis = match &wanted {
            None => DiagnosisState::NotNeeded,
            Some((None, ..)) => DiagnosisState::Skipped,
            Some((Some(_), ..)) => DiagnosisState::Pending,
        };
        let id = self.entries.add(RefusedRequest {
            at: self.clock.now(),
            source: source.as_str().to_owned(),
            reason,
            status: refused.refusal.status(),
            body_bytes: refused.record.body_bytes,
            digest_prefix: refused.record.digest_prefix.clone(),
            causes: Vec::new(),
            diagnosis,
        });
        if let Some((Some(permit), kind, header)) = wanted {
            permit.send(UndiagnosedRequest {
                id,
                source: source.clone(),
                kind,
                header: header[..header.len().min(MAX_HEADER_BYTES)].to_vec(),
                // Copied, so that neither the connection's buffer nor its memory stays in use.
                body: refused.body.map(|body| body.to_vec()),
            });
        }
    }

    /// A snapshot of the log.
    pub fn report(&self) -> RefusalReport {
        self.entries.report()
    }
}

/// The reasons that do not explain their cause.
const NEED_DIAGNOSIS: [&str; 5] = [
    "wrong_length",
    "wrong_case",
    "malformed",
    "wrong",
    "no_secret",
];

/// Why a request was refused, in one word. For the form of a signature, it is more exact than the
/// response.
fn reason(refused: &RefusedPost<'_>, kind: Option<SenderKind>) -> &'static str {
    match (refused.refusal, refused.signatures, kind) {
        (Refusal::Signature(SignatureError::Malformed), [header], Some(kind)) => {
            form_error(kind, header)
        }
        (Refusal::Signature(error), ..) => error.as_str(),
        (Refusal::NoSecret, [], _) => SignatureError::Missing.as_str(),
        (Refusal::Malformed(_), ..) => "broken_off",
        (refusal, ..) => refusal.code(),
    }
}

/// The error in the form of a signature.
fn form_error(kind: SenderKind, header: &[u8]) -> &'static str {
    let text = std::str::from_utf8(header).ok();
    let Some(value) = text.and_then(kind.signature.parse) else {
        return "malformed";
    };
    let is_hex = value.digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    match value.digits.len() == kind.signature.algorithm.digits() {
        true if is_hex => "wrong_case",
        false if is_hex && !value.digits.is_empty() => "wrong_length",
        _ => "malformed",
    }
}

/// The entries and counts, shared with the thread that finds causes.
struct RefusalEntries {
    since: Timestamp,
    state: Mutex<RefusalState>,
}

#[derive(Default)]
struct RefusalState {
    /// The id of the oldest entry that is kept.
    first_id: u64,
    kept: VecDeque<RefusedRequest>,
    /// Bounded, because sources are configured and reasons are constants.
    counts: BTreeMap<(String, &'static str), u64>,
}

impl RefusalEntries {
    fn new(since: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            since,
            state: Mutex::default(),
        })
    }

    /// Adds an entry, and returns its id.
    fn add(&self, entry: RefusedRequest) -> u64 {
        let mut state = self.lock();
        let counted = (entry.source.clone(), entry.reason);
        *state.counts.entry(counted).or_default() += 1;
        if state.kept.len() == MAX_REFUSALS {
            state.kept.pop_front();
            state.first_id += 1;
        }
        state.kept.push_back(entry);
        state.first_id + state.kept.len() as u64 - 1
    }

    /// Sets the causes of an entry, if it is still kept.
    fn set_causes(&self, id: u64, causes: Vec<String>) {
        let mut state = self.lock();
        let index = id.checked_sub(state.first_id);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| state.kept.get_mut(index)) {
            entry.causes = causes;
            entry.diagnosis = DiagnosisState::Done;
        }
    }

    fn report(&self) -> RefusalReport {
        let state = self.lock();
        let counts = state.counts.iter();
        let counts = counts.map(|((source, reason), count)| RefusalCount {
            source: source.clone(),
            reason,
            count: *count,
        });
        RefusalReport {
            since: self.since,
            counts: counts.collect(),
            latest: state.kept.iter().rev().cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RefusalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
