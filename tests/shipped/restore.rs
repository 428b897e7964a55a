//! Backup and restore: killed processes, files copied by hand, and the commands of the document.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use rustix::process::Signal;
use sender_simulator::{Clock, SystemClock};

use test_support::{
    binary,
    process::{BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until},
};

fn send(folder: &ProgramFolder, serve: &RunningServe, count: &str) -> CommandResult {
    let url = serve.url("pay").to_string();
    folder.run(&["send", "pay", "--count", count, "--to", &url])
}

fn keys(folder: &ProgramFolder) -> BTreeSet<String> {
    let rows = folder.list(&[]);
    rows.iter()
        .map(|row| row["key"].as_str().unwrap().to_owned())
        .collect()
}

/// A folder with a backup, and an inbox whose `serve` was killed with more in its log.
fn folder_of_a_killed_serve() -> (ProgramFolder, [BTreeSet<String>; 2]) {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = folder.serve();
    assert_eq!(send(&folder, &serve, "5").code, 0);
    until("everything is delivered", || folder.count("open") == 0);
    assert_eq!(folder.run(&["inbox", "backup", "backup.db"]).code, 0);
    let backed_up = keys(&folder);
    assert_eq!(send(&folder, &serve, "20").code, 0);
    serve.kill();
    let all = keys(&folder);
    assert_eq!((backed_up.len(), all.len()), (5, 25));
    (folder, [backed_up, all])
}

#[test]
fn a_file_put_in_place_by_hand_beside_the_log_of_another_is_not_served_and_not_harmed() {
    let (folder, [backed_up, all]) = folder_of_a_killed_serve();
    let inbox = folder.path().join("pillarbox.db");
    let old = fs::read(&inbox).unwrap();
    fs::copy(folder.path().join("backup.db"), &inbox).unwrap();
    for arguments in [&["list"][..], &["inbox", "init"], &["replay", "--dead"]] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains("belongs to another file"), "{ran:?}");
        assert!(ran.stderr.contains("pillarbox inbox restore"), "{ran:?}");
    }
    let refused = CommandResult::of(&mut folder.serve_command());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("belongs to another file"),
        "{refused:?}"
    );

    fs::write(&inbox, old).unwrap();
    assert_eq!(keys(&folder), all, "the old file and its log are whole");
    assert_eq!(folder.run(&["inbox", "restore", "backup.db"]).code, 0);
    assert_eq!(keys(&folder), backed_up);
}

#[test]
fn a_file_or_log_that_is_exchanged_under_a_running_serve_is_answered_503() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("copied over", |folder| {
            fs::copy(folder.join("backup.db"), folder.join("pillarbox.db")).unwrap();
        }),
        ("moved over", |folder| {
            fs::rename(folder.join("backup.db"), folder.join("pillarbox.db")).unwrap();
        }),
        ("log removed", |folder| {
            fs::remove_file(folder.join("pillarbox.db-wal")).unwrap()
        }),
        ("all removed", |folder| {
            for name in ["pillarbox.db", "pillarbox.db-wal", "pillarbox.db-shm"] {
                fs::remove_file(folder.join(name)).unwrap();
            }
        }),
    ];
    for (what, change) in changes {
        let folder = ProgramFolder::with(BOTH_SOURCES);
        let mut serve = folder.serve();
        assert_eq!(send(&folder, &serve, "3").code, 0);
        assert_eq!(folder.run(&["inbox", "backup", "backup.db"]).code, 0);
        change(folder.path());
        let sent = send(&folder, &serve, "1");
        assert!(
            sent.code != 0 && format!("{sent:?}").contains("503"),
            "{what}: {sent:?}"
        );
        let restored = folder.run(&["inbox", "restore", "backup.db"]);
        assert_eq!(restored.code, 1, "{what}: {restored:?}");
        assert!(serve.stop(Signal::TERM).success(), "{what}");
    }
}

