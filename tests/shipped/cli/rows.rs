//! `list` and `show`: the fields of a row that they print.

use sender_simulator::{Clock, SystemClock, hmrc};

use test_support::process::{BOTH_SOURCES, ProgramFolder};

use super::{folder_after, push};

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
fn show_raw_gives_the_exact_bytes() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
