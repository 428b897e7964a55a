//! Hostile clients that connect and send nothing or send slowly, and a sender that measures the
//! response time.

use std::{net::SocketAddr, time::Duration};

use pillarbox::domain::{Clock, SystemClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{message::pay, request::RawRequest};

/// Pillarbox promises an answer within 2.5 s, because senders give up after 3 s.
const MAX_RESPONSE_TIME: Duration = Duration::from_millis(2500);

/// Raises the limit of open descriptors, and returns whether it is as high as `descriptors`.
pub fn may_open(descriptors: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.is_none_or(|most| most >= descriptors)
}

/// Posts a notification on a new connection, and returns the response time.
async fn post(address: SocketAddr, id: &str, padding: usize) -> Duration {
    let body = pay().message(id, SystemClock.now());
    let pad = format!("{{\"pad\":\"{}\",", "x".repeat(padding));
    let request = RawRequest::post(&pay(), body.replacen('{', &pad, 1));
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 12];
    // The answer can arrive before the request is sent completely.
    let (_, read) = {
        let (mut reader, mut writer) = stream.split();
        let bytes = request.bytes();
        tokio::join!(writer.write_all(&bytes), reader.read_exact(&mut answer))
    };
    read.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "{id}");
    began.elapsed()
}

/// Posts `count` notifications; returns the number of late answers, and the longest response time.
pub async fn post_many(address: SocketAddr, count: usize, padding: usize) -> (usize, Duration) {
    let (mut late, mut worst) = (0, Duration::ZERO);
    for n in 0..count {
        let took = post(address, &format!("n{n}"), padding).await;
        late += usize::from(took > MAX_RESPONSE_TIME);
        worst = worst.max(took);
    }
    (late, worst)
}

/// Connects and sends nothing, repeatedly.
pub async fn stay_silent(address: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.read(&mut [0; 16]).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Sends most of a long body, and then one byte a second, repeatedly.
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
