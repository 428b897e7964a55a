//! The HTTP client of all AWS services.
//!
//! It speaks HTTP/1.1, over which every AWS service answers. The SDK's own client also speaks
//! HTTP/2, which is 0.4 MB more for each cold start to load. As with that client, connections are
//! shared by requests with the same connect timeout, and a connection on which a service failed is
//! not used again.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connection::{CaptureSmithyConnection, ConnectionMetadata},
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{CaptureConnection, HttpConnector as TcpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::ClientConfig;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tower_service::Service;

use super::sdk_error::is_caused_by;

/// A client with one pool of connections for each connect timeout.
pub(super) struct PooledHttpClient {
    https: HttpsConnector<TcpConnector>,
    pools: Mutex<Vec<(Option<Duration>, SharedHttpConnector)>>,
}

impl PooledHttpClient {
    /// A client whose connections to `https` endpoints use `tls`.
    pub(super) fn new(tls: ClientConfig) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1();
        Self {
            https: https.wrap_connector(tcp),
            pools: Mutex::default(),
        }
    }
}

impl fmt::Debug for PooledHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledHttpClient")
    }
}

impl HttpClient for PooledHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connect_timeout = settings.connect_timeout();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools.iter().find(|(known, _)| *known == connect_timeout) {
            return pool.clone();
        }
        let connector = TimedConnector {
            https: self.https.clone(),
            connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let pool = SharedHttpConnector::new(ConnectionPool(client));
        pools.push((connect_timeout, pool.clone()));
        pool
    }
}

/// Connections that are opened within the same time.
#[derive(Debug)]
struct ConnectionPool(Client<TimedConnector, SdkBody>);

impl HttpConnector for ConnectionPool {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let used = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&used));
        }
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(connector_error)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// How the SDK has a connection closed on which a service failed.
fn metadata(used: &CaptureConnection) -> Option<ConnectionMetadata> {
    used.connection_metadata().as_ref()?;
    let used = used.clone();
    let poison = move || {
        if let Some(connection) = used.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    let metadata = ConnectionMetadata::builder().proxied(false);
    Some(metadata.poison_fn(poison).build())
}

/// Every failure may pass, so the SDK retries it.
fn connector_error(error: legacy::Error) -> ConnectorError {
    if is_caused_by::<Elapsed>(&error) {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

/// Opens connections, TLS included, within a time.
#[derive(Clone, Debug)]
struct TimedConnector {
    https: HttpsConnector<TcpConnector>,
    connect_timeout: Option<Duration>,
}

type ConnectFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

impl Service<Uri> for TimedConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = ConnectFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.https.call(uri);
        match self.connect_timeout {
            Some(limit) => Box::pin(async move { timeout(limit, connecting).await? }),
            None => connecting,
        }
    }
}
