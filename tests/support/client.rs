//! A client that sends raw bytes, and checks every response.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// The time limit for every answer in a test. Longer than the server's own time limits.
pub const DEADLINE: Duration = Duration::from_secs(100);

/// The headers that an answer is allowed to have.
const HEADERS: [&str; 7] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "x-content-type-options",
];

/// The bodies that an answer is allowed to have, besides an echoed challenge. The empty body is the
/// HTTP library's.
const BODIES: [(u16, &[&str]); 9] = [
    (
        200,
        &[
            r#"{"status":"recorded"}"#,
            r#"{"status":"duplicate"}"#,
            r#"{"status":"held"}"#,
            "ok",
        ],
    ),
    (
        400,
        &[r#"{"error":"challenge"}"#, r#"{"error":"malformed"}"#, ""],
    ),
    (401, &[r#"{"error":"signature"}"#]),
    (404, &[r#"{"error":"not_found"}"#]),
    (405, &[r#"{"error":"method"}"#]),
    (408, &[r#"{"error":"slow"}"#]),
    (413, &[r#"{"error":"too_large"}"#]),
    (431, &[r#"{"error":"headers_too_large"}"#, ""]),
    (
        503,
        &[
            r#"{"error":"inbox"}"#,
            r#"{"error":"no_secret"}"#,
            "inbox",
            "no_secret",
        ],
    ),
];

/// A complete answer.
#[derive(Clone, Debug)]
pub struct CheckedResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl CheckedResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Checks the rules for every answer: a known status and body, and no header for a redirect, a
    /// cookie or details.
    pub fn judge(&self, to_head: bool) {
        for (name, _) in &self.headers {
            assert!(HEADERS.contains(&name.as_str()), "{name} in {self:?}");
        }
        let bodies = BODIES
            .iter()
            .find(|(status, _)| *status == self.status)
            .map(|(_, bodies)| *bodies);
        let bodies = bodies.unwrap_or_else(|| panic!("unexpected status: {self:?}"));
        let is_echo = self.status == 200 && self.body.starts_with(r#"{"challenge":""#);
        assert!(
            is_echo || to_head || bodies.contains(&self.body.as_str()),
            "{self:?}"
        );
        let allowed = match self.status {
            405 => &[Some("GET, POST"), Some("GET")][..],
            _ => &[None],
        };
        assert!(allowed.contains(&self.header("allow")), "{self:?}");
        let content_type = match self.body.chars().next() {
            None => return,
            Some('{') => "application/json",
            Some(_) => "text/plain",
        };
        assert_eq!(self.header("content-type"), Some(content_type), "{self:?}");
    }
}

/// One connection.
pub struct HttpConnection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    unread: Vec<u8>,
}

impl HttpConnection {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            writer,
            unread: Vec::new(),
        }
    }

    /// Sends bytes while it reads, and returns the first answer that is not an interim response.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> CheckedResponse {
        let Self {
            reader,
            writer,
            unread,
        } = self;
        // A failed write is not an error: the server may have answered before it.
        let (_, answer) = tokio::join!(
            writer.write_all(bytes.as_ref()),
            final_response(reader, unread, bytes.as_ref())
        );
        answer.expect("an answer before the connection ended")
    }

    /// Sends bytes without waiting for an answer.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends bytes, and ignores an error if the server closes the connection.
    pub async fn write_some(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.writer.write_all(bytes.as_ref()).await;
    }

    /// The next answer; `None` if the connection ends without one.
    pub async fn answer(&mut self) -> Option<CheckedResponse> {
        final_response(&mut self.reader, &mut self.unread, b"").await
    }

    /// Waits for `100 Continue`. From then on the request is in flight.
    pub async fn await_continue(&mut self) {
        let interim = next(&mut self.reader, &mut self.unread, false)
            .await
            .unwrap();
        assert_eq!(interim.status, 100);
    }

    /// Closes the sending side, and still reads.
    pub async fn finish(&mut self) {
        self.writer.shutdown().await.unwrap();
    }

    /// Waits for the server to close the connection.
    pub async fn is_closed(&mut self) {
        assert!(
            self.answer().await.is_none(),
            "the connection ends without another answer"
        );
    }
}

async fn final_response(
    reader: &mut OwnedReadHalf,
    unread: &mut Vec<u8>,
    request: &[u8],
) -> Option<CheckedResponse> {
    let to_head = request.starts_with(b"HEAD ");
    loop {
        let answer = next(reader, unread, to_head).await?;
        if answer.status != 100 {
            answer.judge(to_head);
            return Some(answer);
        }
    }
}

async fn next(
    reader: &mut OwnedReadHalf,
    unread: &mut Vec<u8>,
    to_head: bool,
) -> Option<CheckedResponse> {
    loop {
        if let Some((answer, length)) = parse_response(unread, to_head) {
            unread.drain(..length);
            return Some(answer);
        }
        let read = timeout(DEADLINE, reader.read_buf(unread))
            .await
            .expect("the server answers or closes in time");
        if !matches!(read, Ok(1..)) {
            assert!(
                unread.is_empty(),
                "the connection ended within an answer: {}",
                String::from_utf8_lossy(unread)
            );
            return None;
        }
    }
}

/// The answer at the beginning of `bytes` and its length, once it is complete.
fn parse_response(bytes: &[u8], to_head: bool) -> Option<(CheckedResponse, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).unwrap() else {
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut answer = CheckedResponse {
        status: response.code.unwrap(),
        headers: Vec::new(),
        body: String::new(),
    };
    answer.headers.extend(
        response
            .headers
            .iter()
            .map(|it| (it.name.to_ascii_lowercase(), text(it.value))),
    );
    let length = answer
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let end = if to_head || answer.status == 100 {
        head
    } else {
        head + length
    };
    answer.body = text(bytes.get(head..end)?);
    Some((answer, end))
}
