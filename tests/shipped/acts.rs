//! What a person does to notifications: replay and discard by key and by filter, and the audit
//! trail of it.

use std::{fs, path::Path};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use test_support::process::{BOTH_SOURCES, CommandResult, ProgramFolder, RunningServe, until};

/// A folder with an inbox of `count` delivered notifications of Pay, and no running `serve`.
fn delivered(count: usize) -> ProgramFolder {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    let (url, count) = (serve.url("pay").to_string(), count.to_string());
    let sent = folder.run(&["send", "pay", "--count", &count, "--to", &url]);
    assert_eq!(sent.code, 0, "{sent:?}");
    until("all are delivered", || folder.count("open") == 0);
    assert!(serve.stop(Signal::TERM).success());
    folder
}

fn keys(folder: &ProgramFolder) -> Vec<String> {
    let rows = folder.list(&[]).into_iter();
    rows.map(|row| row["key"].as_str().unwrap().to_owned())
        .collect()
}

fn audit(folder: &ProgramFolder) -> Vec<Value> {
    let ran = folder.run(&["audit", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The action, target, counts and outcome of each entry, newest first.
fn acts(folder: &ProgramFolder) -> Vec<String> {
    let entries = audit(folder).into_iter().map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        let (planned, done) = (&entry["planned"], &entry["done"]);
        let (action, target) = (text("action"), text("target"));
        format!("{action} {target}: {done} of {planned} {}", text("outcome"))
    });
    entries.collect()
}

fn inbox_file(folder: &ProgramFolder) -> std::path::PathBuf {
    let path = folder.path().join("pillarbox.db");
    assert!(Path::exists(&path));
    path
}

#[test]
fn every_change_of_a_person_is_in_the_audit_trail() {
    let folder = delivered(2);
    let keys = keys(&folder);
    for (arguments, code) in [
        (&["replay", &keys[0]][..], 0),
        (&["discard", &keys[0]], 0),
        (&["discard", &keys[1]], 1),
        (&["discard", "--erase", &keys[1]], 0),
        (&["replay", "pay:unknown"], 1),
        (&["replay", &keys[0], "--dry-run"], 1),
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let expected = [
        "replay pay:unknown: 0 of 1 done".to_owned(),
        format!("erase {}: 1 of 1 done", keys[1]),
        format!("discard {}: 0 of 1 done", keys[1]),
        format!("discard {}: 1 of 1 done", keys[0]),
        format!("replay {}: 1 of 1 done", keys[0]),
    ];
    assert_eq!(acts(&folder), expected, "newest first, and no dry run");
    let newest = &audit(&folder)[0];
    let (actor, host) = (newest["actor"].as_str().unwrap(), rustix::system::uname());
    let host = host.nodename().to_string_lossy();
    assert!(actor.ends_with(&format!("@{host}")), "{actor}");

    let words = folder.run(&["audit", "--limit", "1"]);
    assert_eq!(words.stdout.lines().count(), 1, "{words:?}");
    assert!(words.stdout.contains("0 of 1 done"), "{words:?}");
    let later = folder.run(&["audit", "--since", "2099-01-01T00:00:00Z"]);
    assert_eq!((later.code, &*later.stdout), (0, ""), "{later:?}");
    let wrong = folder.run(&["audit", "--since", "yesterday"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

#[test]
fn an_act_prints_one_object_for_each_notification_done_or_left_alone() {
    let folder = delivered(2);
    let keys = keys(&folder);
    let bulk = ["discard", "--source", "pay", "--erase"];
    for (arguments, code, expected) in [
        (
            &["replay", &keys[0], "pay:unknown"][..],
            1,
            &[
                (&*keys[0], "replay", false, None),
                ("pay:unknown", "replay", false, Some("no notification has")),
            ][..],
        ),
        (
            &["discard", &keys[1]],
            1,
            &[(&keys[1], "discard", false, Some("it is finished"))],
        ),
        (
            &["discard", "no-such-id"],
            1,
            &[("no-such-id", "discard", false, Some("no notification has"))],
        ),
        (
            &[&bulk[..], &["--dry-run"]].concat(),
            0,
            &[
                (&keys[1], "erase", true, None),
                (&keys[0], "erase", true, None),
            ],
        ),
        (
            &[&bulk[..], &["--yes"]].concat(),
            0,
            &[
                (&keys[1], "erase", false, None),
                (&keys[0], "erase", false, None),
            ],
        ),
        (
            &["replay", "--state", "discarded", "--yes"],
            0,
            &[
                (&keys[1], "replay", false, Some("it was discarded")),
                (&keys[0], "replay", false, Some("it was discarded")),
            ],
        ),
    ] {
        let ran = folder.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        let mut objects: Vec<Value> = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let position = |object: &Value| expected.iter().position(|(key, ..)| object["key"] == *key);
        objects.sort_by_key(position); // several run concurrently
        assert_eq!(objects.len(), expected.len(), "{ran:?}");
        for (object, (key, action, dry_run, reason)) in objects.iter().zip(expected) {
            assert_eq!(object["key"], *key, "{ran:?}");
            assert_eq!(object["action"], *action, "{ran:?}");
            assert_eq!(object["dry_run"], *dry_run, "{ran:?}");
            assert_eq!(object["done"], reason.is_none(), "{ran:?}");
            let why = object["reason"].as_str();
            assert_eq!(why.is_some(), reason.is_some(), "{ran:?}");
            assert!(
                why.unwrap_or_default().contains(reason.unwrap_or_default()),
                "{ran:?}"
            );
        }
    }
}

#[test]
fn nothing_is_changed_if_the_audit_trail_cannot_be_written() {
    let folder = delivered(1);
    let key = &keys(&folder)[0];
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END";
    let db = Connection::open(inbox_file(&folder)).unwrap();
    db.execute_batch(trigger).unwrap();
    drop(db);
    for arguments in [
        &["replay", key][..],
        &["discard", "--erase", key],
        &["replay", "--state", "delivered", "--yes"],
        &["discard", "--source", "pay", "--erase", "--yes"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("nothing was changed"), "{ran:?}");
    }
    assert_eq!(folder.count("delivered"), 1);
    assert_eq!(
        folder.run(&["show", key, "--raw"]).code,
        0,
        "its bytes are there"
    );
}

#[test]
fn a_filter_is_counted_first_and_changes_nothing_without_consent() {
    let folder = delivered(3);
    let filter = ["replay", "--source", "pay", "--state", "delivered"];
    let with = |more: &[&str]| folder.run(&[&filter[..], more].concat());
    let unconfirmed = with(&[]);
    assert_eq!(
        (unconfirmed.code, &*unconfirmed.stdout),
        (2, ""),
        "{unconfirmed:?}"
    );
    for words in ["3 match, and nothing was replayed", "--expect 3", "--yes"] {
        assert!(unconfirmed.stderr.contains(words), "{unconfirmed:?}");
    }
    let dry = with(&["--dry-run"]);
    assert_eq!((dry.code, dry.stdout.lines().count()), (0, 3), "{dry:?}");
    assert!(dry.stderr.contains("3 would be replayed"), "{dry:?}");
    let other = with(&["--expect", "4"]);
    assert_eq!((other.code, &*other.stdout), (1, ""), "{other:?}");
    assert!(other.stderr.contains("3 match, and not 4"), "{other:?}");
    assert_eq!((folder.count("delivered"), acts(&folder).len()), (3, 0));

    let mut oldest_first = keys(&folder);
    oldest_first.reverse();
    let done = with(&["--expect", "3"]);
    assert_eq!(done.code, 0, "{done:?}");
    let mut printed: Vec<&str> = done.stdout.lines().collect();
    printed.sort_unstable();
    oldest_first.sort_unstable();
    assert_eq!(printed, oldest_first, "each once");
    assert_eq!(folder.count("open"), 3);
    assert_eq!(
        acts(&folder),
        ["replay --source pay --state delivered: 3 of 3 done"]
    );

    for wrong in [
        &["replay", "pay:one", "--source", "pay"][..],
        &["replay", "--dead", "--state", "dead"],
        &["replay", "--source", "payy", "--yes"],
        &["replay", "--state", "none", "--yes"],
        &["replay", "--source", "pay", "--yes", "--expect", "1"],
        &["replay", "--source", "pay", "--rate", "0", "--yes"],
        &["discard", "--erase"],
    ] {
        let ran = folder.run(wrong);
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

#[test]
fn a_filter_without_a_state_means_what_waits_for_a_person() {
    let folder = delivered(2);
    for command in ["replay", "discard"] {
        let ran = folder.run(&[command, "--source", "pay", "--yes"]);
        assert_eq!((ran.code, &*ran.stdout), (0, ""), "{ran:?}");
    }
    assert_eq!(folder.count("delivered"), 2);
    let erased = folder.run(&["discard", "--source", "pay", "--erase", "--yes"]);
    assert_eq!(
        (erased.code, erased.stdout.lines().count()),
        (0, 2),
        "{erased:?}"
    );
    let expected = [
        "erase --source pay: 2 of 2 done",
        "discard --source pay --state dead,held: 0 of 0 done",
        "replay --source pay --state dead,held: 0 of 0 done",
    ];
    assert_eq!(acts(&folder), expected);
}

/// Starts a replay of all that is delivered, slowly, and waits until it has replayed some.
fn slow_replay(folder: &ProgramFolder, some: usize) -> RunningServe {
    let arguments = ["replay", "--state", "delivered", "--rate", "20", "--yes"];
    let replay = RunningServe::spawn(&mut folder.command(&arguments));
    until("some are replayed", || replay.stdout.len() >= some);
    replay
}

#[test]
fn an_act_on_many_stops_at_ctrl_c_and_goes_on_when_it_is_run_again() {
    let folder = delivered(60);
    let mut replay = slow_replay(&folder, 5);
    let status = replay.stop(Signal::INT);
    assert_eq!(status.code(), Some(1));
    let done = replay.stdout.len();
    assert!((5..60).contains(&done), "{done}");
    let remain = 60 - done;
    let summary = format!("Stopped: {done} replayed, 0 left alone, {remain} remain");
    assert!(
        replay.stderr.find(&summary).is_some(),
        "{:?}",
        replay.stderr.all()
    );
    assert_eq!(
        (folder.count("open"), folder.count("delivered")),
        (done, remain)
    );
    let stopped = format!("replay --state delivered: {done} of 60 stopped");
    assert_eq!(acts(&folder), std::slice::from_ref(&stopped));

    let rest = folder.run(&["replay", "--state", "delivered", "--yes"]);
    assert_eq!(
        (rest.code, rest.stdout.lines().count()),
        (0, remain),
        "{rest:?}"
    );
    let done = format!("replay --state delivered: {remain} of {remain} done");
    assert_eq!(acts(&folder), [done, stopped]);
}

#[test]
fn an_act_whose_process_is_killed_leaves_an_entry_that_never_ended() {
    let folder = delivered(60);
    let mut replay = slow_replay(&folder, 3);
    replay.kill();
    assert_eq!(acts(&folder), ["replay --state delivered: 0 of 60 started"]);
    assert!((3..60).contains(&folder.count("open")));
}

#[test]
fn an_act_with_a_rate_takes_as_long_as_it_reports() {
    let folder = delivered(5);
    let started = Instant::now();
    let ran: CommandResult =
        folder.run(&["replay", "--state", "delivered", "--rate", "5", "--yes"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 5), "{ran:?}");
    assert!(
        started.elapsed().as_millis() >= 800,
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_payment_is_erased_with_every_notification_about_it() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    let url = serve.url("pay").to_string();
    for repeat in ["1", "0"] {
        let sent = folder.run(&["send", "pay", "--repeat", repeat, "--to", &url]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    until("both are delivered", || folder.count("delivered") == 2);
    assert!(serve.stop(Signal::TERM).success());
    let rows = folder.list(&[]);
    let subject = rows[0]["subject"].as_str().unwrap();
    let others: Vec<&Value> = rows
        .iter()
        .filter(|row| row["subject"] != subject)
        .collect();
    let erase = [
        "discard",
        "--source",
        "pay",
        "--subject",
        subject,
        "--erase",
    ];
    let dry = folder.run(&[&erase[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(
        dry.stderr.contains("bytes in table notification"),
        "{dry:?}"
    );
    let ran = folder.run(&[&erase[..], &["--yes"]].concat());
    assert_eq!(
        (ran.code, ran.stdout.lines().count()),
        (0, 2 - others.len()),
        "{ran:?}"
    );
    assert_eq!(folder.count("discarded"), 2 - others.len());
    assert_eq!(acts(&folder).len(), 1);
    assert!(acts(&folder)[0].starts_with(&format!("erase --source pay --subject {subject}: ")));
    assert!(fs::exists(inbox_file(&folder)).unwrap());
}
