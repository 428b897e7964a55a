//! A proxy in front of the emulator that forwards a request, or doesn't, and then loses, delays,
//! cuts or falsifies the answer: what a network and a service under stress do, one request at a
//! time. It can also note what each request costs.

use std::{
    convert::Infallible,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::request::Parts;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

use super::loopback;

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InjectedFault {
    /// Nothing.
    None,
    /// It is throttled, and not carried out.
    Throttled,
    /// The service fails before it carries it out.
    FailsBefore,
    /// The connection is closed before it is carried out.
    ClosedBefore,
    /// It is not forwarded and has no response.
    HangsBefore,
    /// It is carried out, and the connection is closed.
    ClosedAfter,
    /// It is carried out, and the service says that it failed.
    FailsAfter,
    /// It is carried out, and half of the answer comes.
    CutAfter,
    /// It is forwarded and its response is lost.
    HangsAfter,
    /// It is carried out, and the answer comes a second late.
    LateAfter,
    /// It is throttled by the table's capacity, and not carried out.
    ThroughputExceeded,
    /// The service is unavailable before it carries it out.
    UnavailableBefore,
    /// A gateway answers with a page, and it is not carried out.
    PageBefore,
    /// The credentials have expired, and it is not carried out.
    ExpiredBefore,
    /// The connection is reset before it is carried out.
    ResetBefore,
    /// It is forwarded a second late.
    LateBefore,
    /// It is carried out, and the connection is reset.
    ResetAfter,
    /// It is carried out, and the service says that it throttled it.
    ThrottledAfter,
    /// It is carried out, and the service says that it is unavailable.
    UnavailableAfter,
    /// It is carried out, and a gateway answers with a page.
    PageAfter,
    /// It is carried out, and the answer has no body.
    EmptyAfter,
    /// It is carried out, and a byte of the answer is another, so that it is no JSON.
    AlteredAfter,
    /// It is carried out, and the answer is JSON of another shape.
    OtherAfter,
    /// It is carried out, half of the answer comes, and the connection stays open.
    StalledAfter,
    /// It is carried out, and the answer comes byte by byte.
    TrickledAfter,
    /// It is carried out twice, as after a retry in the network, and the second answer comes.
    RepeatedAfter,
}

impl InjectedFault {
    /// One of each effect.
    pub const ALL: [Self; 9] = [
        Self::Throttled,
        Self::FailsBefore,
        Self::ClosedBefore,
        Self::HangsBefore,
        Self::ClosedAfter,
        Self::FailsAfter,
        Self::CutAfter,
        Self::HangsAfter,
        Self::LateAfter,
    ];

    /// Every one that is one.
    pub const EVERY: [Self; 25] = [
        Self::Throttled,
        Self::FailsBefore,
        Self::ClosedBefore,
        Self::HangsBefore,
        Self::ClosedAfter,
        Self::FailsAfter,
        Self::CutAfter,
        Self::HangsAfter,
        Self::LateAfter,
        Self::ThroughputExceeded,
        Self::UnavailableBefore,
        Self::PageBefore,
        Self::ExpiredBefore,
        Self::ResetBefore,
        Self::LateBefore,
        Self::ResetAfter,
        Self::ThrottledAfter,
        Self::UnavailableAfter,
        Self::PageAfter,
        Self::EmptyAfter,
        Self::AlteredAfter,
        Self::OtherAfter,
        Self::StalledAfter,
        Self::TrickledAfter,
        Self::RepeatedAfter,
    ];

    /// Whether what was asked for is done nevertheless.
    pub fn is_after(self) -> bool {
        !matches!(
            self,
            Self::None
                | Self::Throttled
                | Self::ThroughputExceeded
                | Self::FailsBefore
                | Self::UnavailableBefore
                | Self::PageBefore
                | Self::ExpiredBefore
                | Self::ClosedBefore
                | Self::ResetBefore
                | Self::HangsBefore
                | Self::LateBefore
        )
    }
}

/// A request, as far as a plan may want to know it.
pub struct ProxiedCall<'a> {
    /// What is asked for, such as `PutItem`.
    pub operation: &'a str,
    /// Which request this is, from 0.
    pub number: usize,
    /// Its bytes.
    pub body: &'a Bytes,
}

/// What a write consumed, in the units that DynamoDB charges for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedWrite {
    pub table: u32,
    pub index: u32,
}

/// Decides what befalls a request.
pub type Plan = dyn Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync;

