//! The example consumer, run as its README says. Needs `python3`.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use pillarbox::domain::{Clock, SystemClock};
use rusqlite::Connection;
use sender_simulator::Sender;
use sha2::Sha256;
use url::Url;

use super::find_program;
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

/// Starts the consumer and waits until it listens. Port 0 selects a free port.
fn start_consumer(folder: &ProgramFolder, port: u16) -> (RunningServe, u16) {
    let python = find_program("python3").expect("this test needs python3");
    let script = example().join("consumer.py");
    let arguments = [script.to_str().unwrap(), &port.to_string()];
    let consumer = RunningServe::spawn(&mut folder.command_of(python, &arguments));
    until("the consumer listens", || {
        consumer.stdout.find("listening on ").is_some()
    });
    let line = consumer.stdout.find("listening on ").unwrap();
    let url = Url::parse(line.trim_start_matches("listening on ")).unwrap();
    (consumer, url.port().unwrap())
}

/// Sends every event of both senders twice, and returns the number of events.
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
fn count_keys(lines: &[String]) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.starts_with("listening")) {
        *keys
            .entry(line.split(' ').next().unwrap().to_owned())
            .or_default() += 1;
    }
    keys
}

#[test]
fn the_consumer_acts_once_on_each_key_despite_repeats_and_a_kill() {
    let folder = ProgramFolder::empty();
    let (mut first, port) = start_consumer(&folder, 0);
    folder.write("pillarbox.toml", configuration(port));
    let serve = folder.serve();

    let mut sent = send_everything_twice(&folder, &serve);
    first.kill(); // at an arbitrary point
    sent += send_everything_twice(&folder, &serve);
    let (second, _) = start_consumer(&folder, port);
    until("everything is delivered", || {
        folder.count("delivered") == sent
    });

    // Deliver every event again, as after a lost answer.
    let rows = folder.list(&[]);
    let keys: Vec<&str> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    assert_eq!(folder.run(&[&["replay"], &*keys].concat()).code, 0);
    until("everything is delivered again", || {
        folder.count("delivered") == sent
    });

    let printed = count_keys(&[first.stdout.all(), second.stdout.all()].concat());
    assert!(
        printed.values().all(|times| *times == 1),
        "the consumer acts once on each key: {printed:?}"
    );
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
        "at least the second half is printed: {printed:?}"
    );
}

/// Posts an event over a plain socket, and returns the status of the answer.
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
fn the_consumer_refuses_forged_and_old_events() {
    let folder = ProgramFolder::empty();
    let (consumer, port) = start_consumer(&folder, 0);
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
        count_keys(&consumer.stdout.all()).len(),
        0,
        "the consumer acts on no refused event"
    );

    let one_of_two = format!("v1,AAAA {good}");
    assert_eq!(post(port, "pay:1", now, &one_of_two, body), 204);
    assert_eq!(
        post(port, "pay:1", now, &good, body),
        204,
        "a repeat is acknowledged"
    );
    until("the key is printed once", || {
        count_keys(&consumer.stdout.all()).get("pay:1") == Some(&1)
    });
}
