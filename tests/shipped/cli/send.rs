//! `send`.

use std::collections::HashSet;

use serde_json::Value;

use test_support::process::{BOTH_SOURCES, ProgramFolder};

use super::{NOBODY, fails_to_connect};

#[test]
fn send_reports_what_the_sender_would_do_without_a_receiver() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
