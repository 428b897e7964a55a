//! Adapts HTTP/1.1 to the receiver: reads a request's body within limits, and turns the answer into
//! a response.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use tokio::time::Instant;

use super::{
    NewRowHints,
    body_memory::{BodyBuffer, BodyMemory},
};
use crate::{
    listener::{BodyFraming, ConnectionWatch, HttpService, Incoming},
    metrics::ServeMetrics,
    refusals::{RefusalLog, RefusedPost},
};
use pillarbox::{
    inbox::ReceiveInbox,
    receive::{
        HttpAnswer, HttpRequest, MAX_BODY_BYTES, ReceiptStatus, Receiver, Refusal, RequestOutcome,
        answer,
    },
    senders::SenderKind,
    telemetry::RequestRecord,
};

/// How long a body may take. Senders give up long before.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an unread body that are read and discarded, so that its sender gets the
/// answer.
const MAX_DRAIN_BYTES: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The most characters of an unknown path that are logged.
const LOGGED_PATH_CHARS: usize = 64;

/// Answers the requests of all connections.
pub(super) struct RequestHandler<I> {
    receiver: Receiver<I>,
    hints: NewRowHints,
    bodies: Arc<BodyMemory>,
    metrics: Arc<ServeMetrics>,
    refusals: Arc<RefusalLog>,
}

impl<I: ReceiveInbox> HttpService for RequestHandler<I> {
    type Answer = Full<Bytes>;

    /// Answers one request. A refusal is an answer too, so this cannot fail.
    async fn answer(
        &self,
        request: Request<Incoming>,
        watch: &ConnectionWatch,
    ) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let framing = watch.begin(request.headers().len());
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        let mut record = RequestRecord::default();
        let result = match framing {
            Some(BodyFraming::Ambiguous) => {
                Err(Refusal::Malformed("the end of the body is declared twice"))
            }
            None if is_chunked => Err(Refusal::Malformed("a chunked body behind another request")),
            _ => self.receive(request, watch, &mut record).await,
        };
        let answer = answer(&result, &mut record);
        record.took = Some(began.elapsed());
        record.log();
        self.metrics.count_request(&record);
        watch.end(matches!(result, Ok(RequestOutcome::Stored(_))));
        respond(
            answer,
            result.is_err_and(|refusal| refusal.leaves_body_unread()),
        )
    }

    fn refuse(&self, refusal: Refusal) -> HttpAnswer {
        let mut record = RequestRecord::default();
        let answer = answer(&Err(refusal), &mut record);
        record.log();
        answer
    }
}

impl<I: ReceiveInbox> RequestHandler<I> {
    pub(super) fn new(
        receiver: Receiver<I>,
        hints: NewRowHints,
        (metrics, refusals): (Arc<ServeMetrics>, Arc<RefusalLog>),
    ) -> Self {
        Self {
            receiver,
            hints,
            bodies: BodyMemory::new(),
            metrics,
            refusals,
        }
    }

    async fn receive(
        &self,
        request: Request<Incoming>,
        watch: &ConnectionWatch,
        record: &mut RequestRecord,
    ) -> Result<RequestOutcome, Refusal> {
        let (head, body) = request.into_parts();
        let mut request = ServeRequest {
            head,
            body: Some(body),
            memory: &self.bodies,
            buffer: None,
            received: None,
            refusals: &self.refusals,
            watch,
        };
        let result = self.receiver.handle(&mut request, record).await;
        if let Err(refusal) = &result {
            request.record_refusal(refusal, record);
        }
        if record.source.is_none() {
            record.path = Some(request.path().chars().take(LOGGED_PATH_CHARS).collect());
        }
        if let Some(unread) = request.body {
            drain(unread).await;
        }
        if let Ok(RequestOutcome::Stored(receipt)) = &result
            && receipt.stored == ReceiptStatus::Recorded
        {
            self.hints.add(&receipt.key);
        }
        result
    }
}

/// A request whose body is read only when the receiver needs it.
struct ServeRequest<'a> {
    head: request::Parts,
    body: Option<Incoming>,
    memory: &'a Arc<BodyMemory>,
    /// The memory of the body, held until the request is answered.
    buffer: Option<BodyBuffer>,
    /// The body, if it is short enough for a diagnosis.
    received: Option<Bytes>,
    refusals: &'a RefusalLog,
    watch: &'a ConnectionWatch,
}

impl HttpRequest for ServeRequest<'_> {
    fn method(&self) -> &str {
        self.head.method.as_str()
    }

    fn path(&self) -> &str {
        self.head.uri.path()
    }

    fn query(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.head.uri.query().unwrap_or_default())
    }

    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let values = self.head.headers.get_all(name);
        values.iter().map(HeaderValue::as_bytes).collect()
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        let Some(body) = self.body.take() else {
            return Ok(Bytes::new());
        };
        if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
            drain(body).await;
            return Err(Refusal::TooLarge);
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, self.read(body)).await;
        let body = body.map_err(|_| Refusal::Slow)??;
        self.watch.received();
        let is_short = self.refusals.takes_body(body.len());
        self.received = is_short.then(|| body.clone());
        Ok(body)
    }
}

impl ServeRequest<'_> {
    /// Adds the request to the log of refused ones.
    fn record_refusal(&self, refusal: &Refusal, record: &RequestRecord) {
        let kind = record.kind.and_then(SenderKind::parse);
        let signatures = kind.map(|kind| self.header_values(kind.signature.header));
        self.refusals.record(&RefusedPost {
            refusal,
            record,
            signatures: &signatures.unwrap_or_default(),
            body: self.received.as_ref(),
        });
    }

    async fn read(&mut self, mut body: Incoming) -> Result<Bytes, Refusal> {
        let declared = body.size_hint().exact();
        let declared = declared.and_then(|length| usize::try_from(length).ok());
        let broken = |_| Refusal::Malformed("the body broke off");
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            if body.is_end_stream() {
                return Ok(data); // nearly every body; nothing is copied
            }
            return self.read_rest(data, body, declared).await;
        }
        Ok(Bytes::new())
    }

    /// Reads a body of several frames, after its first.
    async fn read_rest(
        &mut self,
        first: Bytes,
        mut body: Incoming,
        declared: Option<usize>,
    ) -> Result<Bytes, Refusal> {
        let buffer = self.buffer.insert(self.memory.buffer());
        buffer.extend(&first, declared).await?;
        drop(first);
        loop {
            let frame = tokio::select! {
                () = buffer.evicted() => return Err(Refusal::Slow),
                frame = body.frame() => frame,
            };
            let Some(frame) = frame else {
                return Ok(buffer.complete());
            };
            let frame = frame.map_err(|_| Refusal::Malformed("the body broke off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if buffer.len() + data.len() > MAX_BODY_BYTES {
                self.buffer = None;
                drain(body).await;
                return Err(Refusal::TooLarge);
            }
            buffer.extend(&data, declared).await?;
        }
    }
}

/// Reads the rest of a body within limits, and discards it: closing a connection while its sender
/// still writes would lose the answer.
async fn drain(mut body: Incoming) {
    let discard = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MAX_DRAIN_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, discard).await;
}

fn respond(answer: HttpAnswer, close: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
    let mut headers = vec![
        (header::CONTENT_TYPE, answer.content_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    headers.extend(answer.allow.map(|allow| (header::ALLOW, allow)));
    headers.extend(close.then_some((header::CONNECTION, "close")));
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
