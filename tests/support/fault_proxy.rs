//! A proxy in front of the emulator that forwards a request, or doesn't, and then loses, delays,
//! cuts or falsifies the answer: what a network and a service under stress do, one request at a
//! time. It can also note what each request costs.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

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
}

impl InjectedFault {
    /// Every one that is one.
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

    /// Whether what was asked for is done nevertheless.
    pub fn is_after(self) -> bool {
        matches!(
            self,
            Self::ClosedAfter
                | Self::FailsAfter
                | Self::CutAfter
                | Self::HangsAfter
                | Self::LateAfter
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let writes = Arc::new(Mutex::new(None));
        let proxy = Arc::new(Proxy {
            upstream: upstream.to_owned(),
            plan: Box::new(plan),
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
                    let answer = service_fn(move |request| Arc::clone(&proxy).answer(request));
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
    ) -> Result<ProxyResponse, io::Error> {
        let closed = || io::Error::from(io::ErrorKind::ConnectionReset);
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| closed())?.to_bytes();
        let target = head
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let fault = (self.plan)(&ProxiedCall {
            operation,
            number,
            body: &body,
        });
        match fault {
            InjectedFault::Throttled => {
                let type_of = "com.amazonaws.dynamodb.v20120810#ThrottlingException";
                return Ok(whole(
                    400,
                    format!(r#"{{"__type":"{type_of}","message":"Rate exceeded"}}"#).into(),
                ));
            }
            InjectedFault::FailsBefore => return Ok(whole(500, Bytes::from_static(b"{}"))),
            InjectedFault::ClosedBefore => return Err(closed()),
            InjectedFault::HangsBefore => {
                sleep(LONG).await;
                return Err(closed());
            }
            _ => {}
        }
        let is_counted = self.writes.lock().unwrap().is_some()
            && matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem");
        let body = if is_counted {
            asking_for_costs(&body)
        } else {
            body
        };
        let (status, body) = self.forward(&head, body).await;
        if is_counted && let Some(writes) = self.writes.lock().unwrap().as_mut() {
            writes.extend(consumed(&body));
        }
        match fault {
            InjectedFault::ClosedAfter => Err(closed()),
            InjectedFault::FailsAfter => Ok(whole(500, Bytes::from_static(b"{}"))),
            InjectedFault::CutAfter => Ok(cut(status, body)),
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

/// An answer that promises all and brings half.
fn cut(status: u16, body: Bytes) -> ProxyResponse {
    let promised = body.len().max(2);
    let half = body.slice(..body.len() / 2);
    let parts = [
        Ok(Frame::data(half)),
        Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    ];
    let answer = Response::builder()
        .status(status)
        .header("x-amzn-requestid", "through-the-proxy")
        .header("content-length", promised);
    answer
        .body(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(
            parts,
        ))))
        .unwrap()
}