/// Sees what a request did, before its answer goes back.
pub type Observer = dyn Fn(&ProxiedCall<'_>, u16, &Bytes) + Send + Sync;

/// A running proxy; it ends with its test.
pub struct FaultProxy {
    /// Where it listens.
    pub endpoint: String,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    /// `None` until they are asked for.
    writes: Arc<Mutex<Option<Vec<ConsumedWrite>>>>,
    accepting: JoinHandle<()>,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl FaultProxy {
    /// A proxy before `upstream` that does as `plan` says.
    pub async fn before(
        upstream: &str,
        plan: impl Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync + 'static,
    ) -> Self {
        Self::observed(upstream, plan, |_, _, _| {}).await
    }

    /// The same, with an observer of every request that was carried out: it gets the status and
    /// the body of the true answer.
    pub async fn observed(
        upstream: &str,
        plan: impl Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync + 'static,
        observer: impl Fn(&ProxiedCall<'_>, u16, &Bytes) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let writes = Arc::new(Mutex::new(None));
        let proxy = Arc::new(Proxy {
            upstream: upstream.to_owned(),
            plan: Box::new(plan),
            observer: Box::new(observer),
            requests: Arc::clone(&requests),
            writes: Arc::clone(&writes),
            client: loopback::client(),
        });
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let proxy = Arc::clone(&proxy);
                tokio::spawn(async move {
                    let (stream, handle) = with_handle(stream);
                    let answer = service_fn(move |request| {
                        Arc::clone(&proxy).answer(request, Arc::clone(&handle))
                    });
                    // An error is the fault that was asked for.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Self {
            endpoint,
            requests,
            connections,
            writes,
            accepting,
        }
    }

    /// What was written since the last call, refused writes aside; nothing at the first call, from
    /// which on writes are counted.
    pub fn take_writes(&self) -> Vec<ConsumedWrite> {
        let taken = self.writes.lock().unwrap().replace(Vec::new());
        taken.unwrap_or_default()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

struct Proxy {
    upstream: String,
    plan: Box<Plan>,
    observer: Box<Observer>,
    requests: Arc<AtomicUsize>,
    /// `None` until they are asked for.
    writes: Arc<Mutex<Option<Vec<ConsumedWrite>>>>,
    client: reqwest::Client,
}

type ProxyResponse = Response<BoxBody<Bytes, io::Error>>;

impl Proxy {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<OwnedFd>,
    ) -> Result<ProxyResponse, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| closed())?.to_bytes();
        let target = head
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let call = ProxiedCall {
            operation,
            number,
            body: &body,
        };
        let fault = (self.plan)(&call);
        if let Some(answer) = answer_before(fault, &connection).await {
            return answer;
        }
        // What is forwarded is carried out and seen, even if the process gives up or is killed.
        let (operation, body) = (operation.to_owned(), body.clone());
        let repeated = fault == InjectedFault::RepeatedAfter;
        let carried_out = tokio::spawn(async move {
            let call = ProxiedCall {
                operation: &operation,
                number,
                body: &body,
            };
            let reply = self.carry_out(&head, &call).await;
            if repeated {
                self.carry_out(&head, &call).await
            } else {
                reply
            }
        });
        let (status, reply) = carried_out.await.map_err(|_| closed())?;
        answer_after(fault, &connection, (status, reply)).await
    }

    /// Forwards a call, and has the observer see it.
    async fn carry_out(&self, head: &Parts, call: &ProxiedCall<'_>) -> (u16, Bytes) {
        let is_counted = self.writes.lock().unwrap().is_some()
            && matches!(call.operation, "PutItem" | "UpdateItem" | "DeleteItem");
        let body = if is_counted {
            asking_for_costs(call.body)
        } else {
            call.body.clone()
        };
        let (status, reply) = self.forward(head, body).await;
        if is_counted && let Some(writes) = self.writes.lock().unwrap().as_mut() {
            writes.extend(consumed(&reply));
        }
        (self.observer)(call, status, &reply);
        (status, reply)
    }

    async fn forward(&self, head: &Parts, body: Bytes) -> (u16, Bytes) {
        let mut forwarded = self.client.post(&self.upstream).body(body);
        for name in [
            "x-amz-target",
            "content-type",
            "authorization",
            "x-amz-date",
        ] {
            if let Some(value) = head.headers.get(name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let answer = forwarded.send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    }
}

fn asking_for_costs(body: &Bytes) -> Bytes {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    request["ReturnConsumedCapacity"] = "INDEXES".into();
    request.to_string().into()
}

fn consumed(answer: &Bytes) -> Option<ConsumedWrite> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let consumed = answer.get("ConsumedCapacity")?;
    // A write consumes whole units.
    let units = |of: &Value| of["CapacityUnits"].as_f64().unwrap_or_default() as u32;
    let indexes = consumed["GlobalSecondaryIndexes"].as_object();
    Some(ConsumedWrite {
        table: units(&consumed["Table"]),
        index: indexes.map_or(0, |all| all.values().map(units).sum()),
    })
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// A second handle of a connection, by which it can be reset.
fn with_handle(stream: TcpStream) -> (TcpStream, Arc<OwnedFd>) {
    let stream = stream.into_std().unwrap();
    let handle = Arc::new(OwnedFd::from(stream.try_clone().unwrap()));
    (TcpStream::from_std(stream).unwrap(), handle)
}

/// Has the connection end with a reset instead of an orderly close.
fn reset(connection: &OwnedFd) -> io::Error {
    set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
    closed()
}

/// An error of the service, as DynamoDB words it.
fn refused(status: u16, error: &str) -> ProxyResponse {
    let text =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{error}","message":"injected"}}"#);
    whole(status, text.into())
}

fn page() -> ProxyResponse {
    let page = Bytes::from_static(b"<html><body>502 Bad Gateway</body></html>");
    let body = Full::new(page).map_err(|never| match never {}).boxed();
    let answer = Response::builder()
        .status(502)
        .header("content-type", "text/html");
    answer.body(body).unwrap()
}

/// What a fault answers without forwarding the request; `None` if it is forwarded.
async fn answer_before(
    fault: InjectedFault,
    connection: &OwnedFd,
) -> Option<Result<ProxyResponse, io::Error>> {
    Some(match fault {
        InjectedFault::Throttled => Ok(refused(400, "ThrottlingException")),
        InjectedFault::ThroughputExceeded => {
            Ok(refused(400, "ProvisionedThroughputExceededException"))
        }
        InjectedFault::FailsBefore => Ok(whole(500, Bytes::from_static(b"{}"))),
        InjectedFault::UnavailableBefore => Ok(whole(503, Bytes::from_static(b"{}"))),
        InjectedFault::PageBefore => Ok(page()),
        InjectedFault::ExpiredBefore => Ok(refused(400, "ExpiredTokenException")),
        InjectedFault::ClosedBefore => Err(closed()),
        InjectedFault::ResetBefore => Err(reset(connection)),
        InjectedFault::HangsBefore => {
            sleep(LONG).await;
            Err(closed())
        }
        InjectedFault::LateBefore => {
            sleep(Duration::from_secs(1)).await;
            return None;
        }
        _ => return None,
    })
}

/// What a fault makes of the true answer.
async fn answer_after(
    fault: InjectedFault,
    connection: &OwnedFd,
    (status, body): (u16, Bytes),
) -> Result<ProxyResponse, io::Error> {
    match fault {
        InjectedFault::ClosedAfter => Err(closed()),
        InjectedFault::ResetAfter => Err(reset(connection)),
        InjectedFault::FailsAfter => Ok(whole(500, Bytes::from_static(b"{}"))),
        InjectedFault::UnavailableAfter => Ok(whole(503, Bytes::from_static(b"{}"))),
        InjectedFault::ThrottledAfter => Ok(refused(400, "ThrottlingException")),
        InjectedFault::PageAfter => Ok(page()),
        InjectedFault::CutAfter => Ok(cut(status, body, Duration::ZERO)),
        InjectedFault::StalledAfter => Ok(cut(status, body, LONG)),
        InjectedFault::EmptyAfter => Ok(whole(status, Bytes::new())),
        InjectedFault::OtherAfter => Ok(whole(status, Bytes::from_static(b"[]"))),
        InjectedFault::AlteredAfter => {
            let mut altered = body.to_vec();
            altered[0] = 0xff;
            Ok(whole(status, altered.into()))
        }
        InjectedFault::TrickledAfter => Ok(trickled(status, &body)),
        InjectedFault::HangsAfter => {
            sleep(LONG).await;
            Err(closed())
        }
        InjectedFault::LateAfter => {
            sleep(Duration::from_secs(1)).await;
            Ok(whole(status, body))
        }
        _ => Ok(whole(status, body)),
    }
}

/// Longer than any time limit.
const LONG: Duration = Duration::from_secs(30);

fn whole(status: u16, body: Bytes) -> ProxyResponse {
    let body = Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed();
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "through-the-proxy");
    answer.body(body).unwrap()
}

/// An answer that promises all and brings half, and ends after `pause`.
fn cut(status: u16, body: Bytes, pause: Duration) -> ProxyResponse {
    let promised = body.len().max(2);
    let half = Ok(Frame::data(body.slice(..body.len() / 2)));
    let end = async move {
        sleep(pause).await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let parts = stream::once(async { half }).chain(stream::once(end));
    streamed(status, promised, parts)
}

/// An answer that comes byte by byte, in half a second.
fn trickled(status: u16, body: &Bytes) -> ProxyResponse {
    let pause = Duration::from_millis(500) / u32::try_from(body.len().max(1)).unwrap();
    let pieces: Vec<Bytes> = (0..body.len()).map(|at| body.slice(at..=at)).collect();
    let parts = stream::iter(pieces).then(move |piece| async move {
        sleep(pause).await;
        Ok(Frame::data(piece))
    });
    streamed(status, body.len(), parts)
}

fn streamed(
    status: u16,
    length: usize,
    parts: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync + 'static,
) -> ProxyResponse {
    let answer = Response::builder()
        .status(status)
        .header("x-amzn-requestid", "through-the-proxy")
        .header("content-length", length);
    answer.body(BodyExt::boxed(StreamBody::new(parts))).unwrap()
}
