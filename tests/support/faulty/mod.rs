//! Small receivers on loopback, each with one fault, that record the messages that they stored.

mod fault;
mod take;
mod verify;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pillarbox::domain::Timestamp;
use rustls::ServerConfig;
use sender_simulator::Sender;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

pub use fault::PlantedFault;
use take::RequestHandling;

/// A receiver that runs until the test's runtime ends.
pub struct FaultyReceiver {
    origin: String,
    shared: Arc<FaultyState>,
}

struct FaultyState {
    sender: Sender,
    fault: PlantedFault,
    secret: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The ids of the stored messages, in their order.
    held: Vec<String>,
    /// The stored events, each once.
    events: Vec<String>,
    newest: Option<Timestamp>,
    taken: u32,
    /// The number of further requests that are dropped.
    dropping: u32,
    dead: bool,
}

impl FaultyState {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

type FaultyReply = Response<Full<Bytes>>;

impl FaultyReceiver {
    /// A receiver of `sender`'s notifications, signed with `secret`.
    pub async fn start(sender: Sender, fault: PlantedFault, secret: &str) -> Self {
        Self::listen(sender, fault, secret, None).await
    }

    /// The same over TLS, at `localhost`.
    pub async fn start_with(
        tls: ServerConfig,
        sender: Sender,
        fault: PlantedFault,
        secret: &str,
    ) -> Self {
        Self::listen(
            sender,
            fault,
            secret,
            Some(TlsAcceptor::from(Arc::new(tls))),
        )
        .await
    }

    async fn listen(
        sender: Sender,
        fault: PlantedFault,
        secret: &str,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = match tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let shared = Arc::new(FaultyState {
            sender,
            fault,
            secret: secret.to_owned(),
            state: Mutex::default(),
        });
        tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { origin, shared }
    }

    /// The callback URL.
    pub fn url(&self) -> Url {
        Url::parse(&format!("{}/callback", self.origin)).unwrap()
    }

