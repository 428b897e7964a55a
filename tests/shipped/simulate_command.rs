//! `pillarbox simulate`, as people run it against the shipped `serve` and against receivers that
//! are worse.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use test_support::process::{BOTH_SOURCES, CommandResult, ProgramFolder, RunningServe, until};

const INBOX: &str = "sqlite:pillarbox.db";

/// The lines of `--json`: the messages, and the summaries behind them.
fn parsed(ran: &CommandResult) -> (Vec<Value>, Vec<Value>) {
    let lines = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (summaries, messages): (Vec<Value>, Vec<Value>) =
        lines.partition(|line| line.get("summary").is_some());
    (
        messages,
        summaries
            .into_iter()
            .map(|line| line["summary"].clone())
            .collect(),
    )
}

/// Plays both senders against a running `serve`, whose inbox is looked into afterwards.
fn simulate_both(folder: &ProgramFolder, serve: &RunningServe, flags: &[&str]) -> CommandResult {
    let (pay, hmrc) = (serve.url("pay").to_string(), serve.url("hmrc").to_string());
    folder.run(
        &[
            &[
                "simulate", "pay", "hmrc", "--to", &pay, "--to", &hmrc, "--inbox", INBOX,
            ],
            flags,
        ]
        .concat(),
    )
}

/// A receiver that answers every request with the same text, until the test ends.
fn receiver(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/try", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_all(stream, answer));
        }
    });
    url
}

fn answer_all(mut stream: TcpStream, answer: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[test]
fn the_receiver_is_found_without_fault_in_every_scenario() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    for (scenario, flags) in [
        ("calm", &["--count", "120"][..]),
        ("busy", &["--count", "200"]),
        ("hostile", &["--count", "60"]),
        ("outage", &["--count", "20", "--time-scale", "36000"]),
        ("go-live", &["--count", "100"]),
    ] {
        let ran = simulate_both(
            &folder,
            &serve,
            &[&["--json", "--scenario", scenario], flags].concat(),
        );
        assert_eq!(ran.code, 0, "{scenario}: {ran:?}");
        let (messages, summaries) = parsed(&ran);
        assert_eq!(summaries.len(), 2, "{scenario}");
        for summary in summaries {
            assert_eq!(
                (
                    &summary["ending"],
                    summary["faults"].as_array().unwrap().len()
                ),
                (&"complete".into(), 0)
            );
            let named = messages
                .iter()
                .filter(|message| message["sender"] == summary["sender"]);
            let own = named.filter(|message| message["what"] == "notification");
            assert!(
                own.count() as u64 >= summary["count"].as_u64().unwrap(),
                "every id that was sent is printed"
            );
        }
    }
}

#[test]
fn an_inbox_that_lost_a_row_or_has_it_twice_is_found_out() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    let url = serve.url("pay").to_string();
    let flags = [
        "simulate", "pay", "--to", &url, "--inbox", INBOX, "--json", "--seed", "7", "--count", "16",
    ];
    let (messages, _) = parsed(&folder.run(&flags));
    let ids: Vec<&str> = messages
        .iter()
        .map(|message| message["id"].as_str().unwrap())
        .collect();
    assert!(serve.stop(Signal::TERM).success());

    // What a receiver that acknowledges first and crashes then leaves behind, and one that keeps
    // copies.
    let db = rusqlite::Connection::open(folder.path().join("pillarbox.db")).unwrap();
    let columns = "v, state, attempts, budget_from, origin, event_type, subject, event_at, \
     received_at, digest, content_digest, deflated, body";
    db.execute(
        "DELETE FROM notification WHERE pk = ?1",
        [format!("pay:{}", ids[0])],
    )
    .unwrap();
    let copy = format!(
        "INSERT INTO notification (pk, {columns}) SELECT pk || ?2, {columns} FROM notification \
         WHERE pk = ?1"
    );
    db.execute(&copy, [format!("pay:{}", ids[1]), "~00000000".to_owned()])
        .unwrap();
    drop(db);

    // The same seed again, to a receiver that answers 200 to everything: the beliefs are the same,
    // the inbox is not.
    let away = receiver(OK);
    let again = [
        "simulate", "pay", "--to", &away, "--inbox", INBOX, "--json", "--seed", "7", "--count",
        "16",
    ];
    let ran = folder.run(&again);
    assert_eq!(ran.code, 1, "{ran:?}");
    let (_, summaries) = parsed(&ran);
    let faults = summaries[0]["faults"].as_array().unwrap();
    let found: BTreeSet<(&str, &str)> = faults
        .iter()
        .map(|fault| {
            (
                fault["name"].as_str().unwrap(),
                fault["id"].as_str().unwrap(),
            )
        })
        .collect();
    let twice = if found.contains(&("delivered-under-two-keys", ids[1])) {
        found.len() - 1
    } else {
        found.len()
    };
    assert!(
        found.contains(&("acknowledged-and-absent", ids[0])),
        "{found:?}"
    );
    assert!(found.contains(&("stored-twice", ids[1])), "{found:?}");
    assert_eq!(twice, 2, "{found:?}");
}

