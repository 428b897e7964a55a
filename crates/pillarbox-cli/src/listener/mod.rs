//! An HTTP listener for untrusted peers, with limits on the number of connections and on the time
//! of each phase of a connection.
//!
//! The callback port and the console share it, so that neither has a phase without a limit. The
//! phases are: idle, receiving a head, receiving a body, answering, and waiting for the peer to
//! read the answer. When every slot is taken, a new connection is still accepted, and the
//! connection that has shown least is evicted: silent connections before slow ones, and slow ones
//! before those that a sender has proven. A request that is being stored is never cut off.

mod connection;
mod descriptors;
mod slots;
mod wire;

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Body};
use tokio::{net::TcpListener, task::JoinSet, time::interval};
use tokio_util::sync::CancellationToken;

use connection::ConnectionKeeper;
pub(crate) use descriptors::{connection_limits, raise_descriptor_limit};
pub(crate) use hyper::{body::Incoming, service::Service};
use pillarbox::receive::{HttpAnswer, Refusal};
use slots::ConnectionSlots;
pub(crate) use wire::{BodyFraming, ConnectionWatch};

/// How long the accept loop pauses after a failure, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the accept loop logs its failures and evictions.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The limits of one listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerLimits {
    /// The most connections.
    pub(crate) connections: usize,
    /// How long an answer may stay unread.
    pub(crate) flush: Duration,
    /// How long requests in flight may take once the listener stops.
    pub(crate) drain: Duration,
}

/// Answers the requests of a listener.
pub(crate) trait HttpService: Send + Sync + 'static {
    /// The body of an answer.
    type Answer: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers one request.
    fn answer(
        &self,
        request: Request<Incoming>,
        watch: &ConnectionWatch,
    ) -> impl Future<Output = Response<Self::Answer>> + Send;

    /// Answers bytes that are not a request.
    fn refuse(&self, refusal: Refusal) -> HttpAnswer;
}

/// Accepts connections until `stop`, then waits for the requests in flight.
pub(crate) async fn listen<S: HttpService>(
    listener: TcpListener,
    service: Arc<S>,
    limits: ListenerLimits,
    stop: CancellationToken,
) {
    let slots = ConnectionSlots::new(limits.connections);
    let mut connections = JoinSet::new();
    let mut report = interval(REPORT_INTERVAL);
    let mut failures = AcceptFailures::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = report.tick() => {
                failures.log();
                slots.log_evictions();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if failures.add(error) {
                    slots.evict();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let watch = ConnectionWatch::new(limits.flush);
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.acquire(&watch) => slot,
        };
        let keeper = ConnectionKeeper {
            service: Arc::clone(&service),
            watch,
            stop: stop.clone(),
        };
        connections.spawn(keeper.keep(stream, slot));
    }
    drop(listener);
    drain(connections, limits.drain).await;
}

/// Serves one connection over memory, until its peer closes it.
#[cfg(feature = "test-support")]
pub(crate) async fn serve_in_memory<S: HttpService>(
    service: Arc<S>,
    stream: tokio::io::DuplexStream,
) {
    let keeper = ConnectionKeeper {
        service,
        watch: ConnectionWatch::new(Duration::from_secs(10)),
        stop: CancellationToken::new(),
    };
    keeper.serve(stream).await;
}

async fn drain(mut connections: JoinSet<()>, timeout: Duration) {
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(timeout, ended).await.is_err() {
        tracing::warn!(
            "some requests did not end in time and were cut off; their senders will try again"
        );
    }
}

/// The connections that could not be accepted since they were last logged.
#[derive(Default)]
struct AcceptFailures {
    count: u64,
    last: Option<std::io::Error>,
}

impl AcceptFailures {
    /// Counts a failure, unless the peer caused it. Returns whether it was counted: then a pause,
    /// and closing a connection, may help.
    fn add(&mut self, error: std::io::Error) -> bool {
        use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        let is_peers = matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        );
        if !is_peers {
            self.count += 1;
            self.last = Some(error);
        }
        !is_peers
    }

    fn log(&mut self) {
        if let Some(reason) = self.last.take() {
            let failures = std::mem::take(&mut self.count);
            tracing::error!(failures, %reason, "connections could not be accepted");
        }
    }
}
