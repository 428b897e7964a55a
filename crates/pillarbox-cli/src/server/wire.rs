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

use pillarbox::receive::Refusal;

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
pub(super) enum BodyFraming {
    /// In one way.
    Plain,
    /// In more than one, or in the same way twice: two readers could disagree.
    Ambiguous,
}

/// What to do about a connection now.
#[derive(Debug)]
pub(super) enum ConnectionVerdict {
    /// Nothing.
    Keep,
    /// Close it when it is idle.
    Close,
    /// Refuse what it is sending.
    Refuse(Refusal),
}

/// What is known of a connection, shared between its reader and its keeper.
#[derive(Clone)]
pub(super) struct ConnectionWatch(Arc<Mutex<WatchState>>);

struct WatchState {
    phase: WirePhase,
    since: Instant,
    head: Vec<u8>,
    seen: Option<ParsedHead>,
    served: bool,
    too_long: bool,
}

#[derive(PartialEq, Eq)]
enum WirePhase {
    Idle,
    Head,
    Busy,
}

impl ConnectionWatch {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(WatchState {
            phase: WirePhase::Idle,
            since: Instant::now(),
            head: Vec::new(),
            seen: None,
            served: false,
            too_long: false,
        })))
    }

    /// A request's head has been parsed, and has so many headers. Returns its framing; `None` if
    /// it, or the beginning of it, came along with the request before, where it was not seen.
    pub(super) fn begin(&self, headers: usize) -> Option<BodyFraming> {
        let mut state = self.state();
        state.phase = WirePhase::Busy;
        let seen = state.seen.take()?;
        // Of an ambiguous head the library drops a header; what is left of half a head has too few.
        (seen.framing == BodyFraming::Ambiguous || seen.headers == headers).then_some(seen.framing)
    }

    /// The request has been answered.
    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.phase, state.since, state.served) = (WirePhase::Idle, Instant::now(), true);
    }

    /// What to do about the connection at `now`.
    pub(super) fn verdict(&self, now: Instant, scarce: bool) -> ConnectionVerdict {
        let state = self.state();
        let silent = now.duration_since(state.since);
        let idle = if scarce || !state.served {
            IDLE_WHEN_SCARCE
        } else {
            IDLE
        };
        match state.phase {
            WirePhase::Head if silent >= HEAD => ConnectionVerdict::Refuse(Refusal::Slow),
            WirePhase::Idle if silent >= idle => ConnectionVerdict::Close,
            _ => ConnectionVerdict::Keep,
        }
    }

    /// Whether reading was stopped because a head is too long.
    pub(super) fn is_too_long(&self) -> bool {
        self.state().too_long
    }

    fn saw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.phase == WirePhase::Idle {
            state.head.clear();
            (state.phase, state.since, state.seen) = (WirePhase::Head, Instant::now(), None);
        }
        if state.phase == WirePhase::Head && state.seen.is_none() {
            state.scan(bytes)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchState {
    fn scan(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = (LONGEST_HEAD + 1)
            .saturating_sub(self.head.len())
            .min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        if bytes.contains(&b'\n') {
            self.seen = see(&self.head);
        }
        let end = self
            .seen
            .as_ref()
            .map_or(self.head.len(), |seen| seen.length);
        self.too_long = end > LONGEST_HEAD;
        if self.too_long {
            Err(io::Error::other("the head is too long"))
        } else {
            Ok(())
        }
    }
}

/// A head as the library reads it, too.
struct ParsedHead {
    length: usize,
    headers: usize,
    framing: BodyFraming,
}

/// Counts the headers that say where the body ends, once the head is whole. It is the library's own
/// parser that says so: it passes over empty lines and takes a lone newline for the end of a line.
/// What it can't parse is the library's to refuse.
fn see(head: &[u8]) -> Option<ParsedHead> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = request.parse(head) else {
        return None;
    };
    let ends = |name: &str| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    };
    let count = request
        .headers
        .iter()
        .filter(|header| ends(header.name))
        .count();
    let framing = if count > 1 {
        BodyFraming::Ambiguous
    } else {
        BodyFraming::Plain
    };
    Some(ParsedHead {
        length,
        headers: request.headers.len(),
        framing,
    })
}

