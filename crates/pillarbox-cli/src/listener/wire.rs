//! Watches the bytes of a connection: how long it is silent, how long a request's head takes and
//! is, and whether the framing of the body is ambiguous.
//!
//! The HTTP library parses requests, but it has one timer for idle connections and slow heads, and
//! it drops the header that makes a framing ambiguous. So this module reads the bytes first.

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

/// The longest head that is accepted. API Gateway has the same limit.
const LONGEST_HEAD: usize = 10_240;
/// How long a head may take from its first byte.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may stay silent between requests. Both senders keep idle connections for
/// 60 s, and HMRC posts again if one was closed.
const IDLE: Duration = Duration::from_secs(75);
/// How long a new connection may stay silent.
const FIRST_IDLE: Duration = Duration::from_secs(5);
/// How long an answer may stay unread before its peer counts as slow.
const SLOW_READER: Duration = Duration::from_secs(1);

/// How a request declares where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// At most once.
    Plain,
    /// More than once: two readers could disagree.
    Ambiguous,
}

/// What to do about a connection now.
#[derive(Debug)]
pub(super) enum ConnectionVerdict {
    /// Nothing.
    Keep,
    /// Close it when it is idle.
    Close,
    /// Reset it: its peer does not read.
    Reset,
    /// Refuse what it is sending.
    Refuse(Refusal),
}

/// What a connection has shown so far. The connection with the least is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EvictionRank {
    /// It never sent a request.
    Silent,
    /// It does not read its answer.
    Unread,
    /// It is sending its first head.
    FirstHead,
    /// It is idle, and none of its requests was proven.
    Idle,
    /// It is sending another head.
    Head,
    /// It is sending a body.
    Body,
    /// It is idle, and a sender's signature has proven one of its requests.
    Proven,
}

/// What is known of a connection, shared between its reader and its keeper.
#[derive(Clone)]
pub(crate) struct ConnectionWatch(Arc<Mutex<WatchState>>);

struct WatchState {
    phase: WirePhase,
    since: Instant,
    head: Vec<u8>,
    seen: Option<ParsedHead>,
    served: bool,
    proven: bool,
    too_long: bool,
    /// When the oldest answer that is not completely written was given.
    unflushed: Option<Instant>,
    flush_limit: Duration,
}

#[derive(PartialEq, Eq)]
enum WirePhase {
    Idle,
    Head,
    /// The request is being received.
    Body,
    /// The request is complete, and is being answered.
    Busy,
}

