//! The HTTP server: accepts connections and passes each request to the API.

use std::{
    convert::Infallible,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use url::Url;

use super::{ApiRequest, ApiResponse};
use crate::{Clock, Timestamp};

/// Longer bodies are refused. No API accepts one.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// The pause after a connection could not be accepted, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A sender's state and rules. No I/O: the same request at the same time gets the same response.
pub trait SenderApi: Send + 'static {
    /// The endpoints.
    type Endpoint: Copy + PartialEq + Send + 'static;

    /// The endpoint of a request; `None` if it has none.
    fn endpoint(request: &ApiRequest) -> Option<Self::Endpoint>;

    /// Answers a request at `now`. `clock` is for random numbers.
    fn answer(&mut self, request: &ApiRequest, now: Timestamp, clock: &dyn Clock) -> ApiResponse;
}

/// An API on loopback. Dropping it closes all connections.
pub struct ApiServer<S: SenderApi> {
    base_url: Url,
    pub(super) shared: Arc<ApiServerState<S>>,
    accepting: JoinHandle<Infallible>,
}

pub(super) struct ApiServerState<S: SenderApi> {
    origin: String,
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<ApiState<S>>,
}

/// The state that one call at a time uses.
pub(super) struct ApiState<S: SenderApi> {
    pub(super) api: S,
    #[cfg(any(test, feature = "test-apis"))]
    pub(super) calls: super::script::ScriptedCalls<S>,
}

/// The server's reaction to a call.
#[cfg_attr(
    not(any(test, feature = "test-apis")),
    expect(dead_code, reason = "scripted only")
)]
pub(super) enum CallAction {
    Respond(ApiResponse),
    Close,
    Hang,
}

/// Makes hyper close the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed without a response")]
struct ConnectionClosedError;

impl<S: SenderApi> ApiServer<S> {
    /// Serves `api` on 127.0.0.1 at `port`, or at a free port for 0. Fails if the port is in use.
    pub(super) async fn serve(port: u16, clock: Arc<dyn Clock>, api: S) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let base_url = Url::parse(&origin).map_err(io::Error::other)?;
        let state = Mutex::new(ApiState {
            api,
            #[cfg(any(test, feature = "test-apis"))]
            calls: super::script::ScriptedCalls::new(),
        });
        let shared = Arc::new(ApiServerState {
            origin,
            clock,
            state,
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            base_url,
            shared,
            accepting,
        })
    }

    /// The URL to configure in a client instead of the sender's.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Reads or changes the state. No call is answered meanwhile.
    pub fn with<R>(&self, access: impl FnOnce(&mut S) -> R) -> R {
        access(&mut self.shared.lock().api)
    }
}

impl<S: SenderApi> Drop for ApiServer<S> {
    fn drop(&mut self) {
        self.accepting.abort(); // this task owns all connections
    }
}

impl<S: SenderApi> ApiServerState<S> {
    /// A panic in [`ApiServer::with`] fails its test and must not break the server.
    pub(super) fn lock(&self) -> MutexGuard<'_, ApiState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles one call. No other call is handled meanwhile.
    fn handle(&self, request: &ApiRequest) -> CallAction {
        let (state, now) = (&mut *self.lock(), self.clock.now());
        #[cfg(any(test, feature = "test-apis"))]
        return state
            .calls
            .handle(&mut state.api, request, now, &*self.clock);
        #[cfg(not(any(test, feature = "test-apis")))]
        CallAction::Respond(state.api.answer(request, now, &*self.clock))
    }
}

async fn accept<S: SenderApi>(listener: TcpListener, shared: Arc<ApiServerState<S>>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&shared)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

async fn serve_connection<S: SenderApi>(stream: TcpStream, shared: Arc<ApiServerState<S>>) {
    let _ = stream.set_nodelay(true); // responses are small and must not wait
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(&shared, request).await }
    });
    // An error means that a script closed the connection, or that the client did.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<S: SenderApi>(
    shared: &ApiServerState<S>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, ConnectionClosedError> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let request = ApiRequest {
        origin: shared.origin.clone(),
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: body.map_err(|_| ConnectionClosedError)?.to_bytes(),
    };
    match shared.handle(&request) {
        CallAction::Respond(response) => Ok(response.into_response()),
        CallAction::Close => Err(ConnectionClosedError),
        CallAction::Hang => std::future::pending().await,
    }
}
