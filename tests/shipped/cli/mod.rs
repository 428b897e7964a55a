//! Every command, as a person at a terminal or a script meets it: exit codes, streams and words.

mod demo;
mod send;
mod rows;
mod errors;
mod output;
mod serve;
mod replay;
mod discard;
mod verify;
mod inbox;

use rustix::process::Signal;
use sender_simulator::{MessageBody, Sender, exchange};

use test_support::process::{
    BOTH_SOURCES, CommandResult, HMRC_SECRET, ProgramFolder, RunningServe, until,
};

/// An address without a listener.
const NOBODY: &str = "http://127.0.0.1:1/pay";

/// A folder whose inbox holds what these `send` lines brought; `serve` has stopped again.
fn folder_after(sends: &[&[&str]]) -> ProgramFolder {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    for arguments in sends {
        let url = serve.url(arguments[0]).to_string();
        let sent = folder.run(&[&["send"], *arguments, &["--to", &url]].concat());
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    until("everything is delivered", || folder.count("open") == 0);
    assert!(serve.stop(Signal::TERM).success());
    folder
}

fn only_key(folder: &ProgramFolder) -> String {
    let rows = folder.list(&[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["key"].as_str().unwrap().to_owned()
}

/// Posts HMRC's `body`, and returns the answer.
fn push(serve: &RunningServe, body: &MessageBody) -> String {
    let url = serve.url("hmrc");
    let request = Sender::Hmrc.request(body, HMRC_SECRET, &url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answer = runtime
        .block_on(exchange(&request, &url, Sender::Hmrc.client_profile()))
        .unwrap();
    format!(
        "{} {}",
        answer.status,
        String::from_utf8(answer.body).unwrap()
    )
}

/// Standard error has one line, and standard output nothing.
#[track_caller]
fn fails(ran: &CommandResult, code: i32, words: &[&str]) {
    assert_eq!((ran.code, &*ran.stdout), (code, ""), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing: {ran:?}");
    }
}

fn fails_to_connect(ran: &CommandResult) {
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.contains("cannot connect to 127.0.0.1:1"),
        "{ran:?}"
    );
}
