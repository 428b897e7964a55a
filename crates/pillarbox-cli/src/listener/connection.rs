//! Serves one connection from its first byte to its last, with a limit on each phase.

use std::{sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    HttpService,
    slots::ConnectionSlot,
    wire::{ConnectionVerdict, ConnectionWatch, PeerStream, WatchedStream},
};
use pillarbox::receive::Refusal;

/// How often a connection's clocks are checked.
const TICK: Duration = Duration::from_secs(1);
/// How long a refused connection has to read its answer.
const REFUSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The HTTP library's buffer for each direction of a connection, longer than the longest head.
const BUFFER_BYTES: usize = 16 * 1024;

/// Serves one connection.
pub(super) struct ConnectionKeeper<S> {
    pub(super) service: Arc<S>,
    pub(super) watch: ConnectionWatch,
    pub(super) stop: CancellationToken,
}

/// How a connection ends.
enum ConnectionEnd {
    /// Its stream is closed.
    Close,
    /// Its stream is reset, and the bytes that the peer has not read are discarded.
    Reset,
    /// It is refused.
    Refuse(Refusal, AnswerState),
}

/// Whether the answer has been written.
#[derive(PartialEq, Eq)]
enum AnswerState {
    Already,
    NotYet,
}

impl<S: HttpService> ConnectionKeeper<S> {
    /// Serves the connection until it ends or is evicted.
    pub(super) async fn keep(self, stream: impl PeerStream, slot: ConnectionSlot) {
        tokio::select! {
            biased;
            () = slot.evicted() => {}
            () = self.serve(stream) => {}
        }
    }

    pub(super) async fn serve(self, stream: impl PeerStream) {
        stream.send_without_delay();
        let (service, watch) = (Arc::clone(&self.service), self.watch.clone());
        let answer = service_fn(move |request| {
            let (service, watch) = (Arc::clone(&service), watch.clone());
            async move { Ok::<_, std::convert::Infallible>(service.answer(request, &watch).await) }
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .half_close(true)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(
                TokioIo::new(WatchedStream::new(stream, self.watch.clone())),
                answer,
            );
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending = false;
        let end = loop {
            tokio::select! {
                ended = &mut connection => break self.end_of(ended.err()),
                () = self.stop.cancelled(), if !ending => {
                    ending = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                _ = tick.tick() => match self.watch.verdict(Instant::now()) {
                    ConnectionVerdict::Keep => {}
                    ConnectionVerdict::Close => Pin::new(&mut connection).graceful_shutdown(),
                    ConnectionVerdict::Reset => break ConnectionEnd::Reset,
                    ConnectionVerdict::Refuse(refusal) => {
                        break ConnectionEnd::Refuse(refusal, AnswerState::NotYet);
                    }
                },
            }
        };
        let stream = connection.into_parts().io.into_inner().into_stream();
        match end {
            ConnectionEnd::Close => {}
            // Otherwise the system would keep the unread bytes for minutes.
            ConnectionEnd::Reset => stream.reset_when_dropped(),
            ConnectionEnd::Refuse(refusal, state) => self.refuse(stream, refusal, state).await,
        }
    }

    /// How to end a connection that the HTTP library has ended. A peer that has disconnected is not
    /// refused.
    fn end_of(&self, error: Option<hyper::Error>) -> ConnectionEnd {
        let Some(error) = error else {
            return ConnectionEnd::Close;
        };
        if self.watch.is_too_long() {
            ConnectionEnd::Refuse(Refusal::HeadersTooLarge, AnswerState::NotYet)
        } else if error.is_parse_too_large() {
            ConnectionEnd::Refuse(Refusal::HeadersTooLarge, AnswerState::Already)
        } else if error.is_parse() {
            let refusal = Refusal::Malformed("not an HTTP/1.1 request");
            ConnectionEnd::Refuse(refusal, AnswerState::Already)
        } else {
            ConnectionEnd::Close
        }
    }

    /// Refuses bytes that are not a request.
    async fn refuse(&self, mut stream: impl PeerStream, refusal: Refusal, state: AnswerState) {
        let answer = self.service.refuse(refusal);
        if state == AnswerState::Already {
            return;
        }
        let text = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
             cache-control: no-store\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
            http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::BAD_REQUEST),
            answer.body.len(),
            answer.body
        );
        let answered = async {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing with unread bytes would reset the connection and lose the answer.
            let mut discarded = [0; 1024];
            while stream.read(&mut discarded).await? > 0 {}
            std::io::Result::Ok(())
        };
        if tokio::time::timeout(REFUSE_TIMEOUT, answered)
            .await
            .is_err()
        {
            stream.reset_when_dropped();
        }
    }
}
