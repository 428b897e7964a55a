//! A consumer's endpoint for `https` destinations. It receives events, checks their signatures with
//! separate code, and gives the answers that a test configures.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use pillarbox::domain::{Clock, SystemClock};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{
    http_request::{HttpRequest, read_request},
    process::WHSEC,
};

/// An answer of the endpoint.
#[derive(Clone, Debug)]
pub enum EndpointReply {
    Status(u16),
    /// 204, after a delay.
    Late(Duration),
    /// 302 to this URL.
    Redirect(String),
    /// 200, and a body without an end.
    Endless,
    /// Nothing, on a connection that stays open.
    Silence,
}

/// One received request.
#[derive(Clone, Debug)]
pub struct ReceivedDelivery {
    /// The first line, without the version.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl ReceivedDelivery {
    fn of(request: HttpRequest) -> Self {
        let headers = request.headers();
        Self {
            target: request.target().to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: request.body,
        }
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str());
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
        assert_eq!(values.next(), None, "{name} occurs once");
        value
    }

    pub fn key(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Standard Webhooks, from its specification: HMAC-SHA256 of `id.timestamp.body`, in base64
    /// behind `v1,`.
    #[track_caller]
    pub fn check_signature(&self) {
        let secret = BASE64_STANDARD
            .decode(WHSEC.strip_prefix("whsec_").unwrap())
            .unwrap();
        let timestamp = self.header("webhook-timestamp");
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(self.key().as_bytes());
        mac.update(b".");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(self.header("webhook-signature"), expected);
        let age = SystemClock.now().as_seconds() - timestamp.parse::<i64>().unwrap();
        assert!((-1..300).contains(&age), "signed {age} s ago");
    }
}

type EndpointBehaviour = Box<dyn Fn(&ReceivedDelivery, usize) -> EndpointReply + Send + Sync>;

/// The endpoint. Its port is bound from the beginning, but nothing listens there before
/// [`Self::open`].
pub struct ConsumerEndpoint {
    pub address: SocketAddr,
    closed: Option<TcpSocket>,
    shared: Arc<EndpointState>,
}

struct EndpointState {
    received: Mutex<Vec<ReceivedDelivery>>,
    behaviour: Mutex<EndpointBehaviour>,
}

impl ConsumerEndpoint {
    /// An endpoint that refuses every connection until it is opened.
    pub fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let shared = EndpointState {
            received: Mutex::default(),
            behaviour: Mutex::new(Box::new(|_, _| EndpointReply::Status(204))),
        };
        Self {
            address: socket.local_addr().unwrap(),
            closed: Some(socket),
            shared: Arc::new(shared),
        }
    }

    /// An endpoint that answers 204 to everything until configured otherwise.
    pub fn opened() -> Self {
        let mut endpoint = Self::closed();
        endpoint.open();
        endpoint
    }

    /// Begins to accept connections.
    pub fn open(&mut self) {
        let listener = self.closed.take().unwrap().listen(256).unwrap();
        tokio::spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// Sets the answers. The second argument of `behaviour` is how often this key was received
    /// before.
    pub fn answers(
        &self,
        behaviour: impl Fn(&ReceivedDelivery, usize) -> EndpointReply + Send + Sync + 'static,
    ) {
        *self.shared.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    pub fn url(&self) -> String {
        format!("http://{}/events?team=7", self.address)
    }

    pub fn received(&self) -> Vec<ReceivedDelivery> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The number of requests, repeats of a key included.
    pub fn times(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// The requests with a key, one entry per attempt.
    pub fn attempts(&self, key: &str) -> Vec<ReceivedDelivery> {
        self.received()
            .into_iter()
            .filter(|received| received.key() == key)
            .collect()
    }

    /// A configuration with this endpoint as the destination.
    pub fn configuration(&self) -> String {
        let url = self.url();
        format!(
            "{}[destination]\nkind = \"https\"\nurl = \"{url}\"\nsecret = \"env:LEDGER_WHSEC\"\n",
            super::process::BOTH_SOURCES
        )
    }
}

async fn accept(listener: TcpListener, shared: Arc<EndpointState>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_connection(stream, Arc::clone(&shared)));
    }
}

async fn serve_connection(mut stream: TcpStream, shared: Arc<EndpointState>) {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await {
        let received = ReceivedDelivery::of(request);
        let reply = {
            let mut all = shared.received.lock().unwrap();
            let key = |received: &ReceivedDelivery| {
                received
                    .headers
                    .iter()
                    .find(|(name, _)| name == "webhook-id")
                    .cloned()
            };
            let before = all
                .iter()
                .filter(|earlier| key(earlier) == key(&received))
                .count();
            let reply = (shared.behaviour.lock().unwrap())(&received, before);
            all.push(received);
            reply
        };
        if answer(&mut stream, reply).await.is_err() {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, reply: EndpointReply) -> std::io::Result<()> {
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} X\r\n{more}\r\n");
    match reply {
        EndpointReply::Status(204) => stream.write_all(head(204, "").as_bytes()).await,
        EndpointReply::Status(status) => {
            stream
                .write_all(head(status, "content-length: 0\r\n").as_bytes())
                .await
        }
        EndpointReply::Late(delay) => {
            tokio::time::sleep(delay).await;
            stream.write_all(head(204, "").as_bytes()).await
        }
        EndpointReply::Redirect(to) => {
            let more = format!("location: {to}\r\ncontent-length: 0\r\n");
            stream.write_all(head(302, &more).as_bytes()).await
        }
        EndpointReply::Endless => {
            stream
                .write_all(head(200, "content-length: 1099511627776\r\n").as_bytes())
                .await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?; // ends when the other side closes
            }
        }
        EndpointReply::Silence => {
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await? > 0 {}
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }
}
