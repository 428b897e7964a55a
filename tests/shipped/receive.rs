//! The shipped binary: its output, how it exits, and what it does when the disk refuses writes.

use std::time::Duration;

use pillarbox::{
    domain::{Clock, Key, SystemClock},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
};
use pillarbox_cli::sqlite::SqliteInbox;
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use sender_simulator::Sender;
use tokio::net::TcpStream;

use test_support::{
    client::DEADLINE,
    message::{Source, both, pay, with},
    request::{RawRequest, signature_header},
    shipped::ServeProcess,
};

async fn row(folder: &std::path::Path, key: &str) -> Row {
    let inbox = SqliteInbox::open(&folder.join("inbox.db")).unwrap();
    inbox
        .get(&Key::parse(key).unwrap())
        .await
        .unwrap()
        .unwrap_or_else(|| panic!("a row under {key}"))
}

#[tokio::test]
async fn sigterm_lets_a_request_in_flight_end_and_then_the_process() {
    for signal in [Signal::TERM, Signal::INT] {
        let process = ServeProcess::start(&both());
        let body = pay().message("n1", SystemClock.now());
        let bytes = RawRequest::post(&pay(), &body)
            .header("Expect", "100-continue")
            .bytes();
        let (start, rest) = bytes.split_at(bytes.len() - body.len() / 2);
        let mut client = process.client().await;
        client.write(start).await;
        client.await_continue().await;

        process.signal(signal);
        let closed = async {
            while TcpStream::connect(process.address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, closed)
            .await
            .expect("the listener is closed");
        client.write(rest).await;
        assert_eq!(
            client.answer().await.unwrap().body,
            r#"{"status":"recorded"}"#
        );
        client.is_closed().await;

        let ended = process.end();
        assert_eq!(ended.status.code(), Some(0));
        assert_eq!(
            row(ended.folder.path(), "pay:n1").await.body.unwrap(),
            body.as_bytes()
        );
        assert!(
            ended.stdout.contains(r#""pay:n1""#),
            "the last one was delivered, too"
        );
    }
}

#[tokio::test]
async fn a_disk_that_refuses_writes_is_answered_503_until_it_accepts_them_again() {
    let process = ServeProcess::start_ignoring_file_size_signal();
    let limit = |current| {
        prlimit(
            Some(process.pid()),
            Resource::Fsize,
            Rlimit {
                current,
                maximum: None,
            },
        )
        .unwrap();
    };
    let mut client = process.client().await;
    for source in both() {
        let body = |id: &str| source.message(id, SystemClock.now());
        assert_eq!(
            client
                .send(RawRequest::post(&source, body("before")).bytes())
                .await
                .status,
            200
        );
        limit(Some(0));
        for n in 0..5 {
            let answer = client
                .send(RawRequest::post(&source, body(&format!("n{n}"))).bytes())
                .await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (503, r#"{"error":"inbox"}"#)
            );
        }
        limit(None);
        assert_eq!(
            client
                .send(RawRequest::post(&source, body("after")).bytes())
                .await
                .body,
            r#"{"status":"recorded"}"#
        );
    }
    process.signal(Signal::TERM);
    let ended = process.end();
    assert_eq!(ended.status.code(), Some(0));
    let inbox = SqliteInbox::open(&ended.folder.path().join("inbox.db")).unwrap();
    let mut keys: Vec<_> = inbox
        .list(&RowFilter::default(), PageRequest::first(100))
        .await
        .unwrap()
        .rows;
    keys.sort_by_key(|row| row.key.clone());
    let keys: Vec<&str> = keys.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(
        keys,
        ["hmrc:after", "hmrc:before", "pay:after", "pay:before"]
    );
    assert!(inbox.inspect().await.unwrap().faults.is_empty());
}

#[tokio::test]
async fn nothing_personal_or_secret_is_logged_at_any_level() {
    const CANARY: &str = "kanarienvogel";
    let sources = [
        Source::new("hmrc", Sender::Hmrc, &["kanarienvogelhmrcsecretABCDEFGHI"]),
        Source::new(
            "pay",
            Sender::GovukPay,
            &["webhook_test_kanarienvogel7mrp1d5"],
        ),
    ];
    let process = ServeProcess::start(&sources);
    let mut client = process.client().await;
    let mut signatures = Vec::new();
    let mut sent = 0;
    for source in &sources {
        let header = signature_header(source.sender);
        let personal = |id: &str| {
            let body = source.message(id, SystemClock.now());
            match source.sender {
                Sender::Hmrc => with(&body, r#"\"n\":1"#, r#"\"eori\":\"kanarienvogel\",\"n\":1"#),
                Sender::GovukPay => with(
                    &body,
                    "5000",
                    r#"5000,"email":"kanarienvogel@example.com",
                        "cardholder_name":"kanarienvogel","metadata":{"kanarienvogel":1}"#,
                ),
            }
        };
        let conflict = with(
            &personal("n1"),
            if source.name == "pay" {
                "captured"
            } else {
                r#"\"n\":1"#
            },
            CANARY,
        );
        let unreadable = format!("{{\"x\":\"{CANARY}\"");
        let stale = with(&personal("n2"), &SystemClock.now().to_string()[..4], "1999");
        let longest = format!("{CANARY}{}", "x".repeat(11_000));
        for body in [
            personal("n1"),
            personal("n1"),
            conflict,
            unreadable,
            stale,
            personal("n3"),
        ] {
            signatures.push(source.sign(&body));
            let genuine = RawRequest::post(source, &body)
                .header("Authorization", format!("Bearer {CANARY}"))
                .header("Cookie", CANARY)
                .header(CANARY, CANARY)
                .header("User-Agent", format!("{CANARY}\u{1f426}"));
            assert_eq!(client.send(genuine.bytes()).await.status, 200);
            let forged = RawRequest::unsigned(source, &body).header(header, source.sign(CANARY));
            assert_eq!(client.send(forged.bytes()).await.status, 401);
            let malformed = RawRequest::unsigned(source, &body).header(header, CANARY);
            assert_eq!(client.send(malformed.bytes()).await.status, 401);
            sent += 3;
        }
        signatures.push(source.sign(CANARY));
        for (line, status) in [
            (
                format!(
                    "GET {}?challenge={CANARY}_&x={CANARY} HTTP/1.1",
                    source.path()
                ),
                400,
            ),
            (
                format!("POST {}?token={CANARY} HTTP/1.1", source.path()),
                401,
            ),
            (format!("POST /nobody?token={CANARY} HTTP/1.1"), 404),
            (
                format!("PUT {}?token={CANARY} HTTP/1.1", source.path()),
                405,
            ),
        ] {
            assert_eq!(
                client
                    .send(RawRequest::from_line(&line).bytes())
                    .await
                    .status,
                status,
                "{line}"
            );
            sent += 1;
        }
        for request in [
            RawRequest::unsigned(source, CANARY).header("X", format!("{CANARY}\x01")),
            RawRequest::unsigned(source, CANARY).header("X", &longest),
            RawRequest::unsigned(source, CANARY).line(CANARY),
            RawRequest::unsigned(source, CANARY).header("Content-Length", "1"),
        ] {
            assert!(
                [400, 431].contains(&process.client().await.send(request.bytes()).await.status)
            );
            sent += 1;
        }
    }
    for path in [
        "/\u{1b}[31m",
        "/é\u{2028}\u{202e}",
        "/%0d%0a{\"level\":\"ERROR\"}",
        "/\"}\\",
    ] {
        let answer = process
            .client()
            .await
            .send(RawRequest::from_line(&format!("POST {path} HTTP/1.1")).bytes())
            .await;
        assert!([400, 404].contains(&answer.status), "{path}");
        sent += 1;
    }
    process.signal(Signal::TERM);
    let ended = process.end();
    assert_eq!(ended.status.code(), Some(0));

    let (last, lines) = ended.stderr.split_last().unwrap();
    assert!(last.starts_with("Stopped"), "{last}");
    let mut requests = 0;
    for line in lines {
        let logged: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(
            logged.is_object() && !line.chars().any(char::is_control),
            "{line}"
        );
        requests += usize::from(logged.get("status").is_some());
    }
    assert_eq!(requests, sent, "one line a request");
    for logged in lines.iter().map(String::as_str).chain(ended.stdout.lines()) {
        serde_json::from_str::<serde_json::Value>(logged).unwrap();
        assert!(!logged.to_lowercase().contains(CANARY), "{logged}");
        assert!(
            !signatures
                .iter()
                .any(|signature| logged.contains(signature)),
            "{logged}"
        );
    }
    assert_eq!(
        ended.stdout.lines().count(),
        4,
        "two of each source were delivered"
    );
}