impl ConnectionWatch {
    /// A watch over a new connection, whose answers may stay unread for `flush_limit`.
    pub(super) fn new(flush_limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(WatchState {
            phase: WirePhase::Idle,
            since: Instant::now(),
            head: Vec::new(),
            seen: None,
            served: false,
            proven: false,
            too_long: false,
            unflushed: None,
            flush_limit,
        })))
    }

    /// Called when a head with this number of headers has been parsed. Returns its framing; `None`
    /// if the head began in the bytes of the request before, where it was not seen.
    pub(crate) fn begin(&self, headers: usize) -> Option<BodyFraming> {
        let mut state = self.state();
        (state.phase, state.since) = (WirePhase::Body, Instant::now());
        let seen = state.seen.take()?;
        // The library drops a header of an ambiguous head. Half a head has too few headers.
        (seen.framing == BodyFraming::Ambiguous || seen.headers == headers).then_some(seen.framing)
    }

    /// Called when the request is complete. From then on it is not cut off.
    pub(crate) fn received(&self) {
        let mut state = self.state();
        (state.phase, state.since) = (WirePhase::Busy, Instant::now());
    }

    /// Called when the request has been answered; `proven` if a sender's signature proved it.
    pub(crate) fn end(&self, proven: bool) {
        let now = Instant::now();
        let mut state = self.state();
        (state.phase, state.since, state.served) = (WirePhase::Idle, now, true);
        state.proven |= proven;
        state.unflushed.get_or_insert(now);
    }

    /// What to do about the connection at `now`.
    pub(super) fn verdict(&self, now: Instant) -> ConnectionVerdict {
        let state = self.state();
        let silent = now.duration_since(state.since);
        let idle = if state.served { IDLE } else { FIRST_IDLE };
        if state.unread(now) >= state.flush_limit {
            return ConnectionVerdict::Reset;
        }
        match state.phase {
            WirePhase::Head if silent >= HEAD => ConnectionVerdict::Refuse(Refusal::Slow),
            WirePhase::Idle if silent >= idle => ConnectionVerdict::Close,
            _ => ConnectionVerdict::Keep,
        }
    }

    /// What the connection has shown, and since when; `None` while its request is being answered.
    pub(super) fn eviction_rank(&self, now: Instant) -> Option<(EvictionRank, Instant)> {
        let state = self.state();
        let rank = match state.phase {
            WirePhase::Busy => return None,
            _ if state.unread(now) >= SLOW_READER => EvictionRank::Unread,
            WirePhase::Head if state.served => EvictionRank::Head,
            WirePhase::Head => EvictionRank::FirstHead,
            WirePhase::Body => EvictionRank::Body,
            WirePhase::Idle if state.unflushed.is_some() => return None,
            WirePhase::Idle if state.proven => EvictionRank::Proven,
            WirePhase::Idle if state.served => EvictionRank::Idle,
            WirePhase::Idle => EvictionRank::Silent,
        };
        Some((rank, state.since))
    }

    /// Whether reading was stopped because a head is too long.
    pub(super) fn is_too_long(&self) -> bool {
        self.state().too_long
    }

    /// Called when every answer has been written.
    fn on_flush(&self) {
        self.state().unflushed = None;
    }

    /// Called with the bytes that were read. Fails if a head is too long.
    fn on_read(&self, bytes: &[u8]) -> io::Result<()> {
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
    /// How long the oldest unread answer has been unread.
    fn unread(&self, now: Instant) -> Duration {
        let unread = self.unflushed.map(|since| now.duration_since(since));
        unread.unwrap_or_default()
    }

    fn scan(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = (LONGEST_HEAD + 1)
            .saturating_sub(self.head.len())
            .min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        if bytes.contains(&b'\n') {
            self.seen = parse_head(&self.head);
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

/// A head, parsed as the HTTP library parses it.
struct ParsedHead {
    length: usize,
    headers: usize,
    framing: BodyFraming,
}

/// Parses a head, and counts the headers that declare where the body ends; `None` while the head is
/// incomplete. The parser is the HTTP library's own, so both skip empty lines and accept a lone
/// newline. The library refuses what it cannot parse.
fn parse_head(head: &[u8]) -> Option<ParsedHead> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = request.parse(head) else {
        return None;
    };
    let declares_end = |name: &str| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    };
    let count = request
        .headers
        .iter()
        .filter(|header| declares_end(header.name))
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

/// The transport of a connection: TCP, or memory in a test.
pub(super) trait PeerStream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Has written bytes sent without delay.
    fn send_without_delay(&self) {}

    /// Has the connection reset when it is dropped, which discards the bytes that the peer has not
    /// read.
    fn reset_when_dropped(&self) {}
}

/// If the system refuses, the answer or its end is only delayed.
impl PeerStream for TcpStream {
    fn send_without_delay(&self) {
        drop(self.set_nodelay(true));
    }

    fn reset_when_dropped(&self) {
        drop(self.set_zero_linger());
    }
}

#[cfg(feature = "test-support")]
impl PeerStream for tokio::io::DuplexStream {}

/// A stream that shows every byte that it reads to a [`ConnectionWatch`].
pub(super) struct WatchedStream<T> {
    stream: T,
    watch: ConnectionWatch,
}

impl<T> WatchedStream<T> {
    pub(super) fn new(stream: T, watch: ConnectionWatch) -> Self {
        Self { stream, watch }
    }

    pub(super) fn into_stream(self) -> T {
        self.stream
    }
}

impl<T: PeerStream> AsyncRead for WatchedStream<T> {
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
            self.watch.on_read(new)
        })
    }
}

impl<T: PeerStream> AsyncWrite for WatchedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    /// The HTTP library flushes only when its buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.watch.on_flush();
        Poll::Ready(Ok(()))
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
mod tests;
