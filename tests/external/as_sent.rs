//! Existing handlers of the senders' own messages, written with the standard libraries of Python
//! and Node.
//!
//! Each handler receives every message twice: from the sender, and from Pillarbox in the format
//! `as-sent`. Both times it must receive the same bytes and signature, and reach the same result.

use std::collections::BTreeSet;

use sender_simulator::{
    MessageBody, Sender, SystemClock, exchange,
    hmrc::{self, HmrcMessage},
};
use url::Url;

use super::find_program;
use test_support::{
    process::{BOTH_SOURCES, HMRC_SECRET, PAY_SECRET, ProgramFolder, RunningServe, until},
    repository,
};

/// Starts the handler in `script` and waits until it listens; `None` if `program` is not installed.
fn start_handler(
    folder: &ProgramFolder,
    program: &str,
    script: &str,
) -> Option<(RunningServe, Url)> {
    let program = find_program(program)?;
    let script = repository("tests/external/handlers").join(script);
    let mut command = folder.command_of(program, &[script.to_str().unwrap()]);
    let handler = RunningServe::spawn(&mut command);
    until("the handler listens", || {
        handler.stdout.find("http://").is_some()
    });
    let url = handler.stdout.find("http://").unwrap();
    Some((handler, Url::parse(&url).unwrap()))
}

/// Every event of both senders, and messages that HMRC signs in one form and sends in another.
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

/// The requests that a handler printed, one a line: `result content-type signature body-digest
/// key`. Only Pillarbox sends a key.
fn received(handler: &RunningServe, from_pillarbox: bool) -> BTreeSet<String> {
    let lines = handler.stdout.all();
    let requests = lines.iter().filter_map(|line| line.rsplit_once(' '));
    requests
        .filter(|(_, key)| (*key != "-") == from_pillarbox)
        .map(|(request, _)| request.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_handler_receives_the_same_from_pillarbox_as_from_the_sender() {
    let mut handlers = 0;
    for (program, script) in [("python3", "handler.py"), ("node", "handler.mjs")] {
        let folder = ProgramFolder::empty();
        let Some((handler, url)) = start_handler(&folder, program, script) else {
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
        let requests = received(&handler, true);
        assert_eq!(requests, received(&handler, false), "{program}");
        assert_eq!(requests.len(), messages.len(), "{program}");
        assert!(requests.iter().all(|line| line.starts_with("genuine ")));
    }
    assert!(handlers > 0, "this test needs python3 or node");
}
