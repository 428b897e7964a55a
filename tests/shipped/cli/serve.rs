//! How `serve` starts, and what keeps it from starting.

use std::{fs, net::TcpListener};

use rustix::process::Signal;
use serde_json::Value;

use test_support::process::{
    BOTH_SOURCES, CommandResult, FREE_PORTS, HMRC_SECRET, PAY_SECRET, ProgramFolder, RunningServe,
};

use super::{NOBODY, fails, fails_to_connect};

#[test]
fn healthcheck_ends_with_0_only_while_serve_is_ready() {
    let folder = ProgramFolder::empty();
    let mut serve = folder.serve();
    let url = serve.url("pay");
    let listen = format!("127.0.0.1:{}", url.port().unwrap());
    let check = || folder.run(&["healthcheck", "--listen", &listen]);
    let ready = check();
    assert_eq!((ready.code, &*ready.stdout), (0, "ok\n"), "{ready:?}");
    let json = folder.run(&["healthcheck", "--json", "--listen", &listen]);
    let object: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&object["ready"], &object["address"]),
        (&true.into(), &listen.as_str().into())
    );
    let mut doctor = folder.command(&["doctor"]);
    let doctor = CommandResult::of(doctor.env("PILLARBOX_LISTEN", &listen));
    let answers = format!("the running serve answers at {listen}");
    assert!(doctor.stdout.contains(&answers), "{doctor:?}");
    let refused = serve.stderr.find("request refused");
    assert_eq!(refused, None, "neither command is logged as a refusal");
    serve.stop(Signal::TERM);
    fails(&check(), 1, &["is `pillarbox serve` running?"]);
}

#[test]
fn a_wrong_configuration_ends_serve_with_everything_that_is_wrong_before_it_listens() {
    // The port is taken: had `serve` tried to listen first, it would say so instead.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let document = format!(
        "listen = \"{}\"\nretention_days = 30\n{BOTH_SOURCES}\n[sources.third]\nkind \
         = \"payments\"\nsecrets = [\"env:UNSET\"]\n\
         colour = \"red\"\n",
        taken.local_addr().unwrap()
    );
    let folder = ProgramFolder::with(&document);
    let ran = folder.run(&["serve"]);
    fails(
        &ran,
        2,
        &[
            "pillarbox.toml:2: ",
            "pillarbox.toml:13: ",
            "pillarbox.toml:14: ",
            "pillarbox.toml:15: ",
        ],
    );
    for word in [
        "acceptance",
        "sources.third.kind",
        "(env:UNSET) is not set",
        "sources.third.colour is not a known key",
    ] {
        assert!(ran.stderr.contains(word), "`{word}` is missing: {ran:?}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "and before it makes an inbox"
    );
}

#[test]
fn a_secret_that_was_put_where_a_reference_belongs_is_not_repeated() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let pasted = [
        PAY_SECRET.to_owned(),
        format!("env:{PAY_SECRET}"),
        format!("env:{HMRC_SECRET}"),
    ];
    for value in pasted {
        let document = BOTH_SOURCES.replace("env:PAY_SIGNING_SECRET", &value);
        folder.write("wrong.toml", document);
        fails(
            &folder.run(&["serve", "--config", "wrong.toml"]),
            2,
            &["wrong.toml:8: sources.pay.secrets[0]"],
        );
        fails(
            &folder.run(&["send", "pay", "--secret", &value]),
            2,
            &["secret"],
        );
    }
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let ran = folder.run(&["serve", "--listen", &address, "--console", "127.0.0.1:0"]);
    fails(&ran, 1, &[&address, "cannot listen on", "--listen"]);
}

#[test]
fn a_second_serve_on_one_inbox_is_refused_and_the_first_goes_on() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let first = folder.serve();
    let second = folder.run(&[&["serve"], FREE_PORTS].concat());
    fails(
        &second,
        1,
        &["another `pillarbox serve` is running on", "--inbox"],
    );
    let sent = folder.run(&["send", "pay", "--to", first.url("pay").as_str()]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let mut apart = RunningServe::spawn(
        &mut folder.command(&[&["serve", "--inbox", "sqlite:other.db"], FREE_PORTS].concat()),
    );
    apart.await_ready();
}

#[test]
fn flags_beat_variables_and_variables_beat_the_document() {
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}\n[inbox]\nkind = \"sqlite\"\npath = \"document.db\"\n"
    ));
    let init = |arguments: &[&str], variable: &str| {
        let ran = CommandResult::of(
            folder
                .command(&[&["inbox", "init"], arguments].concat())
                .env("PILLARBOX_INBOX", variable),
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr
    };
    assert!(init(&[], "").contains("document.db"));
    assert!(init(&[], "sqlite:variable.db").contains("variable.db"));
    assert!(init(&["--inbox", "sqlite:flag.db"], "sqlite:variable.db").contains("flag.db"));

    let elsewhere = ProgramFolder::empty();
    let mut command = elsewhere.command(&["send", "tax", "--to", NOBODY]);
    command.env(
        "PILLARBOX_CONFIG",
        "[sources.tax]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC_PUSH_SECRET\"]\n",
    );
    fails_to_connect(&CommandResult::of(&mut command));
    assert_eq!(
        fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "a document means no demo"
    );
}

#[test]
fn a_source_without_a_secret_is_served_and_reported() {
    let folder = ProgramFolder::with(&BOTH_SOURCES.replace(r#"["env:PAY_SIGNING_SECRET"]"#, "[]"));
    let serve = folder.serve();
    assert!(serve.stderr.find("no secret yet").is_some());
    fails(
        &folder.run(&["send", "pay", "--to", serve.url("pay").as_str()]),
        2,
        &["no secret yet", "--secret env:NAME"],
    );
    let refused = folder.run(&[
        "send",
        "pay",
        "--to",
        serve.url("pay").as_str(),
        "--secret",
        "env:PAY_SIGNING_SECRET",
    ]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stdout.contains(r#"503 {"error":"no_secret"}"#),
        "{refused:?}"
    );
}
