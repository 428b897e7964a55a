//! The example consumer, run by Python as in its README.
//!
//! Behind the feature `tool-checks`, since it needs `python3`:
//! `cargo test --test consumer --features tool-checks`.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use pillarbox::domain::{Clock, SystemClock};
use rusqlite::Connection;
use sender_simulator::Sender;
use sha2::Sha256;
use url::Url;

use test_support::{
    process::{ProgramFolder, RunningServe, WHSEC, until},
    repository,
};

fn example() -> PathBuf {
    repository("examples/consumer")
}

/// The configuration in the README, with the consumer's real port.
fn configuration(port: u16) -> String {
    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (document, _) = rest.split_once("```").unwrap();
    assert!(document.contains("127.0.0.1:9000"));
    document.replace("127.0.0.1:9000", &format!("127.0.0.1:{port}"))
}

/// The consumer, once it listens; any free port if `port` is 0.
fn consumer(folder: &ProgramFolder, port: u16) -> (RunningServe, u16) {
    let python = Command::new("sh")
        .args(["-c", "command -v python3"])
        .output()
        .unwrap()
        .stdout;
    let python = String::from_utf8(python).unwrap();
    assert!(!python.is_empty(), "this test needs python3");
    let script = example().join("consumer.py");
    let consumer = RunningServe::spawn(&mut folder.command_of(
        python.trim(),
        &[script.to_str().unwrap(), &port.to_string()],
    ));
    until("the consumer listens", || {
        consumer.stdout.find("listening on ").is_some()
    });
    let line = consumer.stdout.find("listening on ").unwrap();
    let url = Url::parse(line.trim_start_matches("listening on ")).unwrap();
    (consumer, url.port().unwrap())
}

/// Every event of both senders, each sent twice; gives back how many there are.
fn send_everything_twice(folder: &ProgramFolder, serve: &RunningServe) -> usize {
    let mut sent = 0;
    for (sender, source) in [(Sender::Hmrc, "hmrc"), (Sender::GovukPay, "pay")] {
        for event in sender.events() {
            let url = serve.url(source).to_string();
            let ran = folder.run(&[
                "send", source, "--event", event, "--repeat", "1", "--to", &url,
            ]);
            assert_eq!(ran.code, 0, "{ran:?}");
            sent += 1;
        }
    }
    sent
}

/// How often each key was printed.
fn printed(lines: &[String]) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.starts_with("listening")) {
        *keys
            .entry(line.split(' ').next().unwrap().to_owned())
            .or_default() += 1;
    }
    keys
}

#[test]
fn the_consumer_acts_on_each_key_once_whatever_is_sent_twice_or_dies_in_between() {
    let folder = ProgramFolder::empty();
    let (mut first, port) = consumer(&folder, 0);
    folder.write("pillarbox.toml", configuration(port));
    let serve = folder.serve();

    let mut sent = send_everything_twice(&folder, &serve);
    first.kill(); // at an arbitrary point
    sent += send_everything_twice(&folder, &serve);
    let (second, _) = consumer(&folder, port);
    until("everything is delivered", || {
        folder.count("delivered") == sent
    });

    // Each of them once more, as after a lost answer.
    let rows = folder.list(&[]);
    let keys: Vec<&str> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    assert_eq!(folder.run(&[&["replay"], &*keys].concat()).code, 0);
    until("everything is delivered again", || {
        folder.count("delivered") == sent
    });

    let printed = printed(&[first.stdout.all(), second.stdout.all()].concat());
    assert!(printed.values().all(|times| *times == 1), "{printed:?}");
    let database = Connection::open(folder.path().join("consumer.db")).unwrap();
    let stored: u32 = database
        .query_row("SELECT count(*) FROM event", [], |row| row.get(0))
        .unwrap();
    assert_eq!((stored as usize, keys.len()), (sent, sent));
    assert!(
        keys.iter()
            .filter(|key| printed.contains_key(**key))
            .count()
            >= sent / 2,
        "{printed:?}"
    );
}

/// Posts to the consumer by hand, and gives back the status.
fn post(port: u16, id: &str, timestamp: i64, signature: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let request = format!(
        "POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: \
         {length}\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: \
          {signature}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn sign(id: &str, timestamp: i64, body: &str) -> String {
    let secret = BASE64_STANDARD
        .decode(WHSEC.trim_start_matches("whsec_"))
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn the_consumer_refuses_what_is_forged_or_old() {
    let folder = ProgramFolder::empty();
    let (consumer, port) = consumer(&folder, 0);
    let now = SystemClock.now().as_seconds();
    let body =
        r#"{"id":"pay:1","type":"uk.gov.payments.card_payment_captured","data":{"amount":1e400}}"#;
    let good = sign("pay:1", now, body);
    let cut = &good[..good.len() - 1];
    for (id, timestamp, signature, body) in [
        ("pay:1", now, "", body),
        ("pay:1", now, "v1,", body),
        ("pay:1", now, cut, body),
        ("pay:1", now, &good.replace("v1,", "v2,"), body),
        ("pay:2", now, &good, body),
        ("pay:1", now + 1, &good, body),
        ("pay:1", now, &good, &body.replace("captured", "refunded")),
        ("pay:1", now - 301, &sign("pay:1", now - 301, body), body),
        ("pay:1", now + 360, &sign("pay:1", now + 360, body), body),
    ] {
        assert_eq!(
            post(port, id, timestamp, signature, body),
            401,
            "{id} {timestamp} {signature} {body}"
        );
    }
    assert_eq!(
        printed(&consumer.stdout.all()).len(),
        0,
        "nothing was acted on"
    );

    let one_of_two = format!("v1,AAAA {good}");
    assert_eq!(post(port, "pay:1", now, &one_of_two, body), 204);
    assert_eq!(
        post(port, "pay:1", now, &good, body),
        204,
        "a second time is fine"
    );
    until("it is printed", || {
        printed(&consumer.stdout.all()).get("pay:1") == Some(&1)
    });
}
