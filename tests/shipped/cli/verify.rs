//! `verify`.

use serde_json::Value;

use test_support::process::CommandResult;

use super::{folder_after, only_key};

#[test]
fn verify_proves_a_body_and_explains_what_is_wrong_with_another() {
    let folder = folder_after(&[&["pay"]]);
    let key = only_key(&folder);
    let raw = folder.run(&["show", "--raw", &key]);
    let row: Value = serde_json::from_str(&folder.run(&["show", "--json", &key]).stdout).unwrap();
    let signature = row["signature"].as_str().unwrap();
    folder.write("body.json", &raw.bytes);
    folder.write("saved.json", [&raw.bytes[..], b"\n"].concat());

    let verify = |source, body, signature| {
        let of = ["verify", "--source", source, "--body", body];
        folder.run(&[&of[..], &["--signature", signature]].concat())
    };
    let good = verify("pay", "body.json", signature);
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
        let bad = verify(source, body, signature);
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
    let changed = CommandResult::of(command.env(
        "PAY_SIGNING_SECRET",
        "webhook_test_another0another0another0",
    ));
    assert_eq!(changed.code, 0, "a rotation is not tampering: {changed:?}");
    assert!(
        changed
            .stdout
            .contains("1 signed with a secret that is not configured"),
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
        let ran = CommandResult::of(command.env("PAY_SIGNING_SECRET", secret));
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
