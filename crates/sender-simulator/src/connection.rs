//! A connection to a receiver, written to by hand: header names keep the case and order a sender
//! gives them, which no HTTP client would promise.

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
    Answer, ExchangeError, Manner, Request, TargetError,
    answer::{self, Fault, Progress},
    target::Target,
};

/// An open connection, which carries one request after another for as long as the receiver keeps it.
pub struct Connection {
    stream: Box<dyn Stream>,
    path: String,
    manner: Manner,
    open: bool,
}

/// What is offered in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// TLS 1.2 alone.
    Only12,
    /// TLS 1.3 alone, which no sender does.
    Only13,
    /// Both.
    All,
}

/// Connects to the receiver at an https URL with these versions on offer, and leaves again.
pub(super) async fn handshake(
    url: &Url,
    manner: Manner,
    versions: Versions,
) -> Result<(), ExchangeError> {
    let target = Target::of(url)?;
    let stream = timeout(manner.connect, connect(&target))
        .await
        .unwrap_or(Err(ExchangeError::TimedOut))?;
    let secured = timeout(manner.read, secure(stream, &target, versions)).await;
    secured.unwrap_or(Err(ExchangeError::TimedOut)).map(|_| ())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    /// Connects to the receiver at `url`; its path and query are those of every request.
    pub async fn open(url: &Url, patience: impl Into<Manner>) -> Result<Self, ExchangeError> {
        let (target, manner) = (Target::of(url)?, patience.into());
        let stream = timeout(manner.connect, connect(&target))
            .await
            .unwrap_or(Err(ExchangeError::TimedOut))?;
        let stream: Box<dyn Stream> = if target.tls {
            let versions = if manner.tls_1_2_only {
                Versions::Only12
            } else {
                Versions::All
            };
            let secured = secure(stream, &target, versions);
            Box::new(
                timeout(manner.read, secured)
                    .await
                    .unwrap_or(Err(ExchangeError::TimedOut))?,
            )
        } else {
            Box::new(stream)
        };
        Ok(Self {
            stream,
            path: target.path,
            manner,
            open: true,
        })
    }

    /// Whether another request may be sent. A receiver can still close at any moment, which the next
    /// request finds out.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Sends one request and reads its answer.
    pub async fn send(&mut self, request: &Request) -> Result<Answer, ExchangeError> {
        self.send_in(1, Duration::ZERO, request).await
    }

    /// The same, in so many pieces with a pause between them, as a bad line would bring it.
    pub async fn send_in(
        &mut self,
        pieces: usize,
        pause: Duration,
        request: &Request,
    ) -> Result<Answer, ExchangeError> {
        if !std::mem::take(&mut self.open) {
            return Err(ExchangeError::Closed);
        }
        let bytes = wire_form(request, &self.path);
        let (pieces, to_head) = (
            bytes.chunks(bytes.len().div_ceil(pieces.max(1))),
            request.method == "HEAD",
        );
        let exchange = exchange(&mut self.stream, pieces, pause, to_head, self.manner.read);
        let exchanged = timeout(self.manner.whole, exchange).await;
        let (answer, reusable) = exchanged.unwrap_or(Err(ExchangeError::TimedOut))?;
        self.open = reusable;
        Ok(answer)
    }

    /// Sends so much of a request, and hangs up without waiting for an answer.
    pub async fn abandon(mut self, request: &Request, body_bytes: usize) {
        let bytes = wire_form(request, &self.path);
        let sent = bytes.len() - request.body.len().saturating_sub(body_bytes);
        let write = async {
            // Nobody hears of a failure: this sender is about to be gone.
            let _ = self.stream.write_all(&bytes[..sent]).await;
            let _ = self.stream.flush().await;
        };
        let _ = timeout(self.manner.whole, write).await;
    }

    /// Whether the receiver has kept it open since the last answer: clients look before they use a
    /// connection again.
    pub async fn is_still_open(&mut self) -> bool {
        let mut nothing_was_asked = [0; 1];
        let heard = self.stream.read(&mut nothing_was_asked).now_or_never();
        self.open && heard.is_none()
    }
}

