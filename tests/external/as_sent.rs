//! Handlers of a sender's own messages, written with the standard library of Python and of Node.
//!
//! Each gets every message twice: from the sender, and through Pillarbox as sent. It has to see the
//! same bytes under the same signature, and to reach the same result.

use std::{collections::BTreeSet, process::Command};

use sender_simulator::{
    MessageBody, Sender, SystemClock, exchange,
    hmrc::{self, HmrcMessage},
};
use url::Url;

use test_support::{
    process::{BOTH_SOURCES, HMRC_SECRET, PAY_SECRET, ProgramFolder, RunningServe, until},
    repository,
};

/// The handler in `script`, once it listens; `None` if `program` is not installed.
fn handler(folder: &ProgramFolder, program: &str, script: &str) -> Option<(RunningServe, Url)> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    if found.is_empty() {
        return None;
    }
    let script = repository("tests/external/handlers").join(script);
    let mut command = folder.command_of(found.trim(), &[script.to_str().unwrap()]);
    let handler = RunningServe::spawn(&mut command);
    until("the handler listens", || {
        handler.stdout.find("http://").is_some()
    });
    let url = handler.stdout.find("http://").unwrap();
    Some((handler, Url::parse(&url).unwrap()))
}

/// Every event of both senders, and texts that a sender signs in one form and sends in another.
fn messages() -> Vec<(Sender, MessageBody)> {
    let mut messages = Vec::new();
    for sender in Sender::ALL {
        for event in sender.events() {
            messages.push((sender, sender.body(Some(event), &SystemClock).unwrap()));
        }
    }
    for message in [
        HmrcMessage::json("{\"name\":\"smile 😀 end\", \"price\":\"£5 – café\"}"),
        HmrcMessage::xml("<a>💷 &amp; é</a>"),
    ] {
        let body = hmrc::body(&message, hmrc::SAMPLE_BOX, &SystemClock);
        messages.push((Sender::Hmrc, body));
    }
    messages
}

async fn post(url: &Url, sender: Sender, body: &MessageBody) {
    let secret = match sender {
        Sender::Hmrc => HMRC_SECRET,
        Sender::GovukPay => PAY_SECRET,
    };
    let request = sender.request(body, secret, url);
    let answer = exchange(&request, url, sender.client_profile()).await;
    assert_eq!(answer.unwrap().status, 200, "{}", body.wire);
}

/// What a handler printed: `result content-type signature body-digest key`, a request a line.
fn seen(handler: &RunningServe, is_through: bool) -> BTreeSet<String> {
    let lines = handler.stdout.all();
    let requests = lines.iter().filter_map(|line| line.rsplit_once(' '));
    requests
        .filter(|(_, key)| (*key != "-") == is_through)
        .map(|(seen, _)| seen.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_handler_sees_through_pillarbox_what_it_sees_from_the_sender() {
    let mut handlers = 0;
    for (program, script) in [("python3", "handler.py"), ("node", "handler.mjs")] {
        let folder = ProgramFolder::empty();
        let Some((handler, url)) = handler(&folder, program, script) else {
            continue;
        };
        handlers += 1;
        let document = format!(
            "{BOTH_SOURCES}\n[destination]\nkind = \"https\"\nformat = \"as-sent\"\n\
             url = \"{url}\"\n"
        );
        folder.write("pillarbox.toml", document);
        let serve = folder.serve();
        let messages = messages();
        for (sender, body) in &messages {
            post(&url, *sender, body).await;
            let source = if *sender == Sender::Hmrc {
                "hmrc"
            } else {
                "pay"
            };
            post(&serve.url(source), *sender, body).await;
        }
        until("everything is delivered", || {
            folder.count("delivered") == messages.len()
        });
        let through = seen(&handler, true);
        assert_eq!(through, seen(&handler, false), "{program}");
        assert_eq!(through.len(), messages.len(), "{program}");
        assert!(through.iter().all(|seen| seen.starts_with("genuine ")));
    }
    assert!(handlers > 0, "this test needs python3 or node");
}
