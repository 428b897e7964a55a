//! `wait`, `tail`, `stats` and `export` beside a running `serve`.

use std::{collections::BTreeMap, process::Stdio};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use test_support::process::{BOTH_SOURCES, CommandResult, ProgramFolder, RunningServe, until};

/// The destination of [`BOTH_SOURCES`] is the log, so everything is delivered immediately.
fn receiver() -> (ProgramFolder, RunningServe) {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    (folder, serve)
}

#[track_caller]
fn send(folder: &ProgramFolder, serve: &RunningServe, arguments: &[&str]) {
    let url = serve.url(arguments[0]).to_string();
    let ran = folder.run(&[&["send"], arguments, &["--to", &url]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn objects(ran: &CommandResult) -> Vec<Value> {
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn wait_ends_once_the_requested_number_matches() {
    let (folder, serve) = receiver();
    let mut waiting = folder.command(&[
        "wait",
        "--source",
        "pay",
        "--state",
        "delivered",
        "--count",
        "3",
        "--json",
    ]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = waiting.spawn().unwrap();
    send(&folder, &serve, &["hmrc"]);
    send(&folder, &serve, &["pay", "--count", "2"]);
    assert!(waiting.try_wait().unwrap().is_none(), "two are too few");
    send(&folder, &serve, &["pay"]);
    let ended = waiting.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert_eq!(printed.matches(r#""source":"pay""#).count(), 3, "{printed}");
}

#[test]
fn wait_fails_after_its_time_and_says_how_many_matched() {
    let (folder, serve) = receiver();
    send(&folder, &serve, &["pay"]);
    let ran = folder.run(&["wait", "--count", "2", "--timeout", "1s"]);
    assert_eq!((ran.code, &*ran.stdout), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("1 of 2 matched within 1 s"), "{ran:?}");
    let unknown = folder.run(&["wait", "--source", "payy"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn tail_prints_what_arrives_oldest_first() {
    let (folder, serve) = receiver();
    let mut command = folder.command(&["tail", "--json"]);
    let mut tail = RunningServe::spawn(&mut command);
    for source in ["pay", "hmrc", "pay"] {
        send(&folder, &serve, &[source]);
    }
    let sources = || {
        let lines = tail.stdout.all();
        let mut seen: Vec<(String, String)> = Vec::new();
        for line in lines {
            let row: Value = serde_json::from_str(&line).unwrap();
            let [key, source] =
                ["key", "source"].map(|name| row[name].as_str().unwrap().to_owned());
            if !seen.iter().any(|(other, _)| *other == key) {
                seen.push((key, source));
            }
        }
        seen.into_iter()
            .map(|(_, source)| source)
            .collect::<Vec<_>>()
    };
    until("all three are printed", || sources().len() == 3);
    assert_eq!(sources(), ["pay", "hmrc", "pay"]);
    let delivered = || {
        tail.stdout
            .all()
            .iter()
            .filter(|line| line.contains(r#""state":"delivered""#))
            .count()
    };
    until("their ends are printed", || delivered() == 3);
    tail.kill();
}

#[test]
fn stats_count_by_source_event_and_state() {
    let (folder, serve) = receiver();
    send(&folder, &serve, &["pay", "--count", "3"]);
    send(&folder, &serve, &["hmrc", "--count", "2"]);
    until("all are delivered", || folder.count("delivered") == 5);
    let ran = folder.run(&["stats", "--json"]);
    let counts = objects(&ran).into_iter().map(|line| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (
            text("source"),
            text("state"),
            line["count"].as_u64().unwrap(),
        )
    });
    let mut by_source = BTreeMap::new();
    for (source, state, count) in counts {
        *by_source.entry((source, state)).or_insert(0) += count;
    }
    let row_count = |source: &str| {
        (
            (source.to_owned(), "delivered".to_owned()),
            if source == "pay" { 3 } else { 2 },
        )
    };
    assert_eq!(by_source, [row_count("hmrc"), row_count("pay")].into());
    let words = folder.run(&["stats"]);
    assert!(words.stdout.ends_with("total 5 delivered\n"), "{words:?}");
    let none = folder.run(&["stats", "--state", "dead"]);
    assert!(none.stderr.contains("No notification is dead."), "{none:?}");
}

#[test]
fn export_has_the_exact_bytes_and_the_verdict_of_each_row() {
    let (folder, serve) = receiver();
    send(&folder, &serve, &["pay"]);
    send(&folder, &serve, &["hmrc"]);
    until("both are delivered", || folder.count("delivered") == 2);
    let ran = folder.run(&["export"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows = objects(&ran);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row["verdict"], "signed", "{row}");
        let key = row["key"].as_str().unwrap();
        let raw = folder.run(&["show", key, "--raw"]);
        let exported = BASE64_STANDARD.decode(row["body_base64"].as_str().unwrap());
        assert_eq!(exported.unwrap(), raw.bytes, "{key}");
        let listed = &folder.list(&["--source", row["source"].as_str().unwrap()])[0];
        for (name, value) in listed.as_object().unwrap() {
            assert_eq!(&row[name], value, "{name}");
        }
    }

    let key = rows[0]["key"].as_str().unwrap();
    assert_eq!(folder.run(&["discard", key, "--erase"]).code, 0);
    let mut export = folder.command(&["export"]);
    export.env(
        "PAY_SIGNING_SECRET",
        "webhook_test_another1d5lsa5pdfs2bvim2f9",
    );
    let verdicts: Vec<_> = objects(&CommandResult::of(&mut export))
        .into_iter()
        .map(|row| {
            (
                row["verdict"].as_str().unwrap().to_owned(),
                row["body_base64"].is_null(),
            )
        })
        .collect();
    assert!(
        verdicts.contains(&("erased".to_owned(), true)),
        "{verdicts:?}"
    );
    assert!(
        verdicts.contains(&("other_secret".to_owned(), false)),
        "{verdicts:?}"
    );
}