/// A TCP stream whose every byte is seen by its [`ConnectionWatch`].
pub(super) struct WatchedStream {
    stream: TcpStream,
    watch: ConnectionWatch,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, watch: ConnectionWatch) -> Self {
        Self { stream, watch }
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        Poll::Ready(if new.is_empty() {
            Ok(())
        } else {
            self.watch.saw(new)
        })
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
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

    fn seen(parts: &[&[u8]], headers: usize) -> Option<BodyFraming> {
        let watch = ConnectionWatch::new();
        for part in parts {
            watch.saw(part).unwrap();
        }
        watch.begin(headers)
    }

    #[test]
    fn a_framing_is_ambiguous_when_it_is_said_twice_however_the_bytes_arrive() {
        for (head, framing) in [
            (
                "POST /pay HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
                BodyFraming::Plain,
            ),
            (
                "POST /pay HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                BodyFraming::Plain,
            ),
            ("GET /hmrc HTTP/1.1\r\nHost: x\r\n\r\n", BodyFraming::Plain),
            (
                "POST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
                BodyFraming::Ambiguous,
            ),
            (
                "POST /pay HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n",
                BodyFraming::Ambiguous,
            ),
            (
                "POST /pay HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                BodyFraming::Ambiguous,
            ),
            (
                "\r\n\r\nPOST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
                BodyFraming::Ambiguous,
            ),
            (
                "POST /pay HTTP/1.1\nContent-Length: 2\ncontent-length: 2\n\n{}",
                BodyFraming::Ambiguous,
            ),
        ] {
            assert_eq!(seen(&[head.as_bytes()], 1), Some(framing), "{head}");
            let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
            assert_eq!(seen(&bytes, 1), Some(framing), "byte by byte: {head}");
        }
    }

    #[test]
    fn half_a_head_is_not_taken_for_a_head() {
        for half in [
            "oding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(seen(&[half.as_bytes()], 3), None, "{half}");
        }
    }

    #[test]
    fn a_head_may_be_ten_kilobytes_long_and_no_longer() {
        let head = |length: usize| {
            let start = "GET /hmrc HTTP/1.1\r\nx: ";
            format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4)).into_bytes()
        };
        let watch = ConnectionWatch::new();
        assert!(watch.saw(&head(LONGEST_HEAD)).is_ok());
        let watch = ConnectionWatch::new();
        assert!(watch.saw(&head(LONGEST_HEAD + 1)).is_err() && watch.is_too_long());
        let watch = ConnectionWatch::new();
        let endless = vec![b'a'; 1000];
        assert!(
            (0..20).any(|_| watch.saw(&endless).is_err()),
            "a head without an end is cut off"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_kept_longer_than_its_sender_keeps_it() {
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let watch = ConnectionWatch::new();
        assert!(
            matches!(watch.verdict(at(6), false), ConnectionVerdict::Close),
            "it never sent anything"
        );
        watch.saw(b"POST").unwrap();
        assert!(matches!(
            watch.verdict(at(4), false),
            ConnectionVerdict::Keep
        ));
        assert!(matches!(
            watch.verdict(at(6), false),
            ConnectionVerdict::Refuse(Refusal::Slow)
        ));
        watch.begin(0);
        assert!(
            matches!(watch.verdict(at(600), true), ConnectionVerdict::Keep),
            "it is being answered"
        );
        watch.end();
        assert!(matches!(
            watch.verdict(at(70), false),
            ConnectionVerdict::Keep
        ));
        assert!(matches!(
            watch.verdict(at(76), false),
            ConnectionVerdict::Close
        ));
        assert!(
            matches!(watch.verdict(at(6), true), ConnectionVerdict::Close),
            "others are waiting"
        );
    }
}
