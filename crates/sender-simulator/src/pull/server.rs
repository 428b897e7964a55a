//! The sockets: connections in, each request through script and service, answers out or not.

use std::{
    convert::Infallible,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use url::Url;

use super::{Ask, Call, Calls, Outcome, Reply, Step, script::Script};
use crate::{Clock, Timestamp};

/// Longer bodies are not read: no service here takes one.
const LONGEST_BODY: usize = 4 * 1024 * 1024;
/// How long to wait when a connection can't be accepted, usually for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What a sender knows, and how it answers. No I/O: the same question at the same time gets the same answer.
pub trait Service: Send + 'static {
    /// What can be asked.
    type Endpoint: Copy + PartialEq + Send + 'static;

    /// Which endpoint a request is for; `None` if there is no such one.
    fn endpoint(ask: &Ask) -> Option<Self::Endpoint>;

    /// Answers by the sender's rules, `now` being the instant it is. `clock` is for chance.
    fn answer(&mut self, ask: &Ask, now: Timestamp, clock: &dyn Clock) -> Reply;
}

/// A service on loopback. It ends, and all its connections with it, when it is dropped.
pub struct Server<S: Service> {
    base_url: Url,
    shared: Arc<Shared<S>>,
    accepting: JoinHandle<Infallible>,
}

struct Shared<S: Service> {
    origin: String,
    clock: Arc<dyn Clock>,
    desk: Mutex<Desk<S>>,
}

/// What one call at a time works with.
struct Desk<S: Service> {
    service: S,
    script: Script<S>,
    calls: Vec<Call<S::Endpoint>>,
}

/// What goes back to the client.
enum Answer {
    Reply(Reply),
    Close,
    Hang,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

impl<S: Service> Server<S> {
    /// Serves `service` on 127.0.0.1 at `port`, or at a free one for 0. Fails if the port is taken.
    pub(super) async fn serve(port: u16, clock: Arc<dyn Clock>, service: S) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let base_url = Url::parse(&origin).map_err(io::Error::other)?;
        let desk = Desk {
            service,
            script: Script::new(),
            calls: Vec::new(),
        };
        let shared = Arc::new(Shared {
            origin,
            clock,
            desk: Mutex::new(desk),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            base_url,
            shared,
            accepting,
        })
    }

    /// Where it is: what stands in a client's configuration in the sender's place.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Looks at what the service knows, or changes it; no call is worked on meanwhile.
    pub fn with<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut self.shared.desk().service)
    }

    /// What becomes of the next calls to an endpoint, one step a call, after the steps it already has.
    pub fn script(&self, endpoint: S::Endpoint, steps: impl IntoIterator<Item = Step<S>>) {
        self.shared.desk().script.add(endpoint, steps);
    }

    /// Answers the next calls to an endpoint, so many of them, with this instead of anything else.
    pub fn refuse_next(&self, times: usize, endpoint: S::Endpoint, reply: impl Into<Reply>) {
        let reply = reply.into();
        self.script(
            endpoint,
            std::iter::repeat_n(reply, times).map(Step::Instead),
        );
    }

    /// Everything that was asked so far.
    pub fn calls(&self) -> Calls<S::Endpoint> {
        Calls::new(self.shared.desk().calls.clone())
    }

    /// Time and chance as the service has them.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }
}

impl<S: Service> Drop for Server<S> {
    fn drop(&mut self) {
        self.accepting.abort(); // and with it every connection, which its task holds
    }
}

impl<S: Service> Shared<S> {
    /// A test's change that panicked has failed the test; it takes nothing else with it.
    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, from its arrival to its line in the ledger, with no other in between.
    fn work(&self, ask: &Ask) -> Answer {
        let mut desk = self.desk();
        let Desk {
            service,
            script,
            calls,
        } = &mut *desk;
        let (now, endpoint) = (self.clock.now(), S::endpoint(ask));
        let worked = |service: &mut S| service.answer(ask, now, &*self.clock);
        let answered = |reply: Reply| (Outcome::Answered(reply.status), Answer::Reply(reply));
        let (outcome, answer) = match script.next(endpoint) {
            Step::Usual => answered(worked(service)),
            Step::Instead(reply) => answered(reply),
            Step::CloseBefore => (Outcome::Lost, Answer::Close),
            Step::CloseAfter => (Outcome::Withheld(worked(service).status), Answer::Close),
            Step::Hang => (Outcome::Lost, Answer::Hang),
            Step::Then(change) => {
                let reply = worked(service);
                change(service);
                answered(reply)
            }
        };
        let (method, target, body) = (ask.method.clone(), ask.target(), ask.body.clone());
        calls.push(Call {
            at: now,
            endpoint,
            method,
            target,
            body,
            outcome,
        });
        answer
    }
}

async fn accept<S: Service>(listener: TcpListener, shared: Arc<Shared<S>>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(keep(stream, Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

async fn keep<S: Service>(stream: TcpStream, shared: Arc<Shared<S>>) {
    let _ = stream.set_nodelay(true); // an answer is small and must not wait
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, request).await }
    });
    // A connection that ends badly is one that the script closed, or a client that left.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<S: Service>(
    shared: &Shared<S>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LONGEST_BODY)
        .collect()
        .await
        .map_err(|_| Closed)?
        .to_bytes();
    let ask = Ask {
        origin: shared.origin.clone(),
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };
    match shared.work(&ask) {
        Answer::Reply(reply) => Ok(reply.into_response()),
        Answer::Close => Err(Closed),
        Answer::Hang => std::future::pending().await,
    }
}
