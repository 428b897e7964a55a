//! `export` from one inbox and `import` into another: what is kept, what is refused, and what is
//! never delivered twice.

use std::{fs, process::Stdio};

use base64::{Engine, prelude::BASE64_STANDARD};
use pillarbox::domain::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use test_support::{
    process::{BOTH_SOURCES, CommandResult, ProgramFolder, until},
    table,
};

const OTHER: [&str; 2] = ["--inbox", "sqlite:other.db"];

/// A folder whose inbox has rows of both senders: three delivered, one of them with a long body,
/// one open, one erased and one discarded. `other.db` is an empty inbox.
fn folder() -> ProgramFolder {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    let long = folder.write("long.json", format!("{{\"a\":\"{}\"}}", hard_to_compress()));
    let long = long.to_str().unwrap();
    for (source, more) in [
        ("pay", &["--count", "3"][..]),
        ("hmrc", &["--count", "2"]),
        ("hmrc", &["--message", long]),
    ] {
        let url = serve.url(source).to_string();
        let ran = folder.run(&[&["send", source, "--to", &url], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    until("all are delivered", || folder.count("delivered") == 6);
    assert!(serve.stop(Signal::TERM).success());
    let keys = folder.list(&["--source", "pay"]);
    let key = |number: usize| keys[number]["key"].as_str().unwrap();
    for arguments in [
        &["replay", key(0)][..],
        &["discard", "--erase", key(1)],
        &["inbox", "init", "--inbox", "sqlite:other.db"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    folder
}

/// More than 8 KB, even compressed.
fn hard_to_compress() -> String {
    let parts = (0..800_u32).map(|number| hex::encode(Sha256::digest(number.to_be_bytes())));
    parts.collect()
}

fn export(folder: &ProgramFolder, from: &[&str]) -> String {
    let ran = folder.run(&[&["export"], from].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

/// Imports `lines` from standard input.
fn import(folder: &ProgramFolder, lines: &str, arguments: &[&str]) -> CommandResult {
    let file = folder.write("lines.ndjson", lines);
    let mut command = folder.command(&[&["import", "-"], arguments].concat());
    CommandResult::of(command.stdin(Stdio::from(fs::File::open(file).unwrap())))
}

fn objects(lines: &str) -> Vec<Value> {
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn assert_result(ran: &CommandResult, code: i32, words: &str) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(ran.stderr.contains(words), "{words}: {ran:?}");
}

#[test]
fn what_is_exported_from_one_inbox_is_exported_from_the_next_without_a_change() {
    let folder = folder();
    let exported = export(&folder, &[]);
    let moved = [&OTHER[..], &["--deliver"]].concat();
    let imported = import(&folder, &exported, &moved);
    assert_result(
        &imported,
        0,
        "6 imported, 0 stored before, 0 expired, 0 refused.",
    );
    assert_eq!(imported.stdout.lines().count(), 6, "{imported:?}");
    assert_eq!(
        export(&folder, &OTHER),
        exported,
        "every line, in its order"
    );
    let proven = folder.run(&[&["verify", "--stored"], &OTHER[..]].concat());
    assert_result(&proven, 0, "");
    assert!(proven.stdout.contains("5 signed and proven"), "{proven:?}");

    for _ in 0..2 {
        let again = import(&folder, &exported, &moved);
        assert_result(
            &again,
            0,
            "0 imported, 6 stored before, 0 expired, 0 refused.",
        );
        assert_eq!(again.stdout, "");
    }
    assert_eq!(export(&folder, &OTHER), exported);
    let audit = folder.run(&[&["audit", "--json"], &OTHER[..]].concat());
    let entries = objects(&audit.stdout);
    let counts = entries.iter().map(|entry| entry["done"].as_u64().unwrap());
    assert_eq!(counts.collect::<Vec<_>>(), [0, 0, 6], "{entries:?}");
    let first = &entries[2];
    for (field, value) in [
        ("action", json!("import")),
        ("target", json!("standard input")),
        ("planned", json!(6)),
        ("outcome", json!("done")),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
}

#[test]
fn what_was_open_is_held_and_delivered_only_once_a_person_replays_it() {
    let folder = folder();
    let exported = export(&folder, &["--source", "pay"]);
    let file = folder.write("pay.ndjson", &exported);
    let file = file.to_str().unwrap();
    let ran = folder.run(&[&["import", file], &OTHER[..]].concat());
    assert_result(&ran, 0, "3 imported");
    let held = [&["list", "--json", "--state", "held"], &OTHER[..]].concat();
    let rows = objects(&folder.run(&held).stdout);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["reason"], "imported");
    let proven = folder.run(&[&["verify", "--stored"], &OTHER[..]].concat());
    assert_result(&proven, 0, "");

    let mut serve = folder.serve_command();
    let mut serve = test_support::process::RunningServe::spawn(serve.args(OTHER));
    serve.await_ready();
    let key = rows[0]["key"].as_str().unwrap();
    let replayed = folder.run(&[&["replay", "--held"], &OTHER[..]].concat());
    assert_eq!((replayed.code, replayed.stdout), (0, format!("{key}\n")));
    until("it is delivered", || serve.stdout.len() > 0);
    assert!(serve.stop(Signal::TERM).success());
    let delivered = serve.stdout.all();
    assert!(
        delivered.len() == 1 && delivered[0].contains(key),
        "{delivered:?}"
    );
}

#[test]
fn a_line_that_was_changed_is_named_and_the_others_are_stored() {
    let folder = folder();
    let exported = export(&folder, &["--state", "delivered"]);
    let rows = objects(&exported);
    let bytes = |row: &Value| {
        let text = row["body_base64"].as_str().unwrap();
        BASE64_STANDARD.decode(text).unwrap()
    };
    let pay = rows.iter().find(|row| row["source"] == "pay").unwrap();
    let mut other_bytes = bytes(pay);
    other_bytes.push(b' ');
    let mut with_other_digest = pay.clone();
    with_other_digest["digest"] = json!(hex::encode(Sha256::digest(&other_bytes)));
    with_other_digest["body_base64"] = json!(BASE64_STANDARD.encode(&other_bytes));
    let with = |field: &str, value: Value| {
        let mut row = pay.clone();
        row[field] = value;
        row
    };
    let key = pay["key"].as_str().unwrap();
    for (line, why) in [
        (
            with("body_base64", json!(BASE64_STANDARD.encode(other_bytes))),
            "its bytes do not match their digest",
        ),
        (with_other_digest, "is broken"),
        (
            with("key", json!("pay:other")),
            "its bytes do not match its key",
        ),
        (with("body_base64", Value::Null), "it was not erased"),
        (with("state", json!("dead")), "does not fit its state"),
        (with("kind", json!("hmrc")), "is broken"),
        (
            with("subject", json!("another")),
            "its bytes do not match its subject",
        ),
        (
            with("origin", json!("pull")),
            "it was pulled, and has a signature",
        ),
        (json!({"key": key}), "it is not a line of `export`"),
    ] {
        let others = rows.iter().filter(|row| row["key"] != key);
        let mut lines: Vec<String> = others.map(ToString::to_string).collect();
        lines.insert(1, line.to_string());
        let _ = fs::remove_file(folder.path().join("other.db"));
        assert_eq!(
            folder.run(&[&["inbox", "init"], &OTHER[..]].concat()).code,
            0
        );
        let ran = import(&folder, &lines.join("\n"), &OTHER);
        assert_result(&ran, 1, why);
        assert_result(&ran, 1, "line 2 is left out");
        assert_result(
            &ran,
            1,
            "3 imported, 0 stored before, 0 expired, 1 refused.",
        );
    }
}

#[test]
fn an_import_prints_one_object_for_each_line_and_the_counts() {
    let folder = folder();
    let exported = export(&folder, &["--state", "delivered"]);
    let rows = objects(&exported);
    let mut broken = rows[0].clone();
    broken["body_base64"] = Value::Null;
    let good = &rows[1];
    let lines = [
        broken.to_string(),
        "{".to_owned(),
        good.to_string(),
        good.to_string(),
    ];
    let ran = import(
        &folder,
        &lines.join("\n"),
        &[&OTHER[..], &["--json"]].concat(),
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    let mut printed = objects(&ran.stdout);
    let summary = json!({"summary": {"stored": 1, "duplicates": 1, "expired": 0, "refused": 2}});
    assert_eq!(printed.pop(), Some(summary), "{ran:?}");
    printed.sort_by_key(|object| object["line"].as_u64());
    let key = &good["key"];
    let expected = [
        (&rows[0]["key"], "it was not erased"),
        (&Value::Null, "not a line of `export`"),
        (key, "it is stored already"),
        (key, ""),
    ];
    assert_eq!(printed.len(), expected.len(), "{ran:?}");
    for (number, (object, (key, why))) in printed.iter().zip(expected).enumerate() {
        assert_eq!(object["line"], number + 1, "{ran:?}");
        assert_eq!(object["key"], *key, "{ran:?}");
        assert_eq!(object["action"], "import", "{ran:?}");
        assert_eq!(object["done"], why.is_empty(), "{ran:?}");
        assert_eq!(object["reason"].is_null(), why.is_empty(), "{ran:?}");
        let reason = object["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(why), "{ran:?}");
    }
}

/// By way of a table and back, with every expiry in whole seconds.
#[tokio::test(flavor = "multi_thread")]
async fn rows_move_from_a_file_to_a_table_and_on_to_another() {
    let folder = folder();
    let on_table = |arguments: &[&str], table: &str| {
        let inbox = format!("dynamodb:{table}");
        let arguments = [arguments, &["--inbox", &inbox]].concat();
        let mut command = folder.command(&arguments);
        CommandResult::of(command.envs(table::variables()))
    };
    let (first, second) = (table::fresh("import").await, table::fresh("import").await);
    let mut exported = export(&folder, &[]);
    for inbox in [&first, &second] {
        let file = folder.write("all.ndjson", &exported);
        let file = file.to_str().unwrap();
        let import = ["import", file, "--deliver"];
        assert_result(
            &on_table(&import, inbox.table()),
            0,
            "6 imported, 0 stored before",
        );
        assert_result(
            &on_table(&import, inbox.table()),
            0,
            "0 imported, 6 stored before",
        );
        let next = on_table(&["export"], inbox.table());
        assert_result(&next, 0, "6 exported, 0 of them broken; 0 left out");
        let rounded = |lines: &str| {
            let mut rows = objects(lines);
            for row in &mut rows {
                // A table keeps whole seconds, rounded up.
                let expiry = row["expires_at"].as_str().map(|at| {
                    let millis = Timestamp::parse(at).unwrap().as_millis();
                    (millis + 999).div_euclid(1000)
                });
                row["expires_at"] = json!(expiry);
            }
            rows.sort_by_key(|row| row["key"].to_string());
            rows
        };
        assert_eq!(rounded(&next.stdout), rounded(&exported));
        exported = next.stdout;
        let audit = on_table(&["audit"], inbox.table());
        assert_eq!(
            audit.stdout.matches("  import  all.ndjson  ").count(),
            2,
            "{audit:?}"
        );
        assert!(audit.stdout.contains("access key local ("), "{audit:?}");
    }
}
