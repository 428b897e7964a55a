//! Every command, as a person at a terminal or a script meets it: exit codes, streams and words.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use sender_simulator::{Clock, MessageBody, Sender, SystemClock, exchange, hmrc};
use serde_json::Value;

use test_support::{
    binary,
    process::{BOTH_SOURCES, FREE_PORTS, Folder, HMRC_SECRET, PAY_SECRET, Ran, Serve, until},
};

/// An address without a listener.
const NOBODY: &str = "http://127.0.0.1:1/pay";

/// A folder whose inbox holds what these `send` lines brought; `serve` has stopped again.
fn folder_after(sends: &[&[&str]]) -> Folder {
    let folder = Folder::with(BOTH_SOURCES);
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

fn only_key(folder: &Folder) -> String {
    let rows = folder.list(&[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["key"].as_str().unwrap().to_owned()
}

/// Posts HMRC's `body`, and says what was answered.
fn push(serve: &Serve, body: &MessageBody) -> String {
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
fn fails(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!((ran.code, &*ran.stdout), (code, ""), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is missing: {ran:?}");
    }
}

#[test]
fn a_newcomer_s_first_lines_work_as_they_are_printed() {
    let folder = Folder::empty();
    let mut command = folder.command(&[]);
    command
        .env("PILLARBOX_LISTEN", "127.0.0.1:0")
        .env("PILLARBOX_CONSOLE", "127.0.0.1:0");
    let mut serve = Serve::spawn(&mut command);
    serve.await_ready();

    let printed = serve.stderr.all();
    let lines: Vec<_> = printed
        .iter()
        .filter_map(|line| Some(line.split_once("/pillarbox-under-test ")?.1))
        .collect();
    let (list, sends) = lines.split_last().unwrap();
    assert_eq!(*list, "list");
    assert!(
        sends.len() >= 4 && sends.iter().all(|line| line.starts_with("send ")),
        "{lines:?}"
    );
    for line in sends {
        let ran = folder.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }

    until("all are delivered", || {
        folder.count("delivered") == sends.len()
    });
    let shown = folder.run(&[list]);
    assert_eq!(shown.code, 0);
    assert_eq!(
        shown.stdout.matches("delivered").count(),
        sends.len(),
        "{shown:?}"
    );
    assert!(
        serve.stop(Signal::INT).success(),
        "Ctrl-C is an orderly end"
    );
    assert_eq!(serve.stdout.len(), sends.len(), "each is delivered once");
    assert!(serve.stderr.find("Stopped.").is_some());
}

#[test]
fn the_demo_s_secrets_are_private_reused_and_never_shown() {
    let folder = Folder::empty();
    let names = [".pillarbox/hmrc.secret", ".pillarbox/pay.secret"];
    for (nth, source) in ["pay", "hmrc"].into_iter().enumerate() {
        let ran = folder.run(&["send", source, "--to", NOBODY]);
        fails_to_connect(&ran);
        let warns = ran.stderr.contains("new secrets were created in /");
        assert_eq!(warns, nth == 0, "only the first makes them: {ran:?}");
    }
    let secrets = names.map(|name| folder.read(name));
    for name in names {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
    let mut serve = Serve::spawn(command.env("PILLARBOX_LOG", "trace"));
    serve.await_ready();
    let url = serve.url("pay").to_string();
    let mut outputs: Vec<String> = Vec::new();
    for arguments in [
        &["send", "pay", "--to", &url][..],
        &["list"],
        &["list", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["verify", "--stored"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        outputs.extend([ran.stdout, ran.stderr]);
    }
    for arguments in [&["show"][..], &["show", "--json"]] {
        outputs.push(
            folder
                .run(&[arguments, &[&only_key(&folder)]].concat())
                .stdout,
        );
    }
    assert!(serve.stop(Signal::TERM).success());
    outputs.extend([serve.stdout.all(), serve.stderr.all()].concat());

    assert_eq!(
        names.map(|name| folder.read(name)),
        secrets,
        "they are made once"
    );
    for secret in secrets {
        assert!(
            !outputs.iter().any(|output| output.contains(&secret)),
            "a secret was printed"
        );
    }
}

fn fails_to_connect(ran: &Ran) {
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.contains("cannot connect to 127.0.0.1:1"),
        "{ran:?}"
    );
}

#[test]
fn send_reports_what_the_sender_would_do_without_a_receiver() {
    let folder = Folder::with(BOTH_SOURCES);
    for (source, words) in [
        (
            "pay",
            "The next attempt, of 6 in all, comes after 60 seconds",
        ),
        ("hmrc", "every 5 minutes"),
    ] {
        let ran = folder.run(&["send", source, "--to", NOBODY]);
        fails_to_connect(&ran);
        assert!(ran.stdout.contains(words), "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("Posting to {NOBODY}")),
            "{ran:?}"
        );
    }
    assert!(
        !folder.path().join("pillarbox.db").exists(),
        "sending makes no inbox"
    );
}

#[test]
fn send_repeats_the_same_bytes_and_counts_new_ones() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let ran = folder.run(&[
        "send",
        "pay",
        "--count",
        "3",
        "--repeat",
        "2",
        "--to",
        serve.url("pay").as_str(),
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches(r#"{"status":"recorded"}"#).count(), 3);
    assert_eq!(
        ran.stdout
            .matches(r#", again: 200 {"status":"duplicate"}"#)
            .count(),
        6
    );
    assert_eq!(ran.stdout.matches("Pay marks it SUCCESSFUL").count(), 9);
    let ids: HashSet<_> = folder
        .list(&[])
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(
        ids.iter().all(|id| ran.stdout.matches(&**id).count() == 3),
        "{ids:?} {ran:?}"
    );
}

#[test]
fn what_send_prints_as_json_has_the_key_that_show_takes() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    for (source, repeats) in [("pay", "0"), ("hmrc", "1")] {
        let url = serve.url(source).to_string();
        let ran = folder.run(&["send", source, "--json", "--repeat", repeats, "--to", &url]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for (nth, line) in ran.stdout.lines().enumerate() {
            let sent: Value = serde_json::from_str(line).unwrap();
            assert_eq!(sent["status"], 200, "{sent}");
            assert_eq!(sent["is_repeat"], nth > 0, "{sent}");
            assert_eq!(sent["is_delivered"], true, "{sent}");
            let shown = folder.run(&["show", sent["key"].as_str().unwrap()]);
            assert_eq!(shown.code, 0, "{shown:?}");
        }
    }
    let ran = folder.run(&["send", "pay", "--json", "--to", NOBODY]);
    let sent: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((ran.code, &sent["status"]), (1, &Value::Null), "{ran:?}");
    assert!(sent["error"].as_str().unwrap().contains("cannot connect"));
}

#[test]
fn send_accepts_a_message_from_a_file_and_another_secret() {
    let folder = Folder::with(BOTH_SOURCES);
    folder.write("declaration.json", r#"{"duty": 1.10}"#);
    folder.write("declaration.xml", "<duty>1.10</duty>");
    folder.write("wrong.secret", "not-the-one-that-is-configured");
    let serve = folder.serve();
    let to = serve.url("hmrc").to_string();
    for arguments in [
        &["--message", "declaration.json"][..],
        &["--message", "declaration.xml", "--xml"],
    ] {
        let ran = folder.run(&[&["send", "hmrc", "--to", &to], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let bodies: Vec<String> = folder
        .list(&[])
        .iter()
        .map(|row| {
            folder
                .run(&["show", "--raw", row["key"].as_str().unwrap()])
                .stdout
        })
        .collect();
    assert!(
        bodies[0]
            .contains(r#""messageContentType":"application/xml","message":"<duty>1.10</duty>""#),
        "{bodies:?}"
    );
    assert!(
        bodies[1].contains(r#""message":"{\"duty\": 1.10}""#),
        "{bodies:?}"
    );

    let forged = folder.run(&["send", "hmrc", "--to", &to, "--secret", "file:wrong.secret"]);
    assert_eq!(forged.code, 1, "{forged:?}");
    assert!(
        forged.stdout.contains(r#"401 {"error":"signature"}"#),
        "{forged:?}"
    );
    assert_eq!(folder.list(&[]).len(), 2, "a forgery is not stored");
}

#[test]
fn json_objects_carry_at_least_the_documented_fields() {
    let folder = folder_after(&[&["pay", "--event", "captured"], &["hmrc", "--xml"]]);
    let documented = [
        "key",
        "source",
        "id",
        "event_type",
        "subject",
        "state",
        "reason",
        "attempts",
        "event_at",
        "received_at",
        "origin",
        "last_error",
    ];
    let mut objects = folder.list(&[]);
    assert_eq!(objects.len(), 2);
    assert_eq!(
        (&objects[0]["source"], &objects[1]["source"]),
        (&"hmrc".into(), &"pay".into()),
        "newest first"
    );
    for row in objects.clone() {
        let shown = folder.run(&["show", "--json", row["key"].as_str().unwrap()]);
        assert_eq!(
            (shown.code, shown.stdout.lines().count(), &*shown.stderr),
            (0, 1, "")
        );
        objects.push(serde_json::from_str(&shown.stdout).unwrap());
    }
    for object in &objects {
        for field in documented {
            assert!(object.get(field).is_some(), "{field} is missing: {object}");
        }
    }
    let captured = &objects[1];
    assert_eq!(captured["event_type"], "card_payment_captured");
    assert_eq!(
        (
            &captured["state"],
            &captured["origin"],
            &captured["attempts"]
        ),
        (&"delivered".into(), &"push".into(), &1.into())
    );
    for field in ["event_at", "received_at"] {
        let at = captured[field].as_str().unwrap();
        assert!(
            at.len() == 24 && at.ends_with('Z'),
            "{field} is UTC with milliseconds: {at}"
        );
    }
}

#[test]
fn lists_are_narrowed_by_every_filter() {
    let folder = folder_after(&[
        &["pay", "--event", "captured", "--count", "2"],
        &["hmrc", "--xml"],
    ]);
    let all = folder.list(&[]);
    let subject = all[1]["subject"].as_str().unwrap();
    for (filters, expected) in [
        (&["--source", "pay"][..], 2),
        (&["--state", "delivered"], 3),
        (&["--state", "dead"], 0),
        (&["--type", "card_payment_captured"], 2),
        (&["--type", "notification", "--source", "pay"], 0),
        (&["--subject", subject], 1),
        (&["--since", "1h"], 3),
        (&["--since", "2999-01-01T00:00:00Z"], 0),
        (&["--limit", "2"], 2),
    ] {
        assert_eq!(folder.list(filters).len(), expected, "{filters:?}");
    }
    assert_eq!(folder.list(&["--limit", "2"]), all[..2], "the newest");
    let empty = folder.run(&["list", "--state", "dead"]);
    assert_eq!((empty.code, &*empty.stdout), (0, ""), "{empty:?}");
    assert_eq!(empty.stderr, "No notification is dead.\n");
}

#[test]
fn what_does_not_exist_is_named_together_with_what_does() {
    let folder = folder_after(&[&["pay"]]);
    fails(
        &folder.run(&["send", "payy"]),
        2,
        &["no source `payy`", "hmrc, pay"],
    );
    fails(
        &folder.run(&["send", "pay", "--event", "stolen"]),
        2,
        &["`stolen`", "captured, refunded"],
    );
    fails(
        &folder.run(&["list", "--state", "lost"]),
        2,
        &["lost", "recorded, delivered, repeat, dead, held"],
    );
    fails(
        &folder.run(&["list", "--source", "payy"]),
        2,
        &["no source `payy`", "hmrc, pay"],
    );
    fails(
        &folder.run(&["list", "--source", "payy", "--json"]),
        2,
        &["no source `payy`"],
    );
    fails(
        &folder.run(&["list", "--since", "yesterday"]),
        2,
        &["--since", "30m"],
    );
    fails(
        &folder.run(&[
            "verify",
            "--source",
            "payy",
            "--body",
            "x",
            "--signature",
            "y",
        ]),
        2,
        &["no source `payy`"],
    );
    fails(
        &folder.run(&[
            "verify",
            "--source",
            "pay",
            "--body",
            "x",
            "--signature",
            "y",
        ]),
        2,
        &["cannot read x"],
    );
    for command in ["show", "replay", "discard"] {
        fails(
            &folder.run(&[command, "pay:nobody"]),
            1,
            &["no notification has the key pay:nobody", "pillarbox list"],
        );
        fails(
            &folder.run(&[command, "café"]),
            2,
            &["`café` is not a key", "SOURCE:ID"],
        );
    }
    fails(
        &folder.run(&["--config", "missing.toml", "list"]),
        2,
        &["cannot read missing.toml"],
    );
    fails(
        &folder.run(&["list", "--inbox", "sqlite:other.db"]),
        1,
        &["no inbox at other.db", "pillarbox inbox init"],
    );
    assert!(
        !folder.path().join("other.db").exists(),
        "looking makes no inbox"
    );
    for wrong in [
        &["lst"][..],
        &["list", "--colour"],
        &["replay"],
        &["discard"],
        &["show"],
        &["completions", "cmd"],
    ] {
        fails(&folder.run(wrong), 2, &["error[PB001]: "]);
    }
}

#[test]
fn an_error_has_a_stable_code_and_with_json_is_one_object() {
    let folder = Folder::with(BOTH_SOURCES);
    assert_eq!(folder.run(&["inbox", "init"]).code, 0);
    folder.write("broken.toml", "retention_days = 1\nlisten = 5\n");
    let wrong_config = ["--config", "broken.toml", "list"];
    let simulated = ["simulate", "pay", "--to", "https://example.gov.uk/"];
    for (arguments, code, exit_code) in [
        (&["list", "--colour"][..], "PB001", 2),
        (&["list", "--state", "ded"], "PB001", 2),
        (&wrong_config, "PB002", 2),
        (&["--config", "missing.toml", "list"], "PB003", 2),
        (&["send", "payy"], "PB004", 2),
        (&["send", "pay", "--secret", "env:UNSET"], "PB005", 2),
        (&["send", "hmrc", "--message", "none.json"], "PB006", 2),
        (&simulated, "PB007", 2),
        (&["list", "--inbox", "dynamodb:none"], "PB008", 2),
        (
            &["inbox", "backup", "b", "--inbox", "dynamodb:none"],
            "PB009",
            2,
        ),
        (&["show", "café"], "PB010", 2),
        (&["reconcile", "pay"], "PB012", 2),
        (&["list", "--inbox", "sqlite:other.db"], "PB101", 1),
        (&["show", "pay:none"], "PB109", 1),
        (&["wait", "--timeout", "0s"], "PB110", 1),
        (&["healthcheck", "--listen", "127.0.0.1:1"], "PB111", 1),
    ] {
        let ran = folder.run(arguments);
        fails(&ran, exit_code, &[&format!("error[{code}]: ")]);
        let ran = folder.run(&[arguments, &["--json"]].concat());
        // A command without `--json` refuses the flag, in JSON.
        let (code, exit_code) = if ran.stderr.contains("unexpected argument '--json'") {
            ("PB001", 2)
        } else {
            (code, exit_code)
        };
        fails(&ran, exit_code, &[]);
        let last = ran.stderr.lines().last().unwrap();
        let error: Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["code"], code, "{ran:?}");
        assert!(error["error"].as_str().unwrap().len() > 20, "{ran:?}");
    }
}

#[test]
fn healthcheck_ends_with_0_only_while_serve_is_ready() {
    let folder = Folder::empty();
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
    let doctor = Ran::of(doctor.env("PILLARBOX_LISTEN", &listen));
    let answers = format!("the running serve answers at {listen}");
    assert!(doctor.stdout.contains(&answers), "{doctor:?}");
    let refused = serve.stderr.find("request refused");
    assert_eq!(refused, None, "neither command is logged as a refusal");
    serve.stop(Signal::TERM);
    fails(&check(), 1, &["is `pillarbox serve` running?"]);
}

#[test]
fn help_and_version_are_data() {
    let folder = Folder::empty();
    for command in [
        &[][..],
        &["serve"],
        &["send"],
        &["list"],
        &["show"],
        &["replay"],
        &["discard"],
        &["verify"],
        &["check"],
        &["doctor"],
        &["healthcheck"],
    ] {
        let help = folder.run(&[command, &["--help"]].concat());
        assert_eq!((help.code, &*help.stderr), (0, ""), "{help:?}");
        assert!(help.stdout.contains("Usage: pillarbox"), "{help:?}");
    }
    let version = folder.run(&["--version"]);
    assert_eq!(
        (version.code, &*version.stdout),
        (0, concat!("pillarbox ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "asking changes nothing"
    );
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = folder_after(&[&["pay"]]);
    let coloured = |variables: &[(&str, &str)]| {
        let output = folder
            .command(&["list"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]), "no terminal, no colour");
    assert!(
        coloured(&[("CLICOLOR_FORCE", "1")]),
        "there is colour at all"
    );
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn a_closed_output_ends_a_list_without_an_error() {
    let folder = folder_after(&[&["pay", "--count", "300"]]);
    for arguments in [&["list", "--json"][..], &["list", "--limit", "1000000"]] {
        let mut command = folder.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(ended.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_wrong_configuration_ends_serve_with_everything_that_is_wrong_before_it_listens() {
    // Somebody has the port: had `serve` tried to listen first, it would say so instead.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let document = format!(
        "listen = \"{}\"\nretention_days = 30\n{BOTH_SOURCES}\n[sources.third]\nkind \
         = \"payments\"\nsecrets = [\"env:UNSET\"]\n\
         colour = \"red\"\n",
        taken.local_addr().unwrap()
    );
    let folder = Folder::with(&document);
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
    let folder = Folder::with(BOTH_SOURCES);
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
    let folder = Folder::with(BOTH_SOURCES);
    let ran = folder.run(&["serve", "--listen", &address, "--console", "127.0.0.1:0"]);
    fails(&ran, 1, &[&address, "cannot listen on", "--listen"]);
}

#[test]
fn a_second_serve_on_one_inbox_is_refused_and_the_first_goes_on() {
    let folder = Folder::with(BOTH_SOURCES);
    let first = folder.serve();
    let second = folder.run(&[&["serve"], FREE_PORTS].concat());
    fails(
        &second,
        1,
        &["another `pillarbox serve` is running on", "--inbox"],
    );
    let sent = folder.run(&["send", "pay", "--to", first.url("pay").as_str()]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let mut apart = Serve::spawn(
        &mut folder.command(&[&["serve", "--inbox", "sqlite:other.db"], FREE_PORTS].concat()),
    );
    apart.await_ready();
}

#[test]
fn flags_beat_variables_and_variables_beat_the_document() {
    let folder = Folder::with(&format!(
        "{BOTH_SOURCES}\n[inbox]\nkind = \"sqlite\"\npath = \"document.db\"\n"
    ));
    let init = |arguments: &[&str], variable: &str| {
        let ran = Ran::of(
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

    let elsewhere = Folder::empty();
    let mut command = elsewhere.command(&["send", "tax", "--to", NOBODY]);
    command.env(
        "PILLARBOX_CONFIG",
        "[sources.tax]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC_PUSH_SECRET\"]\n",
    );
    fails_to_connect(&Ran::of(&mut command));
    assert_eq!(
        fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "a document means no demo"
    );
}

#[test]
fn inbox_init_can_run_twice() {
    let folder = folder_after(&[&["pay"]]);
    for _ in 0..2 {
        let ran = folder.run(&["inbox", "init"]);
        assert_eq!((ran.code, &*ran.stdout), (0, ""), "{ran:?}");
        assert!(ran.stderr.contains("pillarbox.db is ready"), "{ran:?}");
    }
    assert_eq!(folder.list(&[]).len(), 1, "what is there stays");

    let empty = Folder::empty();
    assert_eq!(
        empty.run(&["inbox", "init"]).code,
        0,
        "the demo's folder is made, too"
    );
    assert_eq!(empty.list(&[]).len(), 0);
}

#[test]
fn show_raw_gives_the_exact_bytes() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    // Escapes, white space and a pair of surrogates that a JSON writer would not write so again;
    // then a long one.
    for text in [
        r#"{ "a":1.10,  "b":"😀\/\u00e9" }"#.to_owned(),
        format!("\"{}\"", hard_to_compress()),
    ] {
        let body = hmrc::body(
            &hmrc::HmrcMessage::json(text),
            hmrc::SAMPLE_BOX,
            &SystemClock,
        );
        assert_eq!(push(&serve, &body), r#"200 {"status":"recorded"}"#);
        let raw = folder.run(&["show", "--raw", &format!("hmrc:{}", body.id)]);
        assert_eq!((raw.code, &*raw.stderr), (0, ""));
        assert_eq!(raw.bytes, body.wire.as_bytes());
    }
}

/// Long enough to be stored separately in the inbox.
fn hard_to_compress() -> String {
    (0..4_000)
        .map(|_| format!("{:016x}", SystemClock.random()))
        .collect()
}

#[test]
fn replay_delivers_again_and_a_dry_run_only_reports() {
    let folder = folder_after(&[&["pay"], &["hmrc"]]);
    let keys: Vec<String> = folder
        .list(&[])
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned())
        .collect();
    let named: Vec<&str> = keys.iter().map(String::as_str).collect();

    let dry = folder.run(&[&["replay", "--dry-run"], &*named].concat());
    assert_eq!((dry.code, dry.stdout), (0, keys.join("\n") + "\n"));
    assert!(dry.stderr.contains("2 would be replayed"), "{}", dry.stderr);
    assert_eq!(folder.count("delivered"), 2, "a dry run changes nothing");

    let real = folder.run(&["replay", &keys[0]]);
    assert_eq!((real.code, real.stdout), (0, keys[0].clone() + "\n"));
    assert_eq!((folder.count("open"), folder.count("delivered")), (1, 1));
    let again = folder.run(&["replay", &keys[0]]);
    assert_eq!(again.code, 0, "an open one is due now, too: {again:?}");

    let mut serve = folder.serve();
    until("it is delivered again", || folder.count("delivered") == 2);
    assert!(serve.stop(Signal::TERM).success());
    let lines = serve.stdout.all();
    assert!(
        lines.len() == 1 && lines[0].contains(&keys[0]),
        "under the same key: {lines:?}"
    );
    for partition in ["--dead", "--held"] {
        let none = folder.run(&["replay", partition]);
        assert_eq!((none.code, &*none.stdout), (0, ""), "{none:?}");
    }
}

#[test]
fn replay_held_takes_stale_ones_and_names_unreadable_ones() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let long_ago = SystemClock
        .now()
        .minus(Duration::from_secs(61 * 24 * 60 * 60));
    let stale = hmrc::envelope(
        "stale-1",
        &hmrc::HmrcMessage::json("{}"),
        hmrc::SAMPLE_BOX,
        long_ago,
    );
    let unreadable = MessageBody {
        id: "none".to_owned(),
        signed: "not json".to_owned(),
        wire: "not json".to_owned(),
    };
    for body in [&stale, &unreadable] {
        assert_eq!(push(&serve, body), r#"200 {"status":"held"}"#);
    }
    let reasons: HashSet<_> = folder
        .list(&["--state", "held"])
        .iter()
        .map(|row| row["reason"].to_string())
        .collect();
    assert_eq!(
        reasons,
        HashSet::from([r#""stale""#.to_owned(), r#""unreadable""#.to_owned()])
    );

    for arguments in [
        &["replay", "--held", "--dry-run"][..],
        &["replay", "--held"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!((ran.code, &*ran.stdout), (0, "hmrc:stale-1\n"), "{ran:?}");
        assert!(
            ran.stderr.contains("is left alone: it is unreadable"),
            "{ran:?}"
        );
    }
    until("the stale one is delivered", || {
        folder.count("delivered") == 1
    });
    assert_eq!(folder.count("held"), 1);
}

#[test]
fn discard_ends_a_row_and_erase_takes_its_bytes() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let bodies = ["private-1", "private-2"].map(|text| MessageBody {
        id: String::new(),
        signed: text.into(),
        wire: text.into(),
    });
    for body in &bodies {
        assert_eq!(push(&serve, body), r#"200 {"status":"held"}"#);
    }
    let keys: Vec<String> = folder
        .list(&[])
        .iter()
        .map(|row| row["key"].as_str().unwrap().to_owned())
        .collect();
    let (kept, erased) = (&keys[0], &keys[1]);
    for arguments in [&["discard", kept][..], &["discard", "--erase", erased]] {
        let ran = folder.run(arguments);
        assert_eq!(
            (ran.code, ran.stdout),
            (0, format!("{}\n", arguments.last().unwrap()))
        );
    }
    assert_eq!(folder.count("discarded"), 2, "the entries stay");
    assert!(
        !is_anywhere_in(&folder, "private-1"),
        "what is erased is in no file any more, while serve goes on"
    );
    assert!(is_anywhere_in(&folder, "private-2"));
    assert_eq!(folder.run(&["show", "--raw", kept]).stdout, "private-2");
    fails(
        &folder.run(&["show", "--raw", erased]),
        1,
        &["its bytes are gone"],
    );
    assert!(folder.run(&["show", erased]).stdout.contains("erased"));
    let shown: Value =
        serde_json::from_str(&folder.run(&["show", "--json", erased]).stdout).unwrap();
    assert_eq!(
        (&shown["state"], shown.get("body")),
        (&"discarded".into(), None)
    );

    fails(
        &folder.run(&["discard", kept]),
        1,
        &["it was discarded before", "--erase"],
    );
    fails(&folder.run(&["replay", kept]), 1, &["it was discarded"]);
    assert_eq!(
        folder.run(&["discard", "--erase", kept]).code,
        0,
        "bytes can go later"
    );
    let proven = folder.run(&["verify", "--stored"]);
    assert_eq!(proven.code, 0, "{proven:?}");
    assert!(
        proven
            .stdout
            .contains("2 erased, 0 signed with a secret that is not here, 0 broken"),
        "{proven:?}"
    );
}

#[test]
fn erase_takes_the_bytes_of_a_delivered_row_and_a_dry_run_says_where_they_are() {
    let folder = Folder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let message = hmrc::HmrcMessage::json("private");
    let body = hmrc::body(&message, hmrc::SAMPLE_BOX, &SystemClock);
    let key = format!("hmrc:{}", body.id);
    let stored = pillarbox::inbox::StoredBody::pack(&body.wire.clone().into()).bytes;
    let stored = &stored[20..60];
    assert_eq!(push(&serve, &body), r#"200 {"status":"recorded"}"#);
    assert!(is_anywhere_in(&folder, stored));
    until("it is handed on", || folder.count("delivered") == 1);

    let dry = folder.run(&["discard", "--erase", "--dry-run", &key]);
    assert_eq!((dry.code, dry.stdout), (0, format!("{key}\n")));
    for said in ["bytes in table notification, row 1", "1 would be erased"] {
        assert!(dry.stderr.contains(said), "{}", dry.stderr);
    }
    assert_eq!(folder.count("delivered"), 1, "a dry run changes nothing");
    fails(
        &folder.run(&["discard", &key]),
        1,
        &["it is finished", "--erase"],
    );

    assert_eq!(folder.run(&["discard", "--erase", &key]).code, 0);
    assert_eq!(push(&serve, &body), r#"200 {"status":"duplicate"}"#);
    assert!(!is_anywhere_in(&folder, stored));
    let shown: Value = serde_json::from_str(&folder.run(&["show", "--json", &key]).stdout).unwrap();
    assert_eq!(
        (&shown["state"], &shown["reason"], shown.get("body")),
        (&"discarded".into(), &"delivered".into(), None)
    );
    fails(&folder.run(&["replay", &key]), 1, &["it was discarded"]);
}

/// Whether the inbox's files hold these stored bytes, in use or not.
fn is_anywhere_in(folder: &Folder, stored: impl AsRef<[u8]>) -> bool {
    let stored = stored.as_ref();
    let files = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap());
    files
        .into_iter()
        .any(|bytes| bytes.windows(stored.len()).any(|window| window == stored))
}

#[test]
fn verify_proves_a_body_and_explains_what_is_wrong_with_another() {
    let folder = folder_after(&[&["pay"]]);
    let key = only_key(&folder);
    let raw = folder.run(&["show", "--raw", &key]);
    let row: Value = serde_json::from_str(&folder.run(&["show", "--json", &key]).stdout).unwrap();
    let signature = row["signature"].as_str().unwrap();
    folder.write("body.json", &raw.bytes);
    folder.write("saved.json", [&raw.bytes[..], b"\n"].concat());

    let good = folder.run(&[
        "verify",
        "--source",
        "pay",
        "--body",
        "body.json",
        "--signature",
        signature,
    ]);
    assert_eq!(good.code, 0, "{good:?}");
    let upper = signature.to_uppercase();
    for (source, body, signature, words) in [
        (
            "pay",
            "saved.json",
            signature,
            "a newline at its end that was not signed",
        ),
        ("pay", "body.json", &*upper, "upper-case hex"),
        ("pay", "body.json", &signature[..39], "39 digits of 64"),
        ("hmrc", "body.json", signature, "is as long as those in"),
    ] {
        let bad = folder.run(&[
            "verify",
            "--source",
            source,
            "--body",
            body,
            "--signature",
            signature,
        ]);
        assert_eq!(bad.code, 1, "{bad:?}");
        assert!(bad.stdout.contains(words), "`{words}` is missing: {bad:?}");
    }
    let stored = folder.run(&["verify", "--stored"]);
    assert_eq!(stored.code, 0, "{stored:?}");
    assert!(
        stored.stdout.starts_with("1 signed and proven"),
        "{stored:?}"
    );

    let mut command = folder.command(&["verify", "--stored"]);
    let changed = Ran::of(command.env(
        "PAY_SIGNING_SECRET",
        "webhook_test_another0another0another0",
    ));
    assert_eq!(changed.code, 0, "a rotation is no tampering: {changed:?}");
    assert!(
        changed
            .stdout
            .contains("1 signed with a secret that is not here"),
        "{changed:?}"
    );
    assert!(changed.stderr.contains(&key), "{changed:?}");
}

#[test]
fn verify_prints_its_diagnosis_and_its_findings_as_json() {
    let folder = folder_after(&[&["pay"]]);
    let key = only_key(&folder);
    let raw = folder.run(&["show", "--raw", &key]);
    let row: Value = serde_json::from_str(&folder.run(&["show", "--json", &key]).stdout).unwrap();
    let signature = row["signature"].as_str().unwrap();
    folder.write("body.json", &raw.bytes);
    folder.write("saved.json", [&raw.bytes[..], b"\n"].concat());
    let zeros = "0".repeat(64);
    for (body, signature, code, verdict, has_label, cause) in [
        ("body.json", signature, 0, "genuine", true, None),
        ("saved.json", signature, 1, "refused", true, Some("newline")),
        ("body.json", &*zeros, 1, "refused", false, Some("")),
    ] {
        let source = ["verify", "--source", "pay", "--json"];
        let signed = ["--body", body, "--signature", signature];
        let ran = folder.run(&[source, signed].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found["source"], "pay", "{ran:?}");
        assert_eq!(found["verdict"], verdict, "{ran:?}");
        let label = found["key_label"].as_str();
        assert_eq!(label.is_some(), has_label, "{ran:?}");
        let first = found["causes"][0].as_str();
        assert_eq!(first.is_some(), cause.is_some(), "{ran:?}");
        let (first, cause) = (first.unwrap_or_default(), cause.unwrap_or_default());
        assert!(first.contains(cause), "{ran:?}");
    }

    let stored = |secret: &str, damage: &str| {
        let db = rusqlite::Connection::open(folder.path().join("pillarbox.db")).unwrap();
        db.execute_batch(damage).unwrap();
        drop(db);
        let mut command = folder.command(&["verify", "--stored", "--json"]);
        let ran = Ran::of(command.env("PAY_SIGNING_SECRET", secret));
        let lines = ran.stdout.lines();
        let objects = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        (ran.code, objects.collect::<Vec<_>>())
    };
    let other = "webhook_test_another0another0another0";
    for (damage, code, verdict) in [
        ("", 0, "other_secret"),
        ("UPDATE notification SET subject = 'another'", 1, "broken"),
    ] {
        let (ended, objects) = stored(other, damage);
        assert_eq!((ended, objects.len()), (code, 2), "{objects:?}");
        assert_eq!(objects[0]["key"], *key);
        assert_eq!(objects[0]["verdict"], verdict);
        assert!(objects[0]["reason"].as_str().unwrap().contains(&key));
        let counts = objects[1]["summary"].as_object().unwrap();
        assert_eq!(counts[verdict], 1, "{counts:?}");
        let sum = counts.values().filter_map(Value::as_u64).sum::<u64>();
        assert_eq!((counts.len(), sum), (6, 1), "{counts:?}");
    }
}

#[test]
fn a_backup_of_a_running_serve_is_whole_and_another_user_can_read_it_where_nothing_is_writable() {
    let folder = Folder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    let url = serve.url("pay").to_string();
    let sent = folder.run(&["send", "pay", "--count", "30", "--to", &url]);
    assert_eq!(sent.code, 0, "{sent:?}");
    fs::create_dir(folder.path().join("evidence")).unwrap();
    let backup = ["inbox", "backup", "evidence/copy.db"];
    let made = folder.run(&backup);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stderr.contains("all 30 notifications"), "{made:?}");
    fails(
        &folder.run(&backup),
        1,
        &["evidence/copy.db exists already"],
    );
    assert!(serve.stop(Signal::TERM).success());

    // A program that anyone may start, and a file and its folder that can only be read.
    let program = folder.path().join("evidence/pillarbox");
    fs::copy(binary("pillarbox-under-test"), &program).unwrap();
    for (name, mode) in [
        (".", 0o755),
        ("pillarbox.toml", 0o644),
        ("evidence/pillarbox", 0o755),
        ("evidence/copy.db", 0o444),
        ("evidence", 0o555),
    ] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path().join(name), permissions).unwrap();
    }
    let key = folder.list(&["--limit", "1"])[0]["key"].clone();
    for arguments in [
        &["list"][..],
        &["show", key.as_str().unwrap()],
        &["verify", "--stored"],
        &["doctor"],
    ] {
        let mut command = folder.command_of(&program, arguments);
        command.args(["--inbox", "sqlite:evidence/copy.db"]);
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534); // root may write wherever it likes
        }
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
    let mut left: Vec<_> = fs::read_dir(folder.path().join("evidence"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["copy.db", "pillarbox"]);
    let writable = fs::Permissions::from_mode(0o755); // so that the folder can be removed
    fs::set_permissions(folder.path().join("evidence"), writable).unwrap();
}

#[test]
fn doctor_finds_a_sound_inbox_fine_and_a_damaged_one_wrong() {
    let folder = folder_after(&[&["pay", "--count", "100"]]);
    let fine = folder.run(&["doctor"]);
    assert_eq!(fine.code, 0, "{fine:?}");
    for words in [
        "is sound (integrity_check)",
        "synchronous=FULL",
        "env:PAY_SIGNING_SECRET is there (sha256:682e8d73)",
    ] {
        assert!(
            fine.stdout.contains(words),
            "`{words}` is missing: {fine:?}"
        );
    }
    for line in folder.run(&["doctor", "--json"]).stdout.lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        assert!(
            finding["health"].is_string()
                && finding["what"].is_string()
                && finding["found"].is_string()
        );
    }

    let path = folder.path().join("pillarbox.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let damaged = folder.run(&["doctor"]);
    assert_eq!(damaged.code, 1, "{damaged:?}");
    assert!(
        damaged.stdout.contains("wrong  inbox pillarbox.db") && damaged.stdout.contains("damaged"),
        "{damaged:?}"
    );
}

#[test]
fn doctor_finds_a_secret_wrong_that_could_not_protect_anything() {
    let folder = Folder::with(&BOTH_SOURCES.replace("env:HMRC_PUSH_SECRET", "file:padded.secret"));
    folder.write("padded.secret", format!("{HMRC_SECRET}\n"));
    let ran = folder.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout
            .contains("wrong  secret: pillarbox.toml:4: sources.hmrc.secrets[0]"),
        "{ran:?}"
    );
}

#[test]
fn completions_are_a_script() {
    let folder = Folder::empty();
    let ran = folder.run(&["completions", "bash"]);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert!(ran.stdout.contains("_pillarbox()") && ran.stdout.contains("--dry-run"));
}

#[test]
fn a_source_without_a_secret_is_served_and_reported() {
    let folder = Folder::with(&BOTH_SOURCES.replace(r#"["env:PAY_SIGNING_SECRET"]"#, "[]"));
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

#[test]
fn a_path_in_place_of_the_document_is_recognised() {
    let folder = Folder::with(BOTH_SOURCES);
    for path in ["pillarbox.toml", "/nowhere/pillarbox.toml"] {
        let mut command = folder.command(&["list"]);
        command.env("PILLARBOX_CONFIG", path);
        fails(
            &Ran::of(&mut command),
            2,
            &[
                "takes the configuration document itself",
                &format!("write file:{path}"),
            ],
        );
    }
}

#[test]
fn what_the_examples_create_is_not_committed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../.gitignore");
    let ignored = fs::read_to_string(root).unwrap();
    for name in ["secrets.env", "consumer.db*", "simulated.toml", "body.json"] {
        assert!(ignored.lines().any(|line| line == name), "{name}");
    }
}