/// The request as it goes out, the first line included.
fn wire_form(request: &Request, path: &str) -> Vec<u8> {
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), &request.body].concat()
}

/// Writes the request and reads at the same time: a receiver may refuse a large body before its end.
async fn exchange(
    stream: &mut Box<dyn Stream>,
    pieces: impl Iterator<Item = &[u8]>,
    pause: Duration,
    to_head: bool,
    patience: Duration,
) -> Result<(Answer, bool), ExchangeError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        // A write that fails is no failure yet: what the receiver said before it closed may still be read.
        for (nth, piece) in pieces.enumerate() {
            if nth > 0 {
                tokio::time::sleep(pause).await;
            }
            let _ = writer.write_all(piece).await;
            let _ = writer.flush().await;
        }
    };
    let read = read_answer(&mut reader, to_head, patience);
    tokio::pin!(read);
    tokio::select! {
        biased;
        early = &mut read => early.map(|(answer, _)| (answer, false)),
        () = write => read.await,
    }
}

/// Reads until the answer is whole; says whether the connection may be used again.
async fn read_answer(
    reader: &mut (impl AsyncRead + Unpin),
    to_head: bool,
    patience: Duration,
) -> Result<(Answer, bool), ExchangeError> {
    let mut bytes = Vec::new();
    loop {
        let came = timeout(patience, reader.read_buf(&mut bytes))
            .await
            .map_err(|_| ExchangeError::TimedOut)?;
        // A reset, or TLS without its farewell, ends the bytes as surely as a proper end.
        let ended = !matches!(came, Ok(1..));
        match answer::read(&bytes, ended, to_head) {
            Ok(Progress::Whole { answer, reusable }) => return Ok((answer, reusable)),
            Ok(Progress::More) => {}
            Err(Fault::Ended) => return Err(ExchangeError::Closed),
            Err(Fault::Garbled(why)) => return Err(ExchangeError::Garbled(why)),
        }
    }
}

async fn connect(target: &Target) -> Result<TcpStream, ExchangeError> {
    let connect = async {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        Ok((stream.peer_addr()?, stream))
    };
    let (peer, stream) = connect
        .await
        .map_err(|error: io::Error| ExchangeError::Connect {
            host: target.host.clone(),
            port: target.port,
            error,
        })?;
    // `localhost` is what the system's resolver makes of it.
    if !target.tls && !peer.ip().is_loopback() {
        return Err(TargetError::PlainHttp(target.host.clone()).into());
    }
    Ok(stream)
}

async fn secure(
    stream: TcpStream,
    target: &Target,
    versions: Versions,
) -> Result<impl Stream + use<>, ExchangeError> {
    let config = match versions {
        Versions::Only12 => &*TLS_1_2,
        Versions::Only13 => &*TLS_1_3,
        Versions::All => &*ANY_TLS,
    };
    let secured = async {
        let config = config.clone().map_err(io::Error::other)?;
        let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    };
    secured.await.map_err(|error| ExchangeError::Tls {
        host: target.host.clone(),
        error,
    })
}

/// Read once: a load run opens thousands of connections, and the system's certificates are files.
static TLS_1_2: LazyLock<Config> = LazyLock::new(|| config(&[&version::TLS12]));
static TLS_1_3: LazyLock<Config> = LazyLock::new(|| config(&[&version::TLS13]));
static ANY_TLS: LazyLock<Config> = LazyLock::new(|| config(&[&version::TLS12, &version::TLS13]));

type Config = Result<Arc<ClientConfig>, rustls::Error>;

fn config(versions: &[&'static SupportedProtocolVersion]) -> Config {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    Ok(Arc::new(
        builder.with_platform_verifier()?.with_no_client_auth(),
    ))
}
