//! `discard`, and what `--erase` takes.

use std::fs;

use sender_simulator::{MessageBody, SystemClock, hmrc};
use serde_json::Value;

use test_support::process::{BOTH_SOURCES, ProgramFolder, until};

use super::{fails, push};

#[test]
fn discard_ends_a_row_and_erase_takes_its_bytes() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
            .contains("2 erased, 0 signed with a secret that is not configured, 0 broken"),
        "{proven:?}"
    );
}

#[test]
fn erase_takes_the_bytes_of_a_delivered_row_and_a_dry_run_says_where_they_are() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let message = hmrc::HmrcMessage::json("private");
    let body = hmrc::body(&message, hmrc::SAMPLE_BOX, &SystemClock);
    let key = format!("hmrc:{}", body.id);
    let stored = pillarbox::inbox::StoredBody::pack(&body.wire.clone().into()).bytes;
    let stored = &stored[20..60];
    assert_eq!(push(&serve, &body), r#"200 {"status":"recorded"}"#);
    assert!(is_anywhere_in(&folder, stored));
    until("it is delivered", || folder.count("delivered") == 1);

    let dry = folder.run(&["discard", "--erase", "--dry-run", &key]);
    assert_eq!((dry.code, dry.stdout), (0, format!("{key}\n")));
    for words in ["bytes in table notification, row 1", "1 would be erased"] {
        assert!(dry.stderr.contains(words), "{}", dry.stderr);
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
fn is_anywhere_in(folder: &ProgramFolder, stored: impl AsRef<[u8]>) -> bool {
    let stored = stored.as_ref();
    let files = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| fs::read(file.unwrap().path()).unwrap());
    files
        .into_iter()
        .any(|bytes| bytes.windows(stored.len()).any(|window| window == stored))
}
