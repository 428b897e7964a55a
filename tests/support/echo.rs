//! A server that repeats each request in its answer: in the body, in every field by which an API
//! names an error, in the reason phrase, and in a header.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A received request.
#[derive(Clone, Debug)]
pub struct EchoedRequest {
    /// The first line and the headers.
    pub head: String,
    pub body: String,
}

impl EchoedRequest {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// What an error that quotes the request has in its fields.
    fn quoted(&self) -> Value {
        let credentials = self.header("authorization").unwrap_or_default();
        let token = credentials.rsplit([' ', '=']).next().unwrap_or_default();
        let all = format!("{}{}", self.head, self.body);
        // An API has one name for its code, and OAuth another.
        let code = match self.body.starts_with("grant_type=") || self.body.contains("&grant_type=")
        {
            true => "error",
            false => "code",
        };
        json!({
            code: token, "message": self.body, "description": self.body, "Message": all,
            "error_description": all, "errors": [{"code": token, "message": all}],
            "__type": "com.amazonaws.example#ValidationException",
        })
    }
}

/// What it answers: a status and a body, or the request itself with this status.
#[derive(Clone, Debug)]
pub enum EchoReply {
    Repeat(u16),
    Say(u16, String),
}

type EchoBehaviour = Box<dyn Fn(&EchoedRequest) -> EchoReply + Send + Sync>;

/// The running server.
#[derive(Clone)]
pub struct EchoServer {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<EchoedRequest>>>,
}

impl EchoServer {
    /// Answers so.
    pub async fn answering(
        behaviour: impl Fn(&EchoedRequest) -> EchoReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let behaviour: Arc<EchoBehaviour> = Arc::new(Box::new(behaviour));
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(keep(stream, Arc::clone(&behaviour), Arc::clone(&all)));
            }
        });
        Self { address, heard }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn heard(&self) -> Vec<EchoedRequest> {
        self.heard.lock().unwrap().clone()
    }
}

async fn keep(
    mut stream: TcpStream,
    behaviour: Arc<EchoBehaviour>,
    heard: Arc<Mutex<Vec<EchoedRequest>>>,
) {
    let mut unread = Vec::new();
    while let Some(request) = hear(&mut stream, &mut unread).await {
        let (status, body) = match behaviour(&request) {
            EchoReply::Say(status, body) => (status, body),
            EchoReply::Repeat(status) => (status, request.quoted().to_string()),
        };
        let token = request.header("authorization").unwrap_or("Unwell");
        // What AWS answers has an id; the reason phrase and a header quote the credentials.
        let head = format!(
            "HTTP/1.1 {status} {token}\r\nContent-Type: application/json\r\nX-Echo: {token}\r\n\
             x-amzn-requestid: 4d4a0cf3-dd04-bf48-a9d0-0b5a1f5e8c11\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        heard.lock().unwrap().push(request);
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request, up to its content length; `None` once the connection has ended.
async fn hear(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<EchoedRequest> {
    loop {
        if let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&unread[..end + 2]).replace("\r\n", "\n");
            let mut request = EchoedRequest {
                head,
                body: String::new(),
            };
            let length = request.header("content-length").unwrap_or("0");
            let length: usize = length.parse().unwrap();
            if unread.len() >= end + 4 + length {
                let body = &unread[end + 4..end + 4 + length];
                request.body = String::from_utf8_lossy(body).into_owned();
                unread.drain(..end + 4 + length);
                return Some(request);
            }
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}
