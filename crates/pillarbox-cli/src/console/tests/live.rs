//! The stream of new rows, and how the console stops.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{TestConsole, paid};
use pillarbox::{
    inbox::ReceiveInbox,
    senders::{
        SenderKind,
        example::{NOW, entry},
    },
};

#[tokio::test]
async fn a_console_stops_although_a_browser_has_a_connection_open() {
    let console = TestConsole::start().await;
    let mut idle = TcpStream::connect(console.at).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", console.at);
    idle.write_all(request.as_bytes()).await.unwrap();
    assert!(idle.read(&mut [0; 64]).await.unwrap() > 0);
    console.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), console.served)
        .await
        .unwrap()
        .unwrap();
}

/// A stream that a browser reads.
struct TestStream {
    stream: TcpStream,
    text: String,
}

impl TestStream {
    async fn open(console: &TestConsole, target: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(console.at).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            console.at
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Reads until the stream has sent `text`.
    async fn until(&mut self, text: &str) -> &str {
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            let mut buffer = [0; 4096];
            while !self.text.contains(text) {
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the stream has ended: {}", self.text);
                self.text
                    .push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("no {text} in {}", self.text));
        &self.text
    }

    fn count(&self, text: &str) -> usize {
        self.text.matches(text).count()
    }
}

#[tokio::test]
async fn a_new_notification_is_streamed_once_even_after_a_reconnect() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let list = console.get("/notifications").await;
    let (_, address) = list.text().split_once("data-stream=\"").unwrap();
    let address = address.split('"').next().unwrap().replace("&#38;", "&");
    let mut stream = TestStream::open(&console, &address, "").await;
    let head = stream.until("event: heartbeat").await.to_lowercase();
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    console.inbox.record(&paid("m2")).await.unwrap();
    let text = stream.until("payment-m2").await;
    assert!(text.contains("event: new\nid: ") && text.contains(r#""event":"Payment captured""#));
    assert_eq!(stream.count("payment-m1"), 0, "the page has it");
    let mut ids = stream
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "));
    let id = ids.next_back().unwrap().to_owned();
    drop(stream);
    console.inbox.record(&paid("m3")).await.unwrap();
    let header = format!("Last-Event-ID: {id}\r\n");
    let mut again = TestStream::open(&console, &address, &header).await;
    again.until("payment-m3").await;
    console.inbox.record(&paid("m4")).await.unwrap();
    again.until("payment-m4").await;
    let counts = ["payment-m2", "payment-m3"].map(|text| again.count(text));
    assert_eq!(counts, [0, 1]);
}

#[tokio::test]
async fn a_stream_has_the_filter_of_its_list_and_escapes_hostile_text() {
    let console = TestConsole::start().await;
    let mut stream = TestStream::open(&console, "/live?source=hmrc&latest=0", "").await;
    stream.until("heartbeat").await;
    console.inbox.record(&paid("m1")).await.unwrap();
    let hostile = format!(
        r#"{{"webhook_message_id":"m2","created_date":"{NOW}","resource_id":"a\nevent: new",
        "event_type":"x\u202e"}}"#
    );
    let hostile = entry(SenderKind::GOVUK_PAY, "hmrc", hostile.into());
    console.inbox.record(&hostile).await.unwrap();
    stream.until(r#""key":"hmrc:m2""#).await;
    assert_eq!(stream.count("payment-m1"), 0);
    assert_eq!(stream.count("event: new"), 1, "{}", stream.text);
    assert!(!stream.text.contains('\u{202e}'));
}

#[tokio::test]
async fn a_console_that_stops_ends_its_streams() {
    let console = TestConsole::start().await;
    let mut stream = TestStream::open(&console, "/live", "").await;
    stream.until("heartbeat").await;
    console.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(4), console.served)
        .await
        .expect("open streams end")
        .unwrap();
}

#[tokio::test]
async fn ten_streams_are_served_beside_pages_and_streams_have_a_limit() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TestStream::open(&console, "/live?latest=0", "").await;
        stream.until("payment-m1").await;
        streams.push(stream);
    }
    for _ in 0..40 {
        assert_eq!(console.get("/notifications").await.status, 200);
    }
    console.inbox.record(&paid("m2")).await.unwrap();
    for stream in &mut streams {
        stream.until("payment-m2").await;
    }
    for _ in 10..24 {
        let mut stream = TestStream::open(&console, "/live", "").await;
        stream.until("heartbeat").await;
        streams.push(stream);
    }
    assert_eq!(console.get("/live").await.status, 503);
    drop(streams);
}
