//! Senders that take their time. The clock stands still unless everybody waits, so this takes none.

use std::{sync::Arc, time::Duration};

use pillarbox::{domain::Key, inbox::ReadInbox};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, pause, sleep},
};

use test_support::{
    message::{both, pay},
    request::RawRequest,
    server::{NOW, RefusingDestination, Server},
};

const SECOND: Duration = Duration::from_secs(1);

/// Whether `took` is the limit, or the second after it in which connections are looked at.
fn is_after(limit: u64, took: Duration) -> bool {
    (limit * SECOND.as_millis() as u64..=(limit + 2) * SECOND.as_millis() as u64)
        .contains(&(took.as_millis() as u64))
}

#[tokio::test]
async fn a_head_that_takes_longer_than_five_seconds_is_refused() {
    let server = Server::start().await;
    pause();
    for (source, part) in both()
        .iter()
        .flat_map(|source| [1, 20, 100].map(|part| (source, part)))
    {
        let bytes = RawRequest::post(source, source.message("n1", NOW)).bytes();
        let (mut client, began) = (server.client().await, Instant::now());
        client.write(&bytes[..part]).await;
        assert_eq!(client.answer().await.unwrap().status, 408);
        assert!(is_after(5, began.elapsed()), "{:?}", began.elapsed());
        client.is_closed().await;
    }
    // Nor does it help to send something now and then.
    let (mut client, began) = (server.client().await, Instant::now());
    for line in [
        "POST /pay HTTP/1.1\r\n",
        "a: b\r\n",
        "c: d\r\n",
        "e: f\r\n",
        "g: h\r\n",
    ] {
        client.write(line).await;
        sleep(SECOND).await;
    }
    assert_eq!(client.answer().await.unwrap().status, 408);
    assert!(is_after(5, began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_takes_longer_than_ten_seconds_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    pause();
    for source in both() {
        let request = RawRequest::post(&source, source.message("n1", NOW));
        for bytes in [request.bytes(), request.chunked(50)] {
            let (mut client, began) = (server.client().await, Instant::now());
            client.write(&bytes[..bytes.len() - 10]).await;
            assert_eq!(client.answer().await.unwrap().status, 408);
            assert!(is_after(10, began.elapsed()), "{:?}", began.elapsed());
            client.is_closed().await;

            let (mut client, began) = (server.client().await, Instant::now());
            let (head, body) = bytes.split_at(bytes.len() - 100);
            client.write(head).await;
            for byte in &body[..9] {
                sleep(SECOND).await;
                client.write([*byte]).await;
            }
            assert_eq!(client.answer().await.unwrap().status, 408);
            assert!(is_after(10, began.elapsed()), "{:?}", began.elapsed());
        }
    }
    tokio::time::resume();
    assert!(server.keys().await.is_empty());
}

/// A connection whose answers fill every buffer on their way, since it never reads. Requests that
/// wait behind them would be noticed as heads that take long.
async fn unread(server: &Server, last: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap(); // the system makes it the least it can
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let challenge = RawRequest::new("GET", "/hmrc?challenge=abc").bytes();
    for request in [challenge.as_slice(); 50].into_iter().chain([last]) {
        stream.write_all(request).await.unwrap();
        sleep(Duration::from_millis(4)).await; // so that it is answered before the next
    }
    stream
}

#[tokio::test]
async fn connections_whose_answers_are_never_read_are_dropped() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(1).unwrap(); // accepted connections inherit it
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = Server::on(socket.listen(64).unwrap(), &both(), RefusingDestination).await;
    for last in [
        RawRequest::new("GET", "/hmrc?challenge=abc").bytes(),
        RawRequest::unsigned(&pay(), "x").bytes(),
        RawRequest::new("GET", "/")
            .header("Connection", "close")
            .bytes(),
        // Their answers close the connection.
        RawRequest::new("POST", "/pay").head("Content-Length: 0\r\nContent-Length: 0\r\n"),
        RawRequest::new("POST", "/pay").head("Content-Length: 9000000\r\n"),
    ] {
        let stream = unread(&server, &last).await;
        pause();
        let began = Instant::now();
        while stream.take_error().unwrap().is_none() {
            assert!(
                began.elapsed() < 20 * SECOND,
                "{}",
                String::from_utf8_lossy(&last)
            );
            sleep(SECOND).await;
            tokio::task::yield_now().await;
        }
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_long_body_that_arrives_at_once_passes_those_that_trickle() {
    let server = Server::start().await;
    let source = pay();
    let mut strangers = Vec::new();
    for length in [100_000, 1_000_000, 8_000_000].repeat(20) {
        let long = RawRequest::unsigned(&source, "x".repeat(length)).bytes();
        let (mut stranger, long) = (server.client().await, long.clone());
        strangers.push(tokio::spawn(async move {
            stranger.write_some(&long[..long.len() - 1]).await; // the last byte is never sent
            stranger.answer().await
        }));
    }
    for id in ["n1", "n2", "n3"] {
        let pad = format!("{{\"pad\":\"{}\",", "x".repeat(120_000));
        let padded = source.message(id, NOW).replacen('{', &pad, 1);
        let began = Instant::now();
        let long = RawRequest::post(&source, &padded).bytes();
        assert_eq!(server.client().await.send(&long).await.status, 200);
        assert!(
            began.elapsed() < Duration::from_millis(2500),
            "{:?}",
            began.elapsed()
        );
        let short = RawRequest::post(&source, source.message(&format!("{id}s"), NOW)).bytes();
        assert_eq!(server.client().await.send(&short).await.status, 200);
    }
    assert_eq!(server.keys().await.len(), 6);
    strangers.iter().for_each(|stranger| stranger.abort());
}

#[tokio::test]
async fn a_connection_is_kept_longer_than_its_sender_keeps_it() {
    let server = Server::start().await;
    pause();
    let challenge = RawRequest::new("GET", "/hmrc?challenge=abc").bytes();
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(client.send(&challenge).await.status, 200);
        sleep(70 * SECOND).await;
    }
    assert_eq!(client.send(&challenge).await.status, 200);
    let began = Instant::now();
    client.is_closed().await;
    assert!(is_after(75, began.elapsed()), "{:?}", began.elapsed());

    // A client that sends nothing is not waited for.
    let (mut silent, began) = (server.client().await, Instant::now());
    silent.is_closed().await;
    assert!(is_after(5, began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_end_and_closes_idle_connections() {
    let server = Server::start().await;
    let body = pay().message("n1", NOW);
    let bytes = RawRequest::post(&pay(), &body)
        .header("Expect", "100-continue")
        .bytes();
    let (mut idle, mut busy) = (server.client().await, server.client().await);
    assert_eq!(
        idle.send(RawRequest::new("GET", "/hmrc?challenge=abc").bytes())
            .await
            .status,
        200
    );
    let (start, rest) = bytes.split_at(bytes.len() - 10);
    busy.write(start).await;
    busy.await_continue().await;
    let inbox = Arc::clone(&server.inbox);
    let stopped = tokio::spawn(server.stop());
    idle.is_closed().await; // it has been closed
    busy.write(rest).await;
    assert_eq!(
        busy.answer().await.unwrap().body,
        r#"{"status":"recorded"}"#
    );
    busy.is_closed().await;
    let _folder = stopped.await.unwrap();
    let row = inbox
        .get(&Key::parse("pay:n1").unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.body.unwrap(), body.as_bytes());
}
