//! Hostile clients that connect and stay silent or slow, and a sender whose answers are timed.

use std::{net::SocketAddr, time::Duration};

use pillarbox::domain::{Clock, SystemClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{message::pay, request::RawRequest};

/// Senders give up after 3 s; Pillarbox promises 2.5 s.
const ANSWER_LIMIT: Duration = Duration::from_millis(2500);
/// Raises the descriptors that the test may open; returns whether there are so many.
pub fn may_open(descriptors: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.is_none_or(|most| most >= descriptors)
}

/// Posts as a sender would, on a new connection; returns how long the answer took.
async fn post(address: SocketAddr, id: &str, padding: usize) -> Duration {
    let body = pay().message(id, SystemClock.now());
    let pad = format!("{{\"pad\":\"{}\",", "x".repeat(padding));
    let request = RawRequest::post(&pay(), body.replacen('{', &pad, 1));
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 12];
    // The answer can arrive before everything is sent.
    let (_, read) = {
        let (mut reader, mut writer) = stream.split();
        let bytes = request.bytes();
        tokio::join!(writer.write_all(&bytes), reader.read_exact(&mut answer))
    };
    read.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "{id}");
    began.elapsed()
}

/// Posts this number; returns how many answers were late, and how late the last was.
pub async fn post_many(address: SocketAddr, count: usize, padding: usize) -> (usize, Duration) {
    let (mut late, mut worst) = (0, Duration::ZERO);
    for n in 0..count {
        let took = post(address, &format!("n{n}"), padding).await;
        late += usize::from(took > ANSWER_LIMIT);
        worst = worst.max(took);
    }
    (late, worst)
}

/// Connects and sends nothing, again and again.
pub async fn stay_silent(address: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.read(&mut [0; 16]).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Sends most of a long body, and then a byte a second, again and again.
pub async fn trickle(address: SocketAddr, length: usize) {
    let request = RawRequest::unsigned(&pay(), vec![b'x'; length]).bytes();
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let (most, rest) = request.split_at(request.len() - 20);
            let mut sent = stream.write_all(most).await.is_ok();
            for byte in rest.iter().take(19) {
                let mut answer = [0; 16];
                if !sent
                    || timeout(Duration::from_secs(1), stream.read(&mut answer))
                        .await
                        .is_ok()
                {
                    break;
                }
                sent = stream.write_all(&[*byte]).await.is_ok();
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}
