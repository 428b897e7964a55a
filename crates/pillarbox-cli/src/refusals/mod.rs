//! The last refused requests of this process, and the likely cause of each.
//!
//! A sender whose signature fails gets 401 and nothing more, so the cause has to be found on this
//! side. The log is bounded, in memory, and ends with the process. An entry has a reason, lengths
//! and the first digits of a hash: no body, no signature, no secret and no personal data.
//!
//! Anyone can cause an entry, so none may cost much. To add one takes a lock and some bytes of
//! memory. Causes are found on a thread of their own (`diagnosis`), which uses a small part of
//! one core at most, and from a copy of a short body that is dropped once they are found. While
//! its queue is full, entries are added without causes.

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

/// The entries that are kept.
pub const MAX_REFUSALS: usize = 200;

/// The longest signature header that is looked at.
const MAX_HEADER_BYTES: usize = 512;

/// The refused requests of one process.
pub struct RefusalLog {
    entries: Arc<RefusalEntries>,
    queue: Option<DiagnosisQueue>,
    clock: Arc<dyn Clock>,
}

/// A refused POST to a source, as `serve` saw it.
pub struct RefusedPost<'a> {
    /// Why it was refused.
    pub refusal: &'a Refusal,
    /// Its record.
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
    /// The likely causes, each a sentence, most likely first; none if there was no diagnosis.
    pub causes: Vec<String>,
    /// The state of the diagnosis.
    pub diagnosis: DiagnosisState,
}

/// How far the diagnosis of a refused request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisState {
    /// The reason says everything.
    NotNeeded,
    /// It waits, or is under way.
    Pending,
    /// It is complete.
    Done,
    /// There were too many at once.
    Skipped,
}

/// How many requests to a source were refused for a reason since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// The source.
    pub source: String,
    /// The reason in one word.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// Everything that the log has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalReport {
    /// When the process started to count.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
    /// All refusals since then, by source and reason.
    pub counts: Vec<RefusalCount>,
    /// The last ones, newest first.
    pub latest: Vec<RefusedRequest>,
}

impl RefusalLog {
    /// A log that looks for causes with `secrets`.
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

    /// Adds a refused request. Requests that name no source are not added: strangers scan for
    /// paths, and the log has room for [`MAX_REFUSALS`].
    pub fn note(&self, refused: &RefusedPost<'_>) {
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
        if let Some((Some(place), kind, header)) = wanted {
            place.send(UndiagnosedRequest {
                id,
                source: source.clone(),
                kind,
                header: header[..header.len().min(MAX_HEADER_BYTES)].to_vec(),
                // Copied, so that neither the connection's buffer nor its memory stays in use.
                body: refused.body.map(|body| body.to_vec()),
            });
        }
    }

    /// What the log has now.
    pub fn report(&self) -> RefusalReport {
        self.entries.report()
    }
}

/// The reasons whose cause is not the reason itself.
const NEED_DIAGNOSIS: [&str; 5] = [
    "wrong_length",
    "wrong_case",
    "malformed",
    "wrong",
    "no_secret",
];

/// Why a request was refused, in one word; of a signature's form, more than its sender learns.
fn reason(refused: &RefusedPost<'_>, kind: Option<SenderKind>) -> &'static str {
    match (refused.refusal, refused.signatures, kind) {
        (Refusal::Signature(SignatureError::Malformed), [header], Some(kind)) => form(kind, header),
        (Refusal::Signature(error), ..) => error.as_str(),
        (Refusal::NoSecret, [], _) => SignatureError::Missing.as_str(),
        (Refusal::Malformed(_), ..) => "broken_off",
        (refusal, ..) => refusal.code(),
    }
}

/// What is wrong with the form of a signature.
fn form(kind: SenderKind, header: &[u8]) -> &'static str {
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
    /// Sources are configured and reasons are ours, so there are few of them.
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

    /// Enters the causes of an entry, if it is still kept.
    fn enter_causes(&self, id: u64, causes: Vec<String>) {
        let mut state = self.lock();
        let place = id.checked_sub(state.first_id);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| state.kept.get_mut(place)) {
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
