//! A proxy in front of the emulator that injects the faults of a network and of a service under
//! stress, one request at a time: it forwards a request or drops it, and loses, delays, cuts or
//! alters the answer. It can also record the capacity that each write consumes.

mod fault;
mod answers;

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use super::loopback;
use answers::{answer_after, answer_before, closed, with_handle};

pub use fault::InjectedFault;

/// A request, for a plan and for an observer.
pub struct ProxiedCall<'a> {
    /// The name of the operation, such as `PutItem`.
    pub operation: &'a str,
    /// The number of this request, from 0.
    pub number: usize,
    pub body: &'a Bytes,
}

/// The write units that DynamoDB charges for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedWrite {
    pub table: u32,
    pub index: u32,
}

/// Decides the fault of a request.
pub type FaultPlan = dyn Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync;

/// Called after a request was carried out, before its answer is returned.
pub type CallObserver = dyn Fn(&ProxiedCall<'_>, u16, &Bytes) + Send + Sync;

/// A proxy that runs until it is dropped.
pub struct FaultProxy {
    /// Its URL.
    pub endpoint: String,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    /// `None` until the first call of [`Self::take_writes`].
    writes: Arc<Mutex<Option<Vec<ConsumedWrite>>>>,
    accepting: JoinHandle<()>,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl FaultProxy {
    /// Starts a proxy in front of `upstream` that injects the faults of `plan`.
    pub async fn before(
        upstream: &str,
        plan: impl Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync + 'static,
    ) -> Self {
        Self::observed(upstream, plan, |_, _, _| {}).await
    }

    /// The same, with an observer of every request that was carried out. It receives the status
    /// and the body of the true answer.
    pub async fn observed(
        upstream: &str,
        plan: impl Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync + 'static,
        observer: impl Fn(&ProxiedCall<'_>, u16, &Bytes) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let writes = Arc::new(Mutex::new(None));
        let proxy = Arc::new(ProxyState {
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
                    // An error is the injected fault.
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

    /// The writes that succeeded since the last call. The first call returns none, and starts the
    /// recording.
    pub fn take_writes(&self) -> Vec<ConsumedWrite> {
        let taken = self.writes.lock().unwrap().replace(Vec::new());
        taken.unwrap_or_default()
    }

    /// The number of connections opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The number of requests received.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

struct ProxyState {
    upstream: String,
    plan: Box<FaultPlan>,
    observer: Box<CallObserver>,
    requests: Arc<AtomicUsize>,
    writes: Arc<Mutex<Option<Vec<ConsumedWrite>>>>,
    client: reqwest::Client,
}

type ProxyResponse = Response<BoxBody<Bytes, io::Error>>;

impl ProxyState {
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
        // A separate task, so that the request is carried out and observed even if the client gives
        // up or is killed.
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

    /// Forwards a call and notifies the observer.
    async fn carry_out(&self, head: &Parts, call: &ProxiedCall<'_>) -> (u16, Bytes) {
        let is_counted = self.writes.lock().unwrap().is_some()
            && matches!(call.operation, "PutItem" | "UpdateItem" | "DeleteItem");
        let body = if is_counted {
            with_consumed_capacity(call.body)
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

fn with_consumed_capacity(body: &Bytes) -> Bytes {
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
