//! A server that repeats each request in its answer: in the body, in every field that an API uses
//! for errors, in the reason phrase, and in a header.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::http_request::{HttpRequest, read_request};

/// A received request.
#[derive(Clone, Debug)]
pub struct EchoedRequest {
    /// The first line and the headers.
    pub head: String,
    pub body: String,
}

impl EchoedRequest {
    fn of(request: HttpRequest) -> Self {
        Self {
            head: request.head.replace("\r\n", "\n") + "\n",
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// The body of an error that quotes the request in every field.
    fn quoted(&self) -> Value {
        let credentials = self.header("authorization").unwrap_or_default();
        let token = credentials.rsplit([' ', '=']).next().unwrap_or_default();
        let all = format!("{}{}", self.head, self.body);
        // The field of the error code: OAuth has another name for it.
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

/// The answer: the request itself with this status, or a status and a body.
#[derive(Clone, Debug)]
pub enum EchoReply {
    Repeat(u16),
    Body(u16, String),
}

type EchoBehaviour = Box<dyn Fn(&EchoedRequest) -> EchoReply + Send + Sync>;

#[derive(Clone)]
pub struct EchoServer {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<EchoedRequest>>>,
}

impl EchoServer {
    /// Starts a server that answers with `behaviour`.
    pub async fn answering(
        behaviour: impl Fn(&EchoedRequest) -> EchoReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let behaviour: Arc<EchoBehaviour> = Arc::new(Box::new(behaviour));
        let all = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_connection(
                    stream,
                    Arc::clone(&behaviour),
                    Arc::clone(&all),
                ));
            }
        });
        Self { address, received }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<EchoedRequest> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    behaviour: Arc<EchoBehaviour>,
    received: Arc<Mutex<Vec<EchoedRequest>>>,
) {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await {
        let request = EchoedRequest::of(request);
        let (status, body) = match behaviour(&request) {
            EchoReply::Body(status, body) => (status, body),
            EchoReply::Repeat(status) => (status, request.quoted().to_string()),
        };
        let token = request.header("authorization").unwrap_or("Unwell");
        // AWS's clients expect a request id. The reason phrase and a header quote the credentials.
        let head = format!(
            "HTTP/1.1 {status} {token}\r\nContent-Type: application/json\r\nX-Echo: {token}\r\n\
             x-amzn-requestid: 4d4a0cf3-dd04-bf48-a9d0-0b5a1f5e8c11\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        received.lock().unwrap().push(request);
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}
