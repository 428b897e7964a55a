//! `replay`.

use std::{collections::HashSet, time::Duration};

use rustix::process::Signal;
use sender_simulator::{Clock, MessageBody, SystemClock, hmrc};

use test_support::process::{BOTH_SOURCES, ProgramFolder, until};

use super::{folder_after, push};

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
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
