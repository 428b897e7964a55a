//! `inbox` and `doctor`: the file itself.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};

use rustix::process::Signal;
use serde_json::Value;

use test_support::{
    binary,
    process::{BOTH_SOURCES, CommandResult, HMRC_SECRET, ProgramFolder},
};

use super::{fails, folder_after};

#[test]
fn inbox_init_can_run_twice() {
    let folder = folder_after(&[&["pay"]]);
    for _ in 0..2 {
        let ran = folder.run(&["inbox", "init"]);
        assert_eq!((ran.code, &*ran.stdout), (0, ""), "{ran:?}");
        assert!(ran.stderr.contains("pillarbox.db is ready"), "{ran:?}");
    }
    assert_eq!(folder.list(&[]).len(), 1, "what is there stays");

    let empty = ProgramFolder::empty();
    assert_eq!(
        empty.run(&["inbox", "init"]).code,
        0,
        "the demo's folder is made, too"
    );
    assert_eq!(empty.list(&[]).len(), 0);
}

#[test]
fn a_backup_of_a_running_serve_is_whole_and_another_user_can_read_it_where_nothing_is_writable() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
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
        &["evidence/copy.db already exists"],
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
        let ran = CommandResult::of(&mut command);
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
    let folder =
        ProgramFolder::with(&BOTH_SOURCES.replace("env:HMRC_PUSH_SECRET", "file:padded.secret"));
    folder.write("padded.secret", format!("{HMRC_SECRET}\n"));
    let ran = folder.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout
            .contains("wrong  secret: pillarbox.toml:4: sources.hmrc.secrets[0]"),
        "{ran:?}"
    );
}
