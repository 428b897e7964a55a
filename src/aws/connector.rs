//! The HTTP client of all AWS services.
//!
//! It speaks only HTTP/1.1, which every AWS service supports. The SDK's own client also speaks
//! HTTP/2, which adds 0.4 MB for each cold start to load. As with that client, requests with the
//! same connect timeout share a pool of connections, and a connection on which a service failed is
//! not reused.

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

    /// The pool of connections with this connect timeout.
    fn pool(&self, connect_timeout: Option<Duration>) -> SharedHttpConnector {
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
        self.pool(settings.connect_timeout())
    }
}

/// Connections that have the same connect timeout.
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
        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let response = response.await.map_err(connector_error)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Lets the SDK poison a connection on which a service failed, so that it is not reused.
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

/// Every failure may be transient: the SDK retries errors of these two kinds.
fn connector_error(error: legacy::Error) -> ConnectorError {
    if is_caused_by::<Elapsed>(&error) {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

/// Opens connections. The connect timeout covers the TLS handshake.
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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpListener},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use aws_smithy_types::byte_stream::ByteStream;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::{
        RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto::ring,
        pki_types::PrivateKeyDer,
    };

    use super::*;

    /// A server on loopback that counts its connections and its requests, and answers each request
    /// with `ok`.
    struct CountingServer {
        address: SocketAddr,
        connections: Arc<AtomicUsize>,
        requests: Arc<AtomicUsize>,
    }

    impl CountingServer {
        fn start(tls: Option<ServerConfig>) -> Self {
            let tls = tls.map(Arc::new);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let server = Self {
                address: listener.local_addr().unwrap(),
                connections: Arc::default(),
                requests: Arc::default(),
            };
            let (connections, requests) = (server.connections.clone(), server.requests.clone());
            thread::spawn(move || {
                for stream in listener.incoming() {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (stream, requests) = (stream.unwrap(), requests.clone());
                    match tls.clone() {
                        None => thread::spawn(move || answer_requests(stream, &requests)),
                        Some(tls) => {
                            let session = ServerConnection::new(tls).unwrap();
                            let stream = StreamOwned::new(session, stream);
                            thread::spawn(move || answer_requests(stream, &requests))
                        }
                    };
                }
            });
            server
        }

        fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    /// Answers the requests of one connection until the client closes it.
    fn answer_requests(mut stream: impl Read + Write, requests: &AtomicUsize) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                requests.fetch_add(1, Ordering::SeqCst);
                head.clear();
                let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(response).unwrap();
            }
        }
    }

    const CONNECT_TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));

    fn client(roots: RootCertStore) -> PooledHttpClient {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        PooledHttpClient::new(tls)
    }

    /// Sends a request and reads the whole response, after which its connection can be reused.
    async fn get(
        pool: &SharedHttpConnector,
        url: &str,
    ) -> Result<CaptureSmithyConnection, ConnectorError> {
        let mut request = HttpRequest::get(url).unwrap();
        let connection = CaptureSmithyConnection::new();
        request.add_extension(connection.clone());
        let response = pool.call(request).await?;
        assert_eq!(response.status().as_u16(), 200);
        let body = ByteStream::new(response.into_body()).collect().await;
        assert_eq!(body.unwrap().into_bytes(), "ok");
        Ok(connection)
    }

    #[tokio::test]
    async fn a_connection_is_reused_until_it_is_poisoned() {
        let server = CountingServer::start(None);
        let url = format!("http://{}/", server.address);
        let pool = client(RootCertStore::empty()).pool(CONNECT_TIMEOUT);
        get(&pool, &url).await.unwrap();
        let connection = get(&pool, &url).await.unwrap();
        assert_eq!(server.connections(), 1);
        connection.get().unwrap().poison();
        get(&pool, &url).await.unwrap();
        assert_eq!(server.connections(), 2);
    }

    #[tokio::test]
    async fn requests_with_the_same_connect_timeout_share_connections() {
        let server = CountingServer::start(None);
        let url = format!("http://{}/", server.address);
        let client = client(RootCertStore::empty());
        for (connect_timeout, connections) in
            [(CONNECT_TIMEOUT, 1), (CONNECT_TIMEOUT, 1), (None, 2)]
        {
            get(&client.pool(connect_timeout), &url).await.unwrap();
            assert_eq!(server.connections(), connections, "{connect_timeout:?}");
        }
    }

    #[tokio::test]
    async fn the_connect_timeout_covers_the_tls_handshake_and_not_the_response() {
        // The system accepts connections for this listener, and no byte is ever read or written.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect_timeout = Duration::from_millis(50);
        let pool = client(RootCertStore::empty()).pool(Some(connect_timeout));
        let url = format!("https://{address}/");
        let handshake = timeout(Duration::from_secs(30), get(&pool, &url)).await;
        let error = handshake.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let url = format!("http://{address}/");
        let response = timeout(4 * connect_timeout, get(&pool, &url)).await;
        assert!(response.is_err(), "{:?}", response.map(drop));
    }

    #[tokio::test]
    async fn a_failed_connection_is_an_io_error() {
        let pool = client(RootCertStore::empty()).pool(CONNECT_TIMEOUT);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}/");
        let server = thread::spawn(move || {
            for response in [&b""[..], b"hello\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                stream.write_all(response).unwrap();
            }
        });
        for case in ["closed without a response", "not HTTP"] {
            let error = get(&pool, &url).await.unwrap_err();
            assert!(error.is_io(), "{case}: {error:?}");
        }
        server.join().unwrap();
        let error = get(&pool, &url).await.unwrap_err();
        assert!(error.is_io(), "refused: {error:?}");
    }

    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A server whose certificate `issuer` signed for `name`.
    fn tls_server(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> CountingServer {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        CountingServer::start(Some(config.unwrap()))
    }

    #[tokio::test]
    async fn only_a_server_with_a_trusted_certificate_for_its_name_gets_a_request() {
        let (trusted, untrusted) = (authority("trusted"), authority("untrusted"));
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).unwrap();
        let pool = client(roots).pool(CONNECT_TIMEOUT);
        for (issuer, name, cause) in [
            (&trusted, "127.0.0.1", None),
            (&untrusted, "127.0.0.1", Some("UnknownIssuer")),
            (&trusted, "localhost", Some("NotValidForName")),
        ] {
            let server = tls_server(issuer, name);
            let outcome = get(&pool, &format!("https://{}/", server.address)).await;
            match (cause, outcome) {
                (None, outcome) => drop(outcome.unwrap()),
                (Some(cause), outcome) => {
                    let error = outcome.unwrap_err();
                    let text = format!("{error:?}");
                    assert!(error.is_io() && text.contains(cause), "{text}");
                }
            }
            let requests = server.requests.load(Ordering::SeqCst);
            assert_eq!(requests, usize::from(cause.is_none()), "{name}: {cause:?}");
        }
    }
}
