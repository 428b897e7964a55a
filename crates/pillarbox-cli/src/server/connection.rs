//! Connections in, requests out: how many, how long, and how they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    request::RequestHandler,
    wire::{ConnectionVerdict, ConnectionWatch, WatchedStream},
};
use pillarbox::{
    inbox::Inbox,
    receive::{Refusal, answer},
    telemetry::RequestRecord,
};

/// How many connections there may be at once; further ones wait in the system's queue. Half of the
/// file descriptors that a process commonly has: the inbox needs some, too.
const MOST: usize = 512;
/// How often a connection's clocks are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long requests in flight have to end once the process is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Accepts connections until told to `stop`, then lets those in flight end.
pub(super) async fn accept<I: Inbox>(
    listener: TcpListener,
    handler: Arc<RequestHandler<I>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MOST));
    let scarce = Arc::new(AtomicBool::new(false));
    let mut connections = JoinSet::new();
    loop {
        scarce.store(places.available_permits() == 0, Ordering::Relaxed);
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let keeper = ConnectionKeeper {
                    handler: Arc::clone(&handler),
                    scarce: Arc::clone(&scarce),
                    stop: stop.clone(),
                };
                connections.spawn(async move {
                    keeper.keep(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Usually too many open files: it passes, and refusing to go on would not help.
                tracing::error!(reason = %error, "a connection could not be accepted");
                tokio::time::sleep(TICK).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_REQUESTS, ended).await.is_err() {
        tracing::warn!(
            "some requests did not end in time and were cut off; their senders will try again"
        );
    }
}

/// Keeps one connection.
struct ConnectionKeeper<I> {
    handler: Arc<RequestHandler<I>>,
    scarce: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl<I: Inbox> ConnectionKeeper<I> {
    async fn keep(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true); // an answer is one small packet and must not wait
        let watch = ConnectionWatch::new();
        let (handler, seen) = (Arc::clone(&self.handler), watch.clone());
        let service = service_fn(move |request| {
            let (handler, seen) = (Arc::clone(&handler), seen.clone());
            async move { Ok::<_, std::convert::Infallible>(handler.answer(request, &seen).await) }
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .half_close(true)
            .max_buf_size(64 * 1024)
            .serve_connection(
                TokioIo::new(WatchedStream::new(stream, watch.clone())),
                service,
            );
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending = false;
        let refusal = loop {
            tokio::select! {
                ended = &mut connection => break refusal_of(&watch, ended.err()),
                () = self.stop.cancelled(), if !ending => {
                    ending = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                _ = tick.tick() => match watch.verdict(Instant::now(),
                    self.scarce.load(Ordering::Relaxed)) {
                    ConnectionVerdict::Keep => {}
                    ConnectionVerdict::Close => Pin::new(&mut connection).graceful_shutdown(),
                    ConnectionVerdict::Refuse(refusal) => break Some((refusal,
                        AnswerState::NotYet)),
                },
            }
        };
        let stream = connection.into_parts().io.into_inner().into_stream();
        if let Some((refusal, told)) = refusal {
            refuse(stream, refusal, told).await;
        }
    }
}

/// Whether the sender has had its answer already.
#[derive(PartialEq, Eq)]
enum AnswerState {
    Already,
    NotYet,
}

/// What a connection that ended in an error was refused for; a sender that just left is no refusal.
fn refusal_of(
    watch: &ConnectionWatch,
    error: Option<hyper::Error>,
) -> Option<(Refusal, AnswerState)> {
    let error = error?;
    if watch.is_too_long() {
        return Some((Refusal::HeadersTooLarge, AnswerState::NotYet));
    }
    if error.is_parse_too_large() {
        return Some((Refusal::HeadersTooLarge, AnswerState::Already));
    }
    error.is_parse().then_some((
        Refusal::Malformed("this is no HTTP/1.1 request"),
        AnswerState::Already,
    ))
}

/// Refuses a request that never became one.
async fn refuse(mut stream: TcpStream, refusal: Refusal, told: AnswerState) {
    let mut record = RequestRecord::default();
    let answer = answer(&Err(refusal), &mut record);
    record.log();
    if told == AnswerState::NotYet {
        let text = format!(
            "HTTP/1.1 {}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
             cache-control: no-store\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
            http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::BAD_REQUEST),
            answer.body.len(),
            answer.body
        );
        let say = async {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            // Closing while unread bytes wait would reset the connection and lose the answer.
            let mut thrown = vec![0; 16 * 1024];
            while tokio::io::AsyncReadExt::read(&mut stream, &mut thrown).await? > 0 {}
            std::io::Result::Ok(())
        };
        // a sender that doesn't listen is not waited for
        let _ = tokio::time::timeout(TICK, say).await;
    }
}
