//! A connection under watch: how long it may stay silent, how long a request's head may take and
//! be, and whether its framing can be read in two ways.
//!
//! The HTTP library parses requests, but it keeps one timer for idle connections and slow heads,
//! and it drops the header that makes a framing ambiguous. This looks at the bytes before it does.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::receive::Refusal;

/// The longest head that is taken in; API Gateway has the same limit.
const LONGEST_HEAD: usize = 10_240;
/// How long a head may take from its first byte.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may stay silent between requests. Both senders keep theirs for 60 s, and
/// HMRC posts again when it finds one closed.
const IDLE: Duration = Duration::from_secs(75);
/// The same for one that never sent anything, and for all of them when there are too many.
const IDLE_WHEN_SCARCE: Duration = Duration::from_secs(5);

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// In one way.
    Plain,
    /// In more than one, or in the same way twice: two readers could disagree.
    Ambiguous,
}

/// What to do about a connection now.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// Close it when it is idle.
    Close,
    /// Refuse what it is sending.
    Refuse(Refusal),
}

/// What is known of a connection, shared between its reader and its keeper.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    since: Instant,
    head: Vec<u8>,
    seen: Option<Seen>,
    served: bool,
    too_long: bool,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Busy,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Idle,
            since: Instant::now(),
            head: Vec::new(),
            seen: None,
            served: false,
            too_long: false,
        })))
    }

    /// A request's head has been parsed, and has so many headers. Returns its framing; `None` if it,
    /// or the beginning of it, came along with the request before, where it was not seen.
    pub(super) fn begin(&self, headers: usize) -> Option<Framing> {
        let mut state = self.state();
        state.phase = Phase::Busy;
        let seen = state.seen.take()?;
        // Of an ambiguous head the library drops a header; what is left of half a head has too few.
        (seen.framing == Framing::Ambiguous || seen.headers == headers).then_some(seen.framing)
    }

    /// The request has been answered.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.phase, state.since, state.served) = (Phase::Idle, Instant::now(), true);
    }

    /// What to do about the connection at `now`.
    pub(super) fn verdict(&self, now: Instant, scarce: bool) -> Verdict {
        let state = self.state();
        let silent = now.duration_since(state.since);
        let idle = if scarce || !state.served { IDLE_WHEN_SCARCE } else { IDLE };
        match state.phase {
            Phase::Head if silent >= HEAD => Verdict::Refuse(Refusal::Slow),
            Phase::Idle if silent >= idle => Verdict::Close,
            _ => Verdict::Keep,
        }
    }

    /// Whether reading was stopped because a head is too long.
    pub(super) fn is_too_long(&self) -> bool {
        self.state().too_long
    }

    fn saw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.head.clear();
            (state.phase, state.since, state.seen) = (Phase::Head, Instant::now(), None);
        }
        if state.phase == Phase::Head && state.seen.is_none() {
            state.scan(bytes)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn scan(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = (LONGEST_HEAD + 1).saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        if bytes.contains(&b'\n') {
            self.seen = see(&self.head);
        }
        let end = self.seen.as_ref().map_or(self.head.len(), |seen| seen.length);
        self.too_long = end > LONGEST_HEAD;
        if self.too_long { Err(io::Error::other("the head is too long")) } else { Ok(()) }
    }
}

/// A head as the library reads it, too.
struct Seen {
    length: usize,
    headers: usize,
    framing: Framing,
}

/// Counts the headers that say where the body ends, once the head is whole. It is the library's own
/// parser that says so: it passes over empty lines and takes a lone newline for the end of a line.
/// What it can't parse is the library's to refuse.
fn see(head: &[u8]) -> Option<Seen> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = request.parse(head) else { return None };
    let ends =
        |name: &str| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
    let count = request.headers.iter().filter(|header| ends(header.name)).count();
    let framing = if count > 1 { Framing::Ambiguous } else { Framing::Plain };
    Some(Seen { length, headers: request.headers.len(), framing })
}

/// A TCP stream whose every byte is seen by its [`Watch`].
pub(super) struct Wire {
    stream: TcpStream,
    watch: Watch,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, watch: Watch) -> Self {
        Self { stream, watch }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        Poll::Ready(if new.is_empty() { Ok(()) } else { self.watch.saw(new) })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(parts: &[&[u8]], headers: usize) -> Option<Framing> {
        let watch = Watch::new();
        for part in parts {
            watch.saw(part).unwrap();
        }
        watch.begin(headers)
    }

    #[test]
    fn a_framing_is_ambiguous_when_it_is_said_twice_however_the_bytes_arrive() {
        for (head, framing) in [
            ("POST /pay HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", Framing::Plain),
            ("POST /pay HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Framing::Plain),
            ("GET /hmrc HTTP/1.1\r\nHost: x\r\n\r\n", Framing::Plain),
            ("POST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}", Framing::Ambiguous),
            ("POST /pay HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n", Framing::Ambiguous),
            ("POST /pay HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Ambiguous),
            ("\r\n\r\nPOST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}", Framing::Ambiguous),
            ("POST /pay HTTP/1.1\nContent-Length: 2\ncontent-length: 2\n\n{}", Framing::Ambiguous),
        ] {
            assert_eq!(seen(&[head.as_bytes()], 1), Some(framing), "{head}");
            let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
            assert_eq!(seen(&bytes, 1), Some(framing), "byte by byte: {head}");
        }
    }

    #[test]
    fn half_a_head_is_not_taken_for_a_head() {
        for half in ["oding: chunked\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            assert_eq!(seen(&[half.as_bytes()], 3), None, "{half}");
        }
    }

    #[test]
    fn a_head_may_be_ten_kilobytes_long_and_no_longer() {
        let head = |length: usize| {
            let start = "GET /hmrc HTTP/1.1\r\nx: ";
            format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4)).into_bytes()
        };
        let watch = Watch::new();
        assert!(watch.saw(&head(LONGEST_HEAD)).is_ok());
        let watch = Watch::new();
        assert!(watch.saw(&head(LONGEST_HEAD + 1)).is_err() && watch.is_too_long());
        let watch = Watch::new();
        let endless = vec![b'a'; 1000];
        assert!((0..20).any(|_| watch.saw(&endless).is_err()), "a head without an end is cut off");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_kept_longer_than_its_sender_keeps_it() {
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let watch = Watch::new();
        assert!(matches!(watch.verdict(at(6), false), Verdict::Close), "it never sent anything");
        watch.saw(b"POST").unwrap();
        assert!(matches!(watch.verdict(at(4), false), Verdict::Keep));
        assert!(matches!(watch.verdict(at(6), false), Verdict::Refuse(Refusal::Slow)));
        watch.begin(0);
        assert!(matches!(watch.verdict(at(600), true), Verdict::Keep), "it is being answered");
        watch.end();
        assert!(matches!(watch.verdict(at(70), false), Verdict::Keep));
        assert!(matches!(watch.verdict(at(76), false), Verdict::Close));
        assert!(matches!(watch.verdict(at(6), true), Verdict::Close), "others are waiting");
    }
}
