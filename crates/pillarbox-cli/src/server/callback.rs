//! One HTTP request -> the receiving stage -> one HTTP answer and one log line.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::Instant,
};

use super::wire::{BodyFraming, ConnectionWatch};
use pillarbox::{
    app::App,
    domain::{Clock, Key},
    inbox::Inbox,
    keyring::{log_unusable_secrets, take_in},
    receive::{
        self, Callback, HttpAnswer, LONGEST_BODY, PATIENCE, Receipt, ReceiptStatus, Refusal, Route,
    },
    senders::Source,
};

/// How long a body may take. A sender that is slower than this has given up long before.
const BODY: Duration = Duration::from_secs(10);
/// How much of a body that is too long is read and thrown away, so that its sender hears the answer.
const LONGEST_DRAIN: usize = 8 * 1024 * 1024;
const DRAIN: Duration = Duration::from_secs(2);

/// Bodies longer than this are long: there is room for few of them at once, so that strangers can't
/// fill the memory. A notification of Pay's is some kilobytes long, and most of HMRC's are.
const LONG: usize = 64 * 1024;
/// How many long bodies there is room for.
pub(super) const LONG_AT_ONCE: usize = 32;

/// What answers requests, shared by all connections.
pub(super) struct CallbackReceiver<I, W> {
    pub(super) app: App<I>,
    pub(super) world: Arc<W>,
    /// Where the processor hears of new rows. It finds those it misses by itself.
    pub(super) wake: mpsc::Sender<Key>,
    /// The room for long bodies; they wait for it, as long as a body may take.
    pub(super) room: Semaphore,
}

/// What is said about a request, gathered on its way.
#[derive(Default)]
struct RequestFacts {
    source: Option<String>,
    path: Option<String>,
    body_bytes: u64,
    body_hash: Option<String>,
    storing: Duration,
}

/// A request taken in, a challenge answered, or neither.
enum CallbackOutcome {
    Challenge(String),
    Stored(Receipt),
}

impl<I: Inbox, W: Clock> CallbackReceiver<I, W> {
    /// Answers one request. Never fails: a failure is an answer, too.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        watch: &ConnectionWatch,
    ) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let framing = watch.begin(request.headers().len());
        let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut facts = RequestFacts::default();
        let done = match framing {
            Some(BodyFraming::Ambiguous) => {
                Err(Refusal::Malformed("the end of the body is said twice"))
            }
            None if chunked => Err(Refusal::Malformed("a chunked body behind another request")),
            _ => self.work(request, &mut facts).await,
        };
        let answer = match &done {
            Ok(CallbackOutcome::Challenge(value)) => HttpAnswer::challenge(value),
            Ok(CallbackOutcome::Stored(receipt)) => HttpAnswer::from(receipt),
            Err(refusal) => HttpAnswer::from(refusal),
        };
        say(&done, &answer, &facts, began.elapsed());
        watch.end();
        // What was refused before its end was read can't share its connection with a next request.
        let unread = matches!(
            done,
            Err(Refusal::Malformed(_) | Refusal::TooLarge | Refusal::Slow)
        );
        respond(answer, unread)
    }

    async fn work(
        &self,
        request: Request<Incoming>,
        facts: &mut RequestFacts,
    ) -> Result<CallbackOutcome, Refusal> {
        let (parts, body) = request.into_parts();
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let keys = self.app.keyring.keys();
        match receive::route(keys.sources(), parts.method.as_str(), path, query) {
            Ok(Route::Callback(source)) => {
                facts.source = Some(source.name.to_string());
                self.callback(source, &parts.headers, body, facts)
                    .await
                    .map(CallbackOutcome::Stored)
            }
            Ok(Route::Challenge(value)) => {
                facts.path = Some(path.to_owned());
                drain(body).await;
                Ok(CallbackOutcome::Challenge(value))
            }
            Err(refusal) => {
                facts.path = Some(path.chars().take(64).collect());
                drain(body).await;
                Err(refusal)
            }
        }
    }

    async fn callback(
        &self,
        source: &Source,
        headers: &HeaderMap,
        body: Incoming,
        facts: &mut RequestFacts,
    ) -> Result<Receipt, Refusal> {
        let (body, _room) = self.read(body).await?;
        let received_at = self.world.now();
        facts.body_bytes = body.len() as u64;
        let signatures = headers.get_all(source.kind.signature_header());
        let signatures: Vec<&[u8]> = signatures.iter().map(HeaderValue::as_bytes).collect();
        let (storing, copy) = (Instant::now(), body.clone());
        let callback = Callback {
            source,
            signatures: &signatures,
            body,
            received_at,
        };
        let received = take_in(
            &*self.app.inbox,
            &self.app.keyring,
            callback,
            self.app.window,
            PATIENCE,
        )
        .await;
        facts.storing = storing.elapsed();
        log_unusable_secrets(&self.app.keyring.take_unusable());
        match &received {
            Ok(receipt) if receipt.stored == ReceiptStatus::Recorded => {
                let _ = self.wake.try_send(receipt.key.clone()); // if it is full, the sweep finds the row
            }
            Err(Refusal::Signature(_)) => {
                facts.body_hash = Some(hex::encode(&Sha256::digest(&copy)[..4]))
            }
            _ => {}
        }
        received
    }

    /// Reads a body to its end, at most so long and so slow. A long one has its place until the
    /// permit is dropped.
    async fn read(&self, body: Incoming) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refusal> {
        if body.size_hint().lower() > LONGEST_BODY as u64 {
            drain(body).await;
            return Err(Refusal::TooLarge);
        }
        tokio::time::timeout(BODY, self.gather(body))
            .await
            .map_err(|_| Refusal::Slow)?
    }

    async fn gather(
        &self,
        mut body: Incoming,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refusal> {
        let (mut all, mut place) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::Malformed("the body broke off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if all.is_empty() && body.is_end_stream() && data.len() <= LONG {
                return Ok((data, None)); // nearly every body, and not copied
            }
            if all.len() + data.len() > LONGEST_BODY {
                drain(body).await;
                return Err(Refusal::TooLarge);
            }
            if place.is_none() && all.len() + data.len() > LONG {
                place = self.room.acquire().await.ok();
            }
            all.extend_from_slice(&data);
        }
        Ok((all.freeze(), place))
    }
}

