//! Help, colours and streams.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use test_support::process::ProgramFolder;

use super::folder_after;

#[test]
fn help_and_version_are_data() {
    let folder = ProgramFolder::empty();
    for command in [
        &[][..],
        &["serve"],
        &["send"],
        &["list"],
        &["show"],
        &["replay"],
        &["discard"],
        &["verify"],
        &["check"],
        &["doctor"],
        &["healthcheck"],
    ] {
        let help = folder.run(&[command, &["--help"]].concat());
        assert_eq!((help.code, &*help.stderr), (0, ""), "{help:?}");
        assert!(help.stdout.contains("Usage: pillarbox"), "{help:?}");
    }
    let version = folder.run(&["--version"]);
    assert_eq!(
        (version.code, &*version.stdout),
        (0, concat!("pillarbox ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a query changes nothing"
    );
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = folder_after(&[&["pay"]]);
    let coloured = |variables: &[(&str, &str)]| {
        let output = folder
            .command(&["list"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]), "no terminal, no colour");
    assert!(
        coloured(&[("CLICOLOR_FORCE", "1")]),
        "there is colour at all"
    );
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn a_closed_output_ends_a_list_without_an_error() {
    let folder = folder_after(&[&["pay", "--count", "300"]]);
    for arguments in [&["list", "--json"][..], &["list", "--limit", "1000000"]] {
        let mut command = folder.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8(ended.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn completions_are_a_script() {
    let folder = ProgramFolder::empty();
    let ran = folder.run(&["completions", "bash"]);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert!(ran.stdout.contains("_pillarbox()") && ran.stdout.contains("--dry-run"));
}
