//! Strangers who take places, descriptors, memory or time, and senders who are answered all the
//! same. The strangers are real connections to the shipped binary.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use test_support::{
    message::{both, hmrc},
    request::RawRequest,
    shipped::ServeProcess,
    strangers::{may_open, post_many, stay_silent, trickle},
};

const MB: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_silent_connections_keep_no_sender_waiting() {
    let strangers = if may_open(4096) { 2000 } else { 700 };
    let process = ServeProcess::start(&both());
    let mut flood = JoinSet::new();
    for _ in 0..strangers {
        flood.spawn(stay_silent(process.address));
    }
    sleep(Duration::from_secs(1)).await;
    let (late, worst) = post_many(process.address, 100, 0).await;
    assert!(late <= 1, "{late} late, the last after {worst:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_to_the_console_leave_the_descriptors_to_the_senders() {
    if !may_open(2048) {
        println!("left out: the system allows too few open files for 1,000 connections");
        return;
    }
    for (descriptors, strangers) in [(1024, 1000), (64, 300)] {
        let process = ServeProcess::start_after(&format!("ulimit -n {descriptors}"));
        let mut silent = Vec::new();
        for n in 0..strangers {
            silent.push(TcpStream::connect(process.console).await.unwrap());
            if n % 4 == 0 {
                silent.push(TcpStream::connect(process.address).await.unwrap());
            }
        }
        let (late, worst) = post_many(process.address, 10, 0).await;
        assert_eq!(late, 0, "{worst:?} with {descriptors} descriptors");
        let page = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", process.console);
        let mut browser = TcpStream::connect(process.console).await.unwrap();
        browser.write_all(page.as_bytes()).await.unwrap();
        let mut answer = [0; 15];
        browser.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
}

/// Sends whole long bodies whose signature is wrong, and which are rebuilt to be verified, again
/// and again.
async fn forge(address: SocketAddr) {
    let body = r"\ud83d\ude00".repeat(8 * 1024 * 1024 / 12);
    let request = RawRequest::unsigned(&hmrc(), body).header("X-Hub-Signature", "0".repeat(40));
    let request = request.bytes();
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.write_all(&request).await;
            let _ = stream.read(&mut [0; 16]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_of_strangers_hold_up_no_sender_and_little_memory_for_a_short_time() {
    let process = ServeProcess::start(&both());
    for length in [60_000, 120_000, 8 * 1024 * 1024] {
        let mut flood = JoinSet::new();
        for _ in 0..64 {
            flood.spawn(trickle(process.address, length));
        }
        sleep(Duration::from_secs(1)).await;
        let (late, worst) = post_many(process.address, 10, 120_000).await;
        println!("the last answer beside bodies of {length}: {worst:?}");
        assert_eq!(late, 0, "{worst:?} beside bodies of {length}");
        flood.shutdown().await;
    }
    let mut flood = JoinSet::new();
    for _ in 0..32 {
        flood.spawn(forge(process.address));
    }
    sleep(Duration::from_secs(1)).await;
    let (late, worst) = post_many(process.address, 10, 120_000).await;
    println!("the last answer beside forged bodies: {worst:?}");
    assert!(
        late <= 1,
        "{late} late, the last after {worst:?} beside forged bodies"
    );
    flood.shutdown().await;

    let Some((_, peak)) = process.memory() else {
        println!("left out: this system does not say how much memory a process has");
        return;
    };
    println!("peak: {} MB", peak / MB);
    assert!(peak <= 150 * MB, "{} MB", peak / MB);
    let began = Instant::now();
    while process.memory().is_some_and(|(now, _)| now > 80 * MB) {
        let now = process.memory().map(|(now, _)| now / MB);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{now:?} MB are kept"
        );
        sleep(Duration::from_millis(500)).await;
    }
}
