//! A receiver that answers as a test requires.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

use crate::{Sender, signature};

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A request as the receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReceivedRequest {
    pub(crate) line: String,
    pub(crate) signature: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) body: String,
}

impl ReceivedRequest {
    pub(crate) fn id(&self) -> String {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let id = value
            .get("webhook_message_id")
            .or_else(|| value.get("notificationId"));
        id.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn is_signed_with(&self, sender: Sender, secret: &str) -> bool {
        self.signature.as_deref() == Some(&signature::sign(sender, secret, self.body.as_bytes()))
    }
}

/// The receiver's reaction to a request.
#[derive(Clone, Debug)]
pub(crate) enum ReceiverReaction {
    Answer(String),
    AnswerAfter(Duration, String),
    /// It closes the connection after these bytes, in an orderly way.
    CloseAfter(String),
    /// It resets the connection after these bytes.
    ResetAfter(String),
    /// It keeps the connection open after these bytes, and sends nothing more.
    StallAfter(String),
}

/// A response, or `None` to close the connection.
impl From<Option<String>> for ReceiverReaction {
    fn from(answer: Option<String>) -> Self {
        answer.map_or_else(|| Self::CloseAfter(String::new()), Self::Answer)
    }
}

type ReactionFn = Arc<dyn Fn(usize, &ReceivedRequest) -> ReceiverReaction + Send + Sync>;

/// A receiver and its complete requests, in order.
#[derive(Clone)]
pub(crate) struct TestReceiver {
    pub(crate) url: Url,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// The number of requests that were not completed.
    pub(crate) broken_off: Arc<Mutex<usize>>,
    /// The number of requests without an answer.
    unanswered: Arc<Mutex<usize>>,
    /// The largest number of requests that were without an answer at the same time.
    pub(crate) most_unanswered: Arc<Mutex<usize>>,
}

impl TestReceiver {
    pub(crate) async fn new<R: Into<ReceiverReaction>>(
        respond: impl Fn(usize, &ReceivedRequest) -> R + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/try", listener.local_addr().unwrap())).unwrap();
        let respond: ReactionFn =
            Arc::new(move |number, received| respond(number, received).into());
        let receiver = Self {
            url,
            received: Arc::default(),
            broken_off: Arc::default(),
            unanswered: Arc::default(),
            most_unanswered: Arc::default(),
        };
        let server = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, respond) = (server.clone(), Arc::clone(&respond));
                tokio::spawn(async move { server.serve(stream, &respond).await });
            }
        });
        receiver
    }

    /// A receiver that answers every request with `answer`.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::new(move |_, _| Some(answer.to_owned())).await
    }

    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn posts(&self) -> Vec<ReceivedRequest> {
        self.received()
            .into_iter()
            .filter(|received| received.line.starts_with("POST"))
            .collect()
    }

    async fn serve(&self, mut stream: TcpStream, respond: &ReactionFn) {
        let mut bytes = Vec::new();
        loop {
            let whole = loop {
                if let Some(whole) = whole(&bytes) {
                    break whole;
                }
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    *self.broken_off.lock().unwrap() += usize::from(!bytes.is_empty());
                    return;
                }
            };
            bytes.clear();
            let reaction = respond(self.record(&whole), &whole);
            if let ReceiverReaction::AnswerAfter(delay, _) = reaction {
                tokio::time::sleep(delay).await;
            }
            *self.unanswered.lock().unwrap() -= 1;
            let (ReceiverReaction::Answer(answer)
            | ReceiverReaction::AnswerAfter(_, answer)
            | ReceiverReaction::CloseAfter(answer)
            | ReceiverReaction::ResetAfter(answer)
            | ReceiverReaction::StallAfter(answer)) = &reaction;
            stream.write_all(answer.as_bytes()).await.unwrap();
            match reaction {
                ReceiverReaction::Answer(_) | ReceiverReaction::AnswerAfter(..) => {}
                ReceiverReaction::CloseAfter(_) => return,
                ReceiverReaction::ResetAfter(_) => return stream.set_zero_linger().unwrap(),
                ReceiverReaction::StallAfter(_) => pending().await,
            }
        }
    }

    /// Records a request, and returns its number.
    fn record(&self, request: &ReceivedRequest) -> usize {
        let mut unanswered = self.unanswered.lock().unwrap();
        *unanswered += 1;
        let mut most = self.most_unanswered.lock().unwrap();
        *most = (*most).max(*unanswered);
        let mut received = self.received.lock().unwrap();
        received.push(request.clone());
        received.len()
    }
}

/// A request, once its body is complete.
fn whole(bytes: &[u8]) -> Option<ReceivedRequest> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let header = |wanted: &str| {
        let mut pairs = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        pairs
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(ReceivedRequest {
        line: head.lines().next().unwrap().to_owned(),
        signature: header("pay-signature").or_else(|| header("x-hub-signature")),
        cookie: header("cookie"),
        body: String::from_utf8_lossy(body).into_owned(),
    })
}

pub(crate) fn status(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n")
}

/// The response to a challenge that HMRC accepts.
pub(crate) fn echo(received: &ReceivedRequest) -> String {
    let (_, rest) = received.line.split_once("challenge=").unwrap();
    let challenge = &rest[..36];
    format!("HTTP/1.1 200 OK\r\ncontent-length: 52\r\n\r\n{{\"challenge\":\"{challenge}\"}}")
}