#[test]
fn a_link_to_the_inbox_lets_no_second_serve_run() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let _first = folder.serve();
    fs::create_dir(folder.path().join("links")).unwrap();
    let file = folder.path().join("pillarbox.db");
    std::os::unix::fs::symlink(&file, folder.path().join("links/soft.db")).unwrap();
    fs::hard_link(&file, folder.path().join("links/hard.db")).unwrap();
    for inbox in ["sqlite:links/soft.db", "sqlite:links/hard.db"] {
        let second = folder.run(&[&["serve", "--inbox", inbox], FREE_PORTS].concat());
        assert_eq!(second.code, 1, "{second:?}");
        assert!(
            second
                .stderr
                .contains("another `pillarbox serve` is running"),
            "{second:?}"
        );
    }
}

#[test]
fn a_restore_that_is_killed_at_any_instant_leaves_one_whole_inbox() {
    let (folder, [backed_up, all]) = folder_of_a_killed_serve();
    let kept = ["pillarbox.db", "pillarbox.db-wal"]
        .map(|name| (name, fs::read(folder.path().join(name)).unwrap()));
    let began = SystemClock.now();
    assert_eq!(folder.run(&["inbox", "restore", "backup.db"]).code, 0);
    let duration = SystemClock.now().since(began);
    let (mut olds, mut news) = (0, 0);
    for _ in 0..12 {
        for (name, bytes) in &kept {
            let _ = fs::remove_file(folder.path().join(name));
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let _ = fs::remove_file(folder.path().join("pillarbox.db-shm"));
        let mut restore = folder.command(&["inbox", "restore", "backup.db"]);
        let mut child = restore.stderr(std::process::Stdio::null()).spawn().unwrap();
        let thousandths = u32::try_from(SystemClock.random() % 1000).unwrap();
        std::thread::sleep(duration * thousandths / 1000);
        child.kill().unwrap();
        child.wait().unwrap();
        let found = keys(&folder);
        match found.len() {
            25 => olds += 1,
            _ => news += 1,
        }
        assert!(found == all || found == backed_up, "{found:?}");
        let again = folder.run(&["inbox", "restore", "backup.db"]);
        assert_eq!(again.code, 0, "{again:?}");
        assert_eq!(keys(&folder), backed_up);
    }
    println!("killed with the old inbox in place {olds} times, with the new one {news} times");
}

/// The commands of the page, as they are printed.
fn commands() -> Vec<String> {
    let page = include_str!("../../docs/backup.md");
    let blocks = page.split("```sh").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn the_steps_of_the_page_about_backups_work_as_they_are_printed() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let backups = folder.path().join("backups");
    fs::create_dir(&backups).unwrap();
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("pillarbox");
    std::os::unix::fs::symlink(binary("pillarbox-under-test"), program).unwrap();
    let run = |commands: &str| {
        let commands = commands.replace("/var/backups", backups.to_str().unwrap());
        let mut shell: Command = folder.command_of("sh", &["-ec", &commands]);
        shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        let ran = CommandResult::of(&mut shell);
        assert_eq!(ran.code, 0, "{commands}: {ran:?}");
        ran
    };
    let commands = commands();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let mut serve = folder.serve();
    assert_eq!(send(&folder, &serve, "5").code, 0);
    until("everything is delivered", || folder.count("open") == 0);
    run(&commands[0]);
    let shown = run(&commands[1]);
    assert!(shown.stdout.contains("5 signed and proven"), "{shown:?}");
    assert_eq!(send(&folder, &serve, "3").code, 0);
    serve.kill();

    let restored = run(&commands[2]);
    assert!(
        restored.stderr.contains("pillarbox.db.before-restore"),
        "{restored:?}"
    );
    let checked = run(&commands[3]);
    assert!(
        checked.stdout.contains("5 signed and proven"),
        "{checked:?}"
    );
    let old = folder.run(&[
        "list",
        "--json",
        "--inbox",
        "sqlite:pillarbox.db.before-restore",
    ]);
    assert_eq!(old.stdout.lines().count(), 8, "{old:?}");
    let serve = folder.serve();
    assert_eq!(send(&folder, &serve, "1").code, 0);
}