    /// The ids of the stored messages, and the first word of each message without an id.
    pub fn held(&self) -> Vec<String> {
        self.shared.state().held.clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<FaultyState>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return serve_connection(stream, shared).await;
            };
            // The client can refuse the certificate.
            if let Ok(secured) = tls.accept(stream).await {
                serve_connection(secured, shared).await;
            }
        });
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    shared: Arc<FaultyState>,
) {
    let idle =
        (shared.fault == PlantedFault::ClosesIdleConnections).then_some(Duration::from_millis(100));
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        // An error ends the connection without an answer.
        async move { shared.answer(request).await.ok_or("no answer") }
    });
    let mut server = http1::Builder::new();
    let _ = server
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl FaultyState {
    /// The answer; `None` closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Option<FaultyReply> {
        if self.is_down() {
            return None;
        }
        let is_post = request.method() == Method::POST;
        let mut reply = self.route(request).await?;
        let status = reply.status().as_u16();
        let headers = reply.headers_mut();
        match self.fault {
            PlantedFault::SetsCookie => {
                drop(headers.insert("set-cookie", "AWSALB=abc; Path=/".parse().unwrap()))
            }
            PlantedFault::CompressesWithBrotli if is_post => {
                headers.insert("content-encoding", "br".parse().unwrap());
                *reply.body_mut() = Full::from("\u{b}\u{2}ok");
            }
            PlantedFault::SendsRetryAfter if status >= 400 => {
                drop(headers.insert("retry-after", "60".parse().unwrap()))
            }
            PlantedFault::ClosesEachConnection => {
                drop(headers.insert("connection", "close".parse().unwrap()))
            }
            _ => {}
        }
        Some(reply)
    }

    fn is_down(&self) -> bool {
        let mut state = self.state();
        let dropping = state.dropping > 0;
        state.dropping = state.dropping.saturating_sub(1);
        dropping || state.dead
    }

    async fn route(&self, request: Request<Incoming>) -> Option<FaultyReply> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if self.fault == PlantedFault::RedirectsTrailingSlash && path == "/callback/" {
            return Some(moved(301, "/callback"));
        }
        if self.fault == PlantedFault::RedirectsChallenge && method == Method::GET {
            let query = request.uri().query().unwrap_or_default();
            match &*path {
                "/callback" if query.contains("challenge=") => {
                    return Some(moved(302, &format!("/callback/?{query}")));
                }
                "/callback/" => return self.challenge(Some(query)),
                _ => {}
            }
        }
        if path != "/callback" {
            return Some(status(404));
        }
        if self.fault == PlantedFault::AnswersGet
            && (method == Method::GET || method == Method::HEAD)
        {
            // A challenge of HMRC is answered correctly.
            return Some(
                self.challenge(request.uri().query())
                    .filter(|reply| reply.status() == 200)
                    .unwrap_or(status(200)),
            );
        }
        match method {
            Method::POST => self.post(request).await,
            Method::GET => Some(self.challenge(request.uri().query()).unwrap_or(status(400))),
            _ => Some(status(405)),
        }
    }

    async fn post(&self, request: Request<Incoming>) -> Option<FaultyReply> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let limit = match self.fault {
            PlantedFault::LimitsTo100KB => 100 * 1024,
            PlantedFault::LimitsTo8KB => 8 * 1024,
            _ => 8 * 1024 * 1024,
        };
        if body.len() > limit {
            return Some(status(413));
        }
        if self.fault == PlantedFault::RedirectsToLogin {
            return Some(moved(302, "/login"));
        }
        let name = match self.sender {
            Sender::Hmrc => "x-hub-signature",
            Sender::GovukPay => "pay-signature",
        };
        let values = parts.headers.get_all(name).iter();
        let signatures: Vec<String> = values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        if !verify::is_accepted(self.fault, self.sender, &self.secret, &signatures, &body) {
            return Some(status(self.refusal(&signatures)));
        }
        if self.fault == PlantedFault::Slow {
            tokio::time::sleep(Duration::from_millis(3_500)).await;
        }
        match self.take(&body).await {
            RequestHandling::Answer(code) => Some(status(code)),
            RequestHandling::Nothing => None,
        }
    }

    fn refusal(&self, signatures: &[String]) -> u16 {
        match (self.fault, signatures) {
            (PlantedFault::Refuses422, _) => 422,
            (PlantedFault::ThrowsOnLength, [only]) if only.len() != verify::length(self.sender) => {
                500
            }
            _ => 401,
        }
    }

    /// The answer to a challenge of HMRC, if there is one.
    fn challenge(&self, query: Option<&str>) -> Option<FaultyReply> {
        if self.sender != Sender::Hmrc {
            return None;
        }
        let query = query.unwrap_or_default();
        let pairs =
            url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "challenge");
        let found: Vec<String> = pairs.map(|(_, value)| value.into_owned()).collect();
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let json = |value: &str| serde_json::json!({"challenge": value}).to_string();
        let (kind, body) = match (self.fault, &found[..]) {
            (PlantedFault::EchoesPlainText, [only]) => ("text/plain", only.clone()),
            (PlantedFault::ReflectsHtml, [only]) => ("text/html", json(only)),
            (PlantedFault::TakesWholeQuery, _) => {
                ("application/json", json(query.strip_prefix("challenge=")?))
            }
            (PlantedFault::EchoesAnything, [first, ..]) => ("application/json", json(first)),
            (_, [only]) if !only.is_empty() && only.len() <= 128 && is_plain(only) => {
                ("application/json", json(only))
            }
            _ => return None,
        };
        Some(
            Response::builder()
                .header("content-type", kind)
                .body(Full::from(body))
                .unwrap(),
        )
    }
}

fn status(status: u16) -> FaultyReply {
    Response::builder()
        .status(status)
        .body(Full::default())
        .unwrap()
}

fn moved(status: u16, location: &str) -> FaultyReply {
    Response::builder()
        .status(status)
        .header("location", location)
        .body(Full::default())
        .unwrap()
}
