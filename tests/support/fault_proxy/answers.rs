//! The answers of a service or network under stress.

use std::{convert::Infallible, io, os::fd::OwnedFd, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{Response, body::Frame};
use rustix::net::sockopt::set_socket_linger;
use tokio::{net::TcpStream, time::sleep};

use super::{ProxyResponse, fault::InjectedFault};

pub(super) fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

/// Adds a second handle to a connection, by which it can be reset.
pub(super) fn with_handle(stream: TcpStream) -> (TcpStream, Arc<OwnedFd>) {
    let stream = stream.into_std().unwrap();
    let handle = Arc::new(OwnedFd::from(stream.try_clone().unwrap()));
    (TcpStream::from_std(stream).unwrap(), handle)
}

/// Makes the connection end with a reset instead of an orderly close.
fn reset(connection: &OwnedFd) -> io::Error {
    set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
    closed()
}

/// An error of the service, as DynamoDB words it.
fn refused(status: u16, error: &str) -> ProxyResponse {
    let text =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{error}","message":"injected"}}"#);
    whole(status, text.into())
}

fn page() -> ProxyResponse {
    let page = Bytes::from_static(b"<html><body>502 Bad Gateway</body></html>");
    let body = Full::new(page).map_err(|never| match never {}).boxed();
    let answer = Response::builder()
        .status(502)
        .header("content-type", "text/html");
    answer.body(body).unwrap()
}

/// The answer of a fault that does not forward the request; `None` if the request is forwarded.
pub(super) async fn answer_before(
    fault: InjectedFault,
    connection: &OwnedFd,
) -> Option<Result<ProxyResponse, io::Error>> {
    Some(match fault {
        InjectedFault::Throttled => Ok(refused(400, "ThrottlingException")),
        InjectedFault::ThroughputExceeded => {
            Ok(refused(400, "ProvisionedThroughputExceededException"))
        }
        InjectedFault::FailsBefore => Ok(whole(500, Bytes::from_static(b"{}"))),
        InjectedFault::UnavailableBefore => Ok(whole(503, Bytes::from_static(b"{}"))),
        InjectedFault::PageBefore => Ok(page()),
        InjectedFault::ExpiredBefore => Ok(refused(400, "ExpiredTokenException")),
        InjectedFault::ClosedBefore => Err(closed()),
        InjectedFault::ResetBefore => Err(reset(connection)),
        InjectedFault::HangsBefore => {
            sleep(LONG).await;
            Err(closed())
        }
        InjectedFault::LateBefore => {
            sleep(Duration::from_secs(1)).await;
            return None;
        }
        _ => return None,
    })
}

/// The answer of a fault after the request was carried out.
pub(super) async fn answer_after(
    fault: InjectedFault,
    connection: &OwnedFd,
    (status, body): (u16, Bytes),
) -> Result<ProxyResponse, io::Error> {
    match fault {
        InjectedFault::ClosedAfter => Err(closed()),
        InjectedFault::ResetAfter => Err(reset(connection)),
        InjectedFault::FailsAfter => Ok(whole(500, Bytes::from_static(b"{}"))),
        InjectedFault::UnavailableAfter => Ok(whole(503, Bytes::from_static(b"{}"))),
        InjectedFault::ThrottledAfter => Ok(refused(400, "ThrottlingException")),
        InjectedFault::PageAfter => Ok(page()),
        InjectedFault::CutAfter => Ok(cut(status, body, Duration::ZERO)),
        InjectedFault::StalledAfter => Ok(cut(status, body, LONG)),
        InjectedFault::EmptyAfter => Ok(whole(status, Bytes::new())),
        InjectedFault::OtherAfter => Ok(whole(status, Bytes::from_static(b"[]"))),
        InjectedFault::AlteredAfter => {
            let mut altered = body.to_vec();
            altered[0] = 0xff;
            Ok(whole(status, altered.into()))
        }
        InjectedFault::TrickledAfter => Ok(trickled(status, &body)),
        InjectedFault::HangsAfter => {
            sleep(LONG).await;
            Err(closed())
        }
        InjectedFault::LateAfter => {
            sleep(Duration::from_secs(1)).await;
            Ok(whole(status, body))
        }
        _ => Ok(whole(status, body)),
    }
}

/// Longer than any time limit.
const LONG: Duration = Duration::from_secs(30);

fn whole(status: u16, body: Bytes) -> ProxyResponse {
    let body = Full::new(body)
        .map_err(|never: Infallible| match never {})
        .boxed();
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "through-the-proxy");
    answer.body(body).unwrap()
}

/// An answer with the full length in its head and half of its body, which ends after `pause`.
fn cut(status: u16, body: Bytes, pause: Duration) -> ProxyResponse {
    let promised = body.len().max(2);
    let half = Ok(Frame::data(body.slice(..body.len() / 2)));
    let end = async move {
        sleep(pause).await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let parts = stream::once(async { half }).chain(stream::once(end));
    streamed(status, promised, parts)
}

/// An answer that is sent byte by byte, within half a second.
fn trickled(status: u16, body: &Bytes) -> ProxyResponse {
    let pause = Duration::from_millis(500) / u32::try_from(body.len().max(1)).unwrap();
    let pieces: Vec<Bytes> = (0..body.len()).map(|at| body.slice(at..=at)).collect();
    let parts = stream::iter(pieces).then(move |piece| async move {
        sleep(pause).await;
        Ok(Frame::data(piece))
    });
    streamed(status, body.len(), parts)
}

fn streamed(
    status: u16,
    length: usize,
    parts: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync + 'static,
) -> ProxyResponse {
    let answer = Response::builder()
        .status(status)
        .header("x-amzn-requestid", "through-the-proxy")
        .header("content-length", length);
    answer.body(BodyExt::boxed(StreamBody::new(parts))).unwrap()
}