/// Reads on and throws away, within bounds: a connection closed while its sender still writes would
/// lose the answer.
async fn drain(mut body: Incoming) {
    let throw_away = async {
        let mut thrown = 0;
        while let Some(Ok(frame)) = body.frame().await {
            thrown += frame.data_ref().map_or(0, Bytes::len);
            if thrown > LONGEST_DRAIN {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN, throw_away).await;
}

fn respond(answer: HttpAnswer, close: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The canonical line of one request: what became of it, never what was in it.
fn say(
    done: &Result<CallbackOutcome, Refusal>,
    answer: &HttpAnswer,
    facts: &RequestFacts,
    took: Duration,
) {
    let (source, path) = (facts.source.as_deref(), facts.path.as_deref());
    let (status, bytes) = (u64::from(answer.status), facts.body_bytes);
    let (took_us, storing_us) = (micros(took), micros(facts.storing));
    match done {
        Ok(CallbackOutcome::Challenge(_)) => {
            tracing::info!(status, path, took_us, "challenge answered")
        }
        Ok(CallbackOutcome::Stored(receipt)) => {
            let (key, key_label) = (receipt.key.as_str(), receipt.key_label.as_str());
            match receipt.stored {
                ReceiptStatus::Recorded => {
                    tracing::info!(
                        key, key_label, status, bytes, storing_us, took_us, source, "recorded"
                    );
                }
                ReceiptStatus::Duplicate => {
                    tracing::info!(
                        key,
                        key_label,
                        status,
                        bytes,
                        storing_us,
                        took_us,
                        source,
                        "duplicate"
                    );
                }
                ReceiptStatus::Held(reason) => {
                    tracing::warn!(
                        key, reason, key_label, status, bytes, storing_us, took_us, source, "held"
                    );
                }
            }
        }
        Err(refusal) => {
            let (code, why) = (refusal.code(), refusal.to_string());
            let (why, body_sha256) = (why.as_str(), facts.body_hash.as_deref());
            if answer.status >= 500 {
                tracing::error!(
                    code, why, status, bytes, source, storing_us, took_us, "refused"
                );
            } else {
                tracing::warn!(
                    code,
                    why,
                    status,
                    bytes,
                    source,
                    path,
                    body_sha256,
                    took_us,
                    "refused"
                );
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
