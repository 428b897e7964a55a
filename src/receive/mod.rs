//! Receives requests: route -> keys -> verify -> read -> record -> answer.
//!
//! `serve` and every front of Lambda share this code; they only adapt their request to
//! [`HttpRequest`] and write the [`HttpAnswer`]. The path decides before a byte of the body is
//! read; nothing is parsed before it is verified; nothing is acknowledged before it is stored.

mod answer;
mod authenticate;
mod clock_check;
mod readiness;
mod request;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::{
    domain::{Clock, HeldReason, Key},
    inbox::{InboxError, ReceiveInbox, RecordOutcome},
    secrets::{KeySnapshot, Keyring, log_unusable_secrets},
    senders::{Acceptance, Entry, read},
    telemetry::RequestRecord,
};

pub use answer::{HttpAnswer, Refusal, answer};
use authenticate::{CallbackRequest, authenticate};
use clock_check::ClockCheck;
pub use readiness::Readiness;
use readiness::ReadinessCheck;
pub use request::{HttpRequest, MAX_BODY_BYTES, RECORD_TIMEOUT};
pub use route::{Route, route};

/// The bytes of a refused body's SHA-256 that are logged.
const DIGEST_PREFIX_BYTES: usize = 4;

/// Receives requests.
pub struct Receiver<I> {
    /// The senders' keys.
    pub keyring: Arc<Keyring>,
    /// Where notifications are stored.
    pub inbox: Arc<I>,
    /// The maximum age of a notification that is delivered automatically.
    pub acceptance: Acceptance,
    /// The clock that dates notifications.
    pub clock: Arc<dyn Clock>,
    clock_check: ClockCheck,
    readiness: Arc<ReadinessCheck>,
}

impl<I> Receiver<I> {
    /// A receiver that stores in `inbox` the notifications that were signed with a key of
    /// `keyring`.
    pub fn new(
        keyring: Arc<Keyring>,
        inbox: Arc<I>,
        acceptance: Acceptance,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            keyring,
            inbox,
            acceptance,
            clock,
            clock_check: ClockCheck::default(),
            readiness: Arc::default(),
        }
    }
}

/// The outcome of a request that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// HMRC gets its challenge back.
    Challenge(String),
    /// A monitor gets the state of the process.
    Probe(Readiness),
    /// The notification is stored.
    Stored(Receipt),
}

/// What was stored, for the answer and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The key it is stored under.
    pub key: Key,
    /// The result of recording.
    pub stored: ReceiptStatus,
    /// Which secret matched, by label.
    pub key_label: String,
}

/// The result of recording, as in the answer to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptStatus {
    /// Stored now, and to be delivered.
    Recorded,
    /// Stored before.
    Duplicate,
    /// Stored now, and held: the reason in one word.
    Held(&'static str),
}

impl ReceiptStatus {
    /// The status in one word, for the sender and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Held(_) => "held",
        }
    }

    /// Why the notification is held, in one word; `None` if it is not.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Held(reason) => Some(reason),
            Self::Recorded | Self::Duplicate => None,
        }
    }
}

impl<I: ReceiveInbox> Receiver<I> {
    /// Receives one request, and fills its record. The order of these steps guarantees that an
    /// answered notification is stored.
    ///
    /// # Errors
    /// A [`Refusal`] carries the status and the code that the sender gets, and nothing more.
    pub async fn handle(
        &self,
        request: &mut impl HttpRequest,
        record: &mut RequestRecord,
    ) -> Result<RequestOutcome, Refusal> {
        let keys = self.keyring.keys();
        // 1. Which sender.
        let source = match find_route(&keys, request, record)? {
            Route::Challenge(value) => return Ok(RequestOutcome::Challenge(value)),
            Route::Health => return Ok(RequestOutcome::Probe(Readiness::Ready)),
            Route::Readiness => return Ok(RequestOutcome::Probe(self.readiness(request).await)),
            Route::Callback(source) => source,
        };
        // 2. The exact bytes, within limits.
        let body = read_body(request, record).await?;
        let received_at = self.clock.now();
        let deadline = Instant::now() + request.time_left(received_at);
        // 3. The source's secrets prove them.
        let signatures = request.header_values(source.kind.signature.header);
        let callback = CallbackRequest::new(source, &signatures, &body, received_at);
        let verified = authenticate(&self.keyring, &callback, deadline).await;
        log_unusable_secrets(&self.keyring.take_fetch_errors());
        let verified = verified.inspect_err(|refusal| note_digest(refusal, &body, record))?;
        // 4. Reading cannot fail.
        let entry = read(&source.name, verified, received_at, self.acceptance);
        // 5. Durable from here on.
        let recorded = self.store(&entry, deadline, record).await?;
        self.clock_check.note(&source.name, &entry);
        // 6. The sender gets its answer.
        Ok(RequestOutcome::Stored(Receipt::new(entry, recorded)))
    }

    async fn readiness(&self, request: &impl HttpRequest) -> Readiness {
        let time_left = request.time_left(self.clock.now());
        let Self {
            keyring,
            inbox,
            clock,
            ..
        } = self;
        self.readiness.state(keyring, inbox, clock, time_left).await
    }

    async fn store(
        &self,
        entry: &Entry,
        deadline: Instant,
        record: &mut RequestRecord,
    ) -> Result<RecordOutcome, Refusal> {
        let began = Instant::now();
        let recorded = timeout_at(deadline, self.inbox.record(entry)).await;
        record.store = Some(began.elapsed());
        recorded
            .map_err(|_| InboxError::Unavailable("no answer in time for the sender".to_owned()))
            .flatten()
            .map_err(Refusal::Inbox)
    }
}

fn find_route<'a>(
    keys: &'a KeySnapshot,
    request: &impl HttpRequest,
    record: &mut RequestRecord,
) -> Result<Route<'a>, Refusal> {
    let query = request.query();
    let route = route(keys.sources(), request.method(), request.path(), &query)?;
    if let Route::Callback(source) = &route {
        record.source = Some(source.name.clone());
        record.kind = Some(source.kind.as_str());
    }
    Ok(route)
}

async fn read_body(
    request: &mut impl HttpRequest,
    record: &mut RequestRecord,
) -> Result<Bytes, Refusal> {
    let body = request.body().await?;
    record.body_bytes = Some(body.len());
    if body.len() > MAX_BODY_BYTES {
        return Err(Refusal::TooLarge);
    }
    Ok(body)
}

/// Identifies a body that was refused for its signature, without showing it.
fn note_digest(refusal: &Refusal, body: &Bytes, record: &mut RequestRecord) {
    if let Refusal::Signature(_) = refusal {
        record.digest_prefix = Some(hex::encode(&Sha256::digest(body)[..DIGEST_PREFIX_BYTES]));
    }
}

impl Receipt {
    fn new(entry: Entry, recorded: RecordOutcome) -> Self {
        let (key, stored) = match recorded {
            RecordOutcome::First => {
                let held = |reason: HeldReason| ReceiptStatus::Held(reason.as_str());
                let stored = entry.held.map_or(ReceiptStatus::Recorded, held);
                (entry.key, stored)
            }
            RecordOutcome::Duplicate => (entry.key, ReceiptStatus::Duplicate),
            RecordOutcome::Conflict(key) => {
                (key, ReceiptStatus::Held(HeldReason::Conflict.as_str()))
            }
        };
        Self {
            key,
            stored,
            key_label: entry.key_label.unwrap_or_default(),
        }
    }
}
