//! The callback port of `serve`: any bytes on one connection, and well-formed requests.

use std::{cell::OnceCell, sync::Arc};

use pillarbox_cli::server::InMemoryServer;
use proof::{
    fuzz::{FuzzInput, request, seed_requests, structured_seeds},
    receiver_under_test::{CountingInbox, SOURCES, StoppedClock, receiver},
    second_verifier::{ExpectedAnswer, PlainRequest, is_signed, judge},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
};

/// The capacity of the pipe between client and server.
const PIPE_BYTES: usize = 64 * 1024;
/// The statuses that a sender may get.
const STATUSES: [u16; 9] = [200, 400, 401, 404, 405, 408, 413, 431, 503];

struct Port {
    inbox: Arc<CountingInbox>,
    server: InMemoryServer<CountingInbox>,
    runtime: Runtime,
}

thread_local! {
    static PORT: OnceCell<Port> = const { OnceCell::new() };
}

impl Port {
    fn open() -> Self {
        let inbox = Arc::new(CountingInbox::default());
        let runtime = Builder::new_current_thread().enable_time().build();
        Self {
            server: InMemoryServer::new(receiver(Arc::clone(&inbox)), Arc::new(StoppedClock)),
            inbox,
            runtime: runtime.expect("a runtime of one thread needs nothing"),
        }
    }

    /// Sends these bytes on a connection, and returns all bytes that the server writes.
    fn exchange(&self, sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
        let exchange = async move {
            // The server may stop reading before the end.
            let _ = client.write_all(sent).await;
            let _ = client.shutdown().await;
            let mut received = Vec::new();
            let _ = client.read_to_end(&mut received).await;
            received
        };
        self.runtime
            .block_on(async { tokio::join!(exchange, self.server.serve(server)).0 })
    }
}

/// The first byte selects the mode: raw bytes, or one well-formed HTTP/1.1 request.
pub fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    PORT.with(|port| {
        let port = port.get_or_init(Port::open);
        match first % 2 {
            0 => raw(port, rest),
            _ => well_formed(port, rest),
        }
    });
}

/// Any bytes: every answer is well-formed, and only signed bodies are stored.
fn raw(port: &Port, sent: &[u8]) {
    let before = port.inbox.calls();
    let received = port.exchange(sent);
    let stored = port.inbox.calls() - before;
    let statuses = statuses(&received);
    let answered = statuses.iter().filter(|status| **status == 200).count() as u64;
    assert!(
        stored <= answered,
        "{stored} stored, {answered} answered with 200"
    );
    check_stored(port);
}

fn check_stored(port: &Port) {
    if let Some(stored) = port.inbox.take_last() {
        let source = SOURCES.iter().find(|source| source.name == stored.source);
        let header = stored.signature.unwrap_or_default();
        assert!(is_signed(source.unwrap(), &stored.body, header.as_bytes()));
    }
}

/// One request, with a length or in chunks: the same outcome as in the second implementation.
fn well_formed(port: &Port, bytes: &[u8]) {
    let mut input = FuzzInput::new(bytes);
    let pieces = input.byte();
    let request = request(&mut input);
    if !is_plain(&request) {
        return;
    }
    let expected = judge(&SOURCES, &request);
    let sent = serialise(&request, pieces);
    let before = port.inbox.calls();
    let received = port.exchange(&sent);
    let stored = port.inbox.calls() - before;
    let status = statuses(&received).first().copied();
    let right = match expected {
        ExpectedAnswer::Proven(_) => status == Some(200) && stored == 1,
        ExpectedAnswer::Challenge(_) | ExpectedAnswer::Monitor => {
            status == Some(200) && stored == 0
        }
        ExpectedAnswer::Refused(expected) => status == Some(expected) && stored == 0,
    };
    assert!(
        right,
        "{expected:?}, but {status:?} and {stored} stored: {request:?}"
    );
    if let Some(last) = port.inbox.take_last() {
        assert_eq!(last.body, request.body);
    }
}

/// Whether every HTTP parser reads the request in the same way.
fn is_plain(request: &PlainRequest) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let in_query = |byte: u8| plain(byte) || b"=&%+".contains(&byte);
    let in_value = |byte: &u8| (0x21..0x7f).contains(byte);
    let control_headers = [
        "content-length",
        "transfer-encoding",
        "connection",
        "expect",
        "upgrade",
        "host",
    ];
    let is_known = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"].contains(&&*request.method);
    is_known
        && request.path.starts_with('/')
        && request.path.bytes().all(plain)
        && request.query.bytes().all(in_query)
        && request.headers.iter().all(|(name, value)| {
            !control_headers.contains(&&*name.to_lowercase())
                && !value.is_empty()
                && value.iter().all(in_value)
        })
}

fn serialise(request: &PlainRequest, pieces: u8) -> Vec<u8> {
    let mark = if request.query.is_empty() { "" } else { "?" };
    let line = format!(
        "{} {}{mark}{} HTTP/1.1\r\n",
        request.method, request.path, request.query
    );
    let mut sent = format!("{line}Host: x\r\nConnection: close\r\n").into_bytes();
    for (name, value) in &request.headers {
        sent.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    if pieces % 4 > 0 && !request.body.is_empty() {
        sent.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        let length = request.body.len() / usize::from(pieces % 4) + 1;
        for chunk in request.body.chunks(length) {
            sent.extend(format!("{:x}\r\n", chunk.len()).bytes());
            sent.extend([chunk, b"\r\n"].concat());
        }
        sent.extend(b"0\r\n\r\n");
    } else {
        sent.extend(format!("Content-Length: {}\r\n\r\n", request.body.len()).bytes());
        sent.extend_from_slice(&request.body);
    }
    sent
}

/// The statuses of all answers.
fn statuses(received: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut rest = received;
    while !rest.is_empty() {
        let head = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let head = head.unwrap_or_else(|| panic!("an incomplete answer: {rest:?}"));
        let text = std::str::from_utf8(&rest[..head]).unwrap().to_lowercase();
        let status: u16 = text.strip_prefix("http/1.").unwrap()[2..5].parse().unwrap();
        rest = &rest[head + 4..];
        if status == 100 {
            continue;
        }
        assert!(STATUSES.contains(&status), "{text}");
        assert!(!text.contains("set-cookie") && !text.contains("retry-after"));
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        // The answer to HEAD has a length but no body.
        let length: usize = length.unwrap_or(0);
        let is_here = rest.len() >= length && !rest.starts_with(b"HTTP/1.");
        rest = if is_here { &rest[length..] } else { rest };
        statuses.push(status);
    }
    statuses
}

/// Genuine requests in both modes: pipelined, chunked, and with two lengths.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = structured_seeds()
        .into_iter()
        .flat_map(|seed| [0, 2].map(|pieces| [&[1, pieces][..], &seed].concat()))
        .collect();
    for request in seed_requests() {
        let whole = serialise(&request, 0);
        let chunked = serialise(&request, 3);
        let kept = String::from_utf8_lossy(&whole).replace("Connection: close\r\n", "");
        let twice = format!("{kept}{kept}");
        let two = kept.replace("Content-Length", "Content-Length: 2\r\nContent-Length");
        for sent in [whole, chunked, twice.into_bytes(), two.into_bytes()] {
            seeds.push([&[0][..], &sent].concat());
        }
    }
    seeds.push(b"\0GET /hmrc?challenge=abc HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    seeds.push(
        b"\0POST /pay HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}".into(),
    );
    seeds.push(b"\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    seeds
}
