//! A connection to a receiver. Requests are written without an HTTP client, because no client keeps
//! the case and order of a sender's headers.

use std::{
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::FutureExt;
use rustls::{ClientConfig, SupportedProtocolVersion, pki_types::ServerName, version};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{
    ClientProfile, ExchangeError, ReceiverResponse, SenderRequest, TargetError,
    response::{ParseRules, ParsedResponse, ResponseParseError, ResponseParser},
    target::RequestTarget,
};

/// An open connection, used for one request after another until the receiver closes it.
pub struct ReceiverConnection {
    stream: Box<dyn ByteStream>,
    path: String,
    profile: ClientProfile,
    open: bool,
    keep_alive: Option<Duration>,
}

/// The TLS versions offered in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsVersions {
    /// Only TLS 1.2.
    Only12,
    /// Only TLS 1.3. No sender does this.
    Only13,
    /// TLS 1.2 and 1.3.
    All,
}

/// Connects to an https URL, offers these TLS versions, and disconnects.
pub(super) async fn handshake(
    url: &Url,
    profile: ClientProfile,
    versions: TlsVersions,
) -> Result<(), ExchangeError> {
    let target = RequestTarget::of(url)?;
    let stream = connect(&target, profile).await?;
    secure(stream, &target, versions, profile).await.map(drop)
}

trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

impl ReceiverConnection {
    /// Connects to the receiver at `url`. Every request uses the path and query of `url`.
    pub async fn open(url: &Url, limits: impl Into<ClientProfile>) -> Result<Self, ExchangeError> {
        let (target, profile) = (RequestTarget::of(url)?, limits.into());
        let stream = connect(&target, profile).await?;
        let stream: Box<dyn ByteStream> = if target.tls {
            let versions = if profile.tls_1_2_only {
                TlsVersions::Only12
            } else {
                TlsVersions::All
            };
            Box::new(secure(stream, &target, versions, profile).await?)
        } else {
            Box::new(stream)
        };
        Ok(Self {
            stream,
            path: target.path,
            profile,
            open: true,
            keep_alive: None,
        })
    }

    /// Whether another request can be sent. The receiver may still close the connection at any
    /// time; then the next request fails.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Sends one request and reads the response.
    pub async fn send(
        &mut self,
        request: &SenderRequest,
    ) -> Result<ReceiverResponse, ExchangeError> {
        self.send_in_pieces(1, Duration::ZERO, request).await
    }

    /// Sends one request in several pieces with a pause between them, like a slow network.
    pub async fn send_in_pieces(
        &mut self,
        pieces: usize,
        pause: Duration,
        request: &SenderRequest,
    ) -> Result<ReceiverResponse, ExchangeError> {
        if !std::mem::take(&mut self.open) {
            return Err(ExchangeError::Closed);
        }
        let bytes = wire_form(request, &self.path);
        let pieces = bytes.chunks(bytes.len().div_ceil(pieces.max(1)));
        let parser = ResponseParser::new(ParseRules {
            to_head: request.method == "HEAD",
            interim_is_final: self.profile.interim_is_final,
        });
        let read_timeout = self.profile.read_timeout;
        let exchange = exchange(&mut self.stream, pieces, pause, parser, read_timeout);
        let parsed = timeout(self.profile.total_timeout, exchange)
            .await
            .map_err(|_| ExchangeError::TimedOut)??;
        self.open = parsed.reusable;
        self.keep_alive = parsed.response.keep_alive();
        Ok(parsed.response)
    }

    /// Sends the first `body_bytes` of a request's body, then disconnects without waiting for a
    /// response.
    pub async fn abandon(mut self, request: &SenderRequest, body_bytes: usize) {
        let bytes = wire_form(request, &self.path);
        let sent = bytes.len() - request.body.len().saturating_sub(body_bytes);
        let write = async {
            // Errors are ignored: the simulated sender has disconnected.
            let _ = self.stream.write_all(&bytes[..sent]).await;
            let _ = self.stream.flush().await;
        };
        let _ = timeout(self.profile.total_timeout, write).await;
    }

    /// How long the receiver keeps the connection when it is idle, if a header announced it.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// Whether the receiver has kept the connection open since the last response. HTTP clients
    /// check this before they reuse a connection.
    pub async fn is_still_open(&mut self) -> bool {
        let mut unexpected = [0; 1];
        let closed = self.stream.read(&mut unexpected).now_or_never();
        self.open && closed.is_none()
    }
}