#[test]
fn a_seed_repeats_a_run_and_is_printed_if_none_was_given() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let url = receiver(OK);
    let ids = |flags: &[&str]| -> BTreeSet<String> {
        let ran = folder.run(
            &[
                &["simulate", "pay", "--to", &url, "--json", "--count", "20"],
                flags,
            ]
            .concat(),
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        let (messages, summaries) = parsed(&ran);
        assert!(
            ran.stderr
                .contains(&format!("--seed {}", summaries[0]["seed"])),
            "{ran:?}"
        );
        messages
            .iter()
            .map(|message| message["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&["--seed", "42"]), ids(&["--seed", "42"]));
    assert_ne!(ids(&["--seed", "42"]), ids(&["--seed", "43"]));
    assert_ne!(ids(&[]), ids(&[]));
}

#[test]
fn what_is_wrong_with_a_receiver_is_named_and_costs_the_exit_code() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let fast = ["--time-scale", "1000000", "--count", "4"];
    for (source, answer, flags, fault) in [
        (
            "pay",
            "HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n",
            &[][..],
            "given-up: 4",
        ),
        (
            "hmrc",
            "HTTP/1.1 204 No Content\r\n\r\n",
            &[],
            "given-up: 4",
        ),
        ("pay", OK, &["--wrong-key", "100"], "forgery-accepted: 4"),
        ("hmrc", OK, &["--backlog", "4"], "challenge-refused: 1"),
    ] {
        let url = receiver(answer);
        let ran = folder.run(
            &[
                &["simulate", source, "--to", &url, "--quiet"],
                &fast[..],
                flags,
            ]
            .concat(),
        );
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stdout.contains(fault), "{fault}: {ran:?}");
    }
}

#[test]
fn a_run_that_cannot_start_is_refused_before_anything_is_sent() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let url = receiver(OK);
    let listening = url.trim_start_matches("http://").trim_end_matches("/try");
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    folder.write("kept/000001-x.request", "no request");
    for (flags, code, words) in [
        (&["nobody"][..], 2, "there is no source `nobody`"),
        (&["pay", "--to", "receiver"], 2, "--to is not a URL"),
        (
            &["pay", "--to", "https://a:b@receiver.example.gov.uk/"],
            2,
            "a user name or a password",
        ),
        (
            &["pay", "--to", "https://receiver.example.gov.uk/#top"],
            2,
            "#fragment",
        ),
        (
            &["pay", "--to", "http://receiver.example.gov.uk/"],
            2,
            "use https://",
        ),
        (
            &["pay", "--to", "https://receiver.example.gov.uk/"],
            2,
            "--yes-store-test-data",
        ),
        (
            &[
                "pay",
                "--to",
                "https://receiver.example.gov.uk/",
                "--yes-store-test-data",
                "--quiet",
            ],
            2,
            "--record DIR",
        ),
        (&["pay", "--serve-pull"], 2, "--serve-pull needs a source"),
        (
            &["pay", "--to", "http://127.0.0.1:1/"],
            1,
            "check that the receiver runs",
        ),
        (
            &["pay", "--to", &url, "--secret", "env:NOWHERE"],
            2,
            "NOWHERE",
        ),
        (
            &["pay", "--to", &url, "--secret", "webhook_test_x"],
            2,
            "--secret",
        ),
        (&["pay", "hmrc", "--to", &url], 2, "once for each source"),
        (
            &["pay", "--to", &url, "--scenario", "storm"],
            2,
            "choose one of calm",
        ),
        (
            &["pay", "--to", &url, "--outage", "soon"],
            2,
            "30s, 30m, 2h, 7d",
        ),
        (&["pay", "--to", &url, "--duplicate", "101"], 2, "101"),
        (&["pay", "--to", &url, "--count", "10000001"], 2, "10000001"),
        (
            &["pay", "--to", &url, "--start", "yesterday"],
            2,
            "--start is not a date",
        ),
        (
            &["pay", "--to", &url, "--inbox", "sqlite:none.db"],
            1,
            "there is no inbox",
        ),
        (&["pay", "--to", &url, "--replay", "nowhere"], 2, "nowhere"),
        (
            &["pay", "--to", &url, "--replay", "kept"],
            2,
            "not a request",
        ),
        (
            &["pay", "--to", &url, "--record", "kept"],
            2,
            "another folder",
        ),
    ] {
        let mut command = folder.command(&[&["simulate"], flags].concat());
        let ran = CommandResult::of(command.env("PILLARBOX_LISTEN", listening));
        assert_eq!((ran.code, &*ran.stdout), (code, ""), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
}

#[test]
fn a_wrong_secret_ends_the_run_instead_of_three_days_of_refusals() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let url = receiver("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
    let ran = folder.run(&["simulate", "pay", "--to", &url, "--quiet"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("the receiver has another secret"),
        "{ran:?}"
    );
}

#[test]
fn ctrl_c_prints_what_is_known_so_far() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let url = receiver("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    let mut child = RunningServe::spawn(
        &mut folder.command(&["simulate", "pay", "--to", &url, "--count", "5"]),
    );
    until("it has begun", || child.stderr.find("--seed").is_some());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(child.stop(Signal::INT).code(), Some(1));
    assert!(
        child.stdout.find("stopped after").is_some(),
        "{:?}",
        child.stdout.all()
    );
    assert!(
        child.stdout.find("undecided: 5").is_some(),
        "{:?}",
        child.stdout.all()
    );
}

#[test]
fn a_recording_can_be_replayed_and_is_not_accepted_again() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let url = serve.url("hmrc").to_string();
    let base = [
        "simulate", "hmrc", "--to", &url, "--inbox", INBOX, "--quiet",
    ];
    assert_eq!(
        folder
            .run(&[&base[..], &["--count", "55", "--record", "kept"]].concat())
            .code,
        0
    );
    assert!(
        std::fs::read_dir(folder.path().join("kept"))
            .unwrap()
            .count()
            >= 2 * 55
    );
    let ran = folder.run(&[&base[..], &["--count", "0", "--replay", "kept"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("replayed acknowledged 55"), "{ran:?}");
    assert_eq!(folder.list(&[]).len(), 55);
}

#[test]
fn what_a_run_never_pushed_can_be_pulled_by_the_lines_it_prints() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let url = serve.url("hmrc").to_string();
    let flags = [
        "simulate",
        "hmrc",
        "--to",
        &url,
        "--count",
        "40",
        "--lost",
        "50",
        "--quiet",
        "--serve-pull",
        "0",
    ];
    let mut simulated = RunningServe::spawn(&mut folder.command(&flags));
    until("it is served", || {
        simulated.stderr.find(" reconcile hmrc").is_some()
    });

    let printed = simulated.stderr.all().join("\n");
    let (_, commands) = printed.split_once("in this folder:\n").unwrap();
    let ran = CommandResult::of(&mut folder.command_of("sh", &["-c", commands]));
    assert_eq!(ran.code, 0, "{ran:?}");

    until("all are delivered", || folder.count("delivered") == 40);
    let pulled = folder
        .list(&[])
        .iter()
        .filter(|row| row["origin"] == "pull")
        .count();
    assert!((5..36).contains(&pulled), "{pulled} of 40");
    assert!(simulated.stop(Signal::INT).success());
    assert!(
        simulated
            .stderr
            .find("0 PENDING, 0 FAILED, 40 ACKNOWLEDGED")
            .is_some(),
        "{:?}",
        simulated.stderr.all()
    );
}
