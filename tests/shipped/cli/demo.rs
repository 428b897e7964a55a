//! A newcomer's first commands, without a configuration.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use test_support::process::{FREE_PORTS, ProgramFolder, RunningServe, until};

use super::{NOBODY, fails_to_connect, only_key};

#[test]
fn a_newcomer_s_first_lines_work_as_they_are_printed() {
    let folder = ProgramFolder::empty();
    let mut command = folder.command(&[]);
    command
        .env("PILLARBOX_LISTEN", "127.0.0.1:0")
        .env("PILLARBOX_CONSOLE", "127.0.0.1:0");
    let mut serve = RunningServe::spawn(&mut command);
    serve.await_ready();

    let printed = serve.stderr.all();
    let lines: Vec<_> = printed
        .iter()
        .filter_map(|line| Some(line.split_once("/pillarbox-under-test ")?.1))
        .collect();
    let (list, sends) = lines.split_last().unwrap();
    assert_eq!(*list, "list");
    assert!(
        sends.len() >= 4 && sends.iter().all(|line| line.starts_with("send ")),
        "{lines:?}"
    );
    for line in sends {
        let ran = folder.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }

    until("all are delivered", || {
        folder.count("delivered") == sends.len()
    });
    let shown = folder.run(&[list]);
    assert_eq!(shown.code, 0);
    assert_eq!(
        shown.stdout.matches("delivered").count(),
        sends.len(),
        "{shown:?}"
    );
    assert!(
        serve.stop(Signal::INT).success(),
        "Ctrl-C is an orderly end"
    );
    assert_eq!(serve.stdout.len(), sends.len(), "each is delivered once");
    assert!(serve.stderr.find("Stopped.").is_some());
}

#[test]
fn the_demo_s_secrets_are_private_reused_and_never_shown() {
    let folder = ProgramFolder::empty();
    let names = [".pillarbox/hmrc.secret", ".pillarbox/pay.secret"];
    for (nth, source) in ["pay", "hmrc"].into_iter().enumerate() {
        let ran = folder.run(&["send", source, "--to", NOBODY]);
        fails_to_connect(&ran);
        let warns = ran.stderr.contains("new secrets were created in /");
        assert_eq!(warns, nth == 0, "only the first makes them: {ran:?}");
    }
    let secrets = names.map(|name| folder.read(name));
    for name in names {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
    let mut serve = RunningServe::spawn(command.env("PILLARBOX_LOG", "trace"));
    serve.await_ready();
    let url = serve.url("pay").to_string();
    let mut outputs: Vec<String> = Vec::new();
    for arguments in [
        &["send", "pay", "--to", &url][..],
        &["list"],
        &["list", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["verify", "--stored"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        outputs.extend([ran.stdout, ran.stderr]);
    }
    for arguments in [&["show"][..], &["show", "--json"]] {
        outputs.push(
            folder
                .run(&[arguments, &[&only_key(&folder)]].concat())
                .stdout,
        );
    }
    assert!(serve.stop(Signal::TERM).success());
    outputs.extend([serve.stdout.all(), serve.stderr.all()].concat());

    assert_eq!(
        names.map(|name| folder.read(name)),
        secrets,
        "they are made once"
    );
    for secret in secrets {
        assert!(
            !outputs.iter().any(|output| output.contains(&secret)),
            "a secret was printed"
        );
    }
}

#[test]
fn what_the_examples_create_is_not_committed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../.gitignore");
    let ignored = fs::read_to_string(root).unwrap();
    for name in ["secrets.env", "consumer.db*", "simulated.toml", "body.json"] {
        assert!(ignored.lines().any(|line| line == name), "{name}");
    }
}