/// The bytes of the request, request line included.
fn wire_form(request: &SenderRequest, path: &str) -> Vec<u8> {
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), &request.body].concat()
}

/// Writes the request and reads at the same time, because a receiver may refuse a large body
/// before its end.
async fn exchange(
    stream: &mut Box<dyn ByteStream>,
    pieces: impl Iterator<Item = &[u8]>,
    pause: Duration,
    parser: ResponseParser,
    read_timeout: Duration,
) -> Result<ParsedResponse, ExchangeError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        // A write error is ignored: a response sent before the close may still be readable.
        for (nth, piece) in pieces.enumerate() {
            if nth > 0 {
                tokio::time::sleep(pause).await;
            }
            let _ = writer.write_all(piece).await;
            let _ = writer.flush().await;
        }
    };
    let read = read_response(&mut reader, parser, read_timeout);
    tokio::pin!(read);
    tokio::select! {
        biased;
        early = &mut read => early.map(|early| ParsedResponse { reusable: false, ..early }),
        () = write => read.await,
    }
}

/// Reads a complete response.
async fn read_response(
    reader: &mut (impl AsyncRead + Unpin),
    mut parser: ResponseParser,
    read_timeout: Duration,
) -> Result<ParsedResponse, ExchangeError> {
    loop {
        let read = timeout(read_timeout, reader.read_buf(&mut parser.received)).await;
        let ended = match read.map_err(|_| ExchangeError::TimedOut)? {
            Ok(bytes) => bytes == 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(ExchangeError::Reset);
            }
            // The end of TLS without close_notify counts as the end of the bytes.
            Err(_) => true,
        };
        match parser.advance(ended) {
            Ok(Some(parsed)) => return Ok(parsed),
            Ok(None) => {}
            Err(ResponseParseError::Ended) => return Err(ExchangeError::Closed),
            Err(ResponseParseError::BodyCutShort) => return Err(ExchangeError::BodyCutShort),
            Err(ResponseParseError::Garbled(why)) => return Err(ExchangeError::Garbled(why)),
        }
    }
}

/// The result of a step within its time limit, as an I/O error if the limit passed.
async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect(
    target: &RequestTarget,
    profile: ClientProfile,
) -> Result<TcpStream, ExchangeError> {
    let connect = async {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        Ok((stream.peer_addr()?, stream))
    };
    let connected = within(profile.connect_timeout, connect).await;
    let (peer, stream) = connected.map_err(|error| ExchangeError::Connect {
        host: target.host.clone(),
        port: target.port,
        error,
    })?;
    // The system's resolver decides which address `localhost` has.
    if !target.tls && !peer.ip().is_loopback() {
        return Err(TargetError::PlainHttp(target.host.clone()).into());
    }
    Ok(stream)
}

async fn secure(
    stream: TcpStream,
    target: &RequestTarget,
    versions: TlsVersions,
    profile: ClientProfile,
) -> Result<impl ByteStream + use<>, ExchangeError> {
    let config = match versions {
        TlsVersions::Only12 => &*TLS_1_2,
        TlsVersions::Only13 => &*TLS_1_3,
        TlsVersions::All => &*ANY_TLS,
    };
    let handshake = async {
        let config = config.clone().map_err(io::Error::other)?;
        let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    };
    let secured = within(profile.tls_timeout, handshake).await;
    secured.map_err(|error| ExchangeError::Tls {
        host: target.host.clone(),
        error,
    })
}

/// Created once: a load run opens thousands of connections, and the system's certificates are
/// files.
static TLS_1_2: LazyLock<TlsClientConfig> = LazyLock::new(|| config(&[&version::TLS12]));
static TLS_1_3: LazyLock<TlsClientConfig> = LazyLock::new(|| config(&[&version::TLS13]));
static ANY_TLS: LazyLock<TlsClientConfig> =
    LazyLock::new(|| config(&[&version::TLS12, &version::TLS13]));

type TlsClientConfig = Result<Arc<ClientConfig>, rustls::Error>;

fn config(versions: &[&'static SupportedProtocolVersion]) -> TlsClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    Ok(Arc::new(
        builder.with_platform_verifier()?.with_no_client_auth(),
    ))
}
