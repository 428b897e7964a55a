//! Checks that every command in the documents and help texts is valid.
//!
//! A shell runs every block of the pages in an empty folder, with a `PATH` of stand-ins that record
//! their arguments. The recorded arguments of `pillarbox` are then given to the binary, with a
//! configuration file that does not exist: the binary parses its arguments first, so it does
//! nothing else.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use test_support::{
    process::{CommandResult, ProgramFolder},
    repository,
};

/// Pages whose blocks other tests run with an inbox: `runbook` and `restore`.
const RUN_ELSEWHERE: [&str; 2] = ["docs/runbook.md", "docs/backup.md"];

/// The programs whose calls are only recorded.
const RECORDED: [&str; 15] = [
    "aws",
    "cargo",
    "curl",
    "install",
    "journalctl",
    "kubectl",
    "npx",
    "pillarbox",
    "python3",
    "sam",
    "ssh",
    "systemctl",
    "useradd",
    "xargs",
    "sleep",
];

/// The programs that a block runs.
const REAL: [&str; 5] = ["awk", "cat", "date", "env", "mkdir"];

/// Programs that run the command in their arguments, each with its stand-in.
const WRAPPERS: [(&str, &str); 2] = [
    ("sudo", r#"[ "$1" = -u ] && shift 2; exec "$@""#),
    (
        "docker",
        r#"[ "$1 $2" = "compose exec" ] || exit 0; shift 3; exec "$@""#,
    ),
];

/// An address without a listener.
const UNUSED_URL: &str = "http://127.0.0.1:1/pay";

/// The pages, by their paths in the repository.
fn pages() -> Vec<String> {
    let mut found: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "SECURITY.md",
    ]
    .map(str::to_owned)
    .into();
    for folder in ["docs", "examples", "events", "benches", "tests"] {
        add_pages(folder, &mut found);
    }
    found
}

fn add_pages(folder: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(repository(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            add_pages(&path, found);
        } else if path.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The shell blocks of a page, without the indentation of a list.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(indentation) = line
            .find("```sh")
            .filter(|at| line[..*at].trim().is_empty())
        else {
            continue;
        };
        let block = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default()));
        blocks.push(block.collect());
    }
    blocks
}

/// The calls that a shell makes in these blocks, in order: each a program and its arguments.
fn calls(page: &str, blocks: &[String]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let stand_in = |path: PathBuf, script: &str| {
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for name in RECORDED {
        let script = format!(r#"printf '%s\037' {name} "$@" >> "$CALLS"; echo >> "$CALLS""#);
        stand_in(programs.join(name), &script);
    }
    for (name, script) in WRAPPERS {
        stand_in(programs.join(name), script);
    }
    for name in REAL {
        symlink(Path::new("/usr/bin").join(name), programs.join(name)).unwrap();
    }
    fs::create_dir(folder.path().join(".ci")).unwrap();
    for script in fs::read_dir(repository(".ci")).unwrap() {
        let name = script.unwrap().file_name();
        stand_in(folder.path().join(".ci").join(name), "exit 0");
    }
    for (nth, block) in blocks.iter().enumerate() {
        let ran = Command::new("/bin/bash")
            .args(["-c", block])
            .current_dir(folder.path())
            .env("PATH", &programs)
            .env("CALLS", folder.path().join("calls"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        let unknown = ["not found", "syntax error", "unexpected", ".ci/"];
        assert!(
            !unknown.iter().any(|what| error.contains(what)),
            "{page}, block {nth}: {error}"
        );
    }
    let recorded = fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    recorded
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let words = line.trim_end_matches('\u{1f}').split('\u{1f}');
            words.map(str::to_owned).collect()
        })
        .collect()
}

/// The arguments of `pillarbox` in a call of the program or of `cargo run`.
fn arguments(call: &[String]) -> Option<Vec<&str>> {
    let words: Vec<&str> = call.iter().map(String::as_str).collect();
    match words.split_first()? {
        (&"pillarbox", arguments) => Some(arguments.to_vec()),
        (&"cargo", rest) if rest.first() == Some(&"run") => {
            let (of_cargo, arguments) = match rest.iter().position(|word| *word == "--") {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &[][..]),
            };
            let others = ["-p", "--package", "--manifest-path", "--bin", "--example"];
            let is_other = of_cargo.iter().any(|word| others.contains(word));
            (!is_other).then(|| arguments.to_vec())
        }
        _ => None,
    }
}

/// Fails unless the binary accepts these arguments.
fn assert_accepted(folder: &ProgramFolder, place: &str, arguments: &[&str]) {
    let mut command = folder.command(arguments);
    command.env("PILLARBOX_CONFIG", "file:missing.toml");
    let ran = CommandResult::of(&mut command);
    assert!(
        !ran.stderr.contains("PB001"),
        "{place}: pillarbox {}: {ran:?}",
        arguments.join(" ")
    );
}

/// Fails unless the workspace has the packages, targets and profiles that a call of cargo names.
fn assert_in_workspace(page: &str, call: &[String]) {
    let manifests = [
        "",
        "crates/pillarbox-cli/",
        "crates/sender-simulator/",
        "crates/proof/",
        "tests/",
    ]
    .map(|folder| fs::read_to_string(repository(&format!("{folder}Cargo.toml"))).unwrap())
    .concat();
    let own = call.split(|word| word == "--").next().unwrap_or_default();
    for pair in own.windows(2) {
        let [option, value] = pair else { continue };
        let declared = match option.as_str() {
            "-p" | "--package" | "--bin" | "--bench" | "--test" | "--example" => {
                format!("name = \"{value}\"")
            }
            "--profile" => format!("[profile.{value}]"),
            "--features" => format!("{value} = ["),
            "--path" | "--manifest-path" | "--file" => {
                assert!(repository(value).exists(), "{page}: {call:?}");
                continue;
            }
            _ => continue,
        };
        assert!(manifests.contains(&declared), "{page}: {call:?}");
    }
}

#[test]
fn a_shell_and_its_programs_accept_every_block_of_the_pages() {
    let folder = ProgramFolder::empty();
    let mut checked = 0;
    for page in pages() {
        if RUN_ELSEWHERE.contains(&page.as_str()) {
            continue;
        }
        let text = fs::read_to_string(repository(&page)).unwrap();
        let blocks = blocks(&text);
        assert_eq!(blocks.len(), text.matches("```sh").count(), "{page}");
        for call in calls(&page, &blocks) {
            if let Some(arguments) = arguments(&call) {
                assert_accepted(&folder, &page, &arguments);
                checked += 1;
            }
            if call[0] == "cargo" {
                assert_in_workspace(&page, &call);
            }
        }
    }
    assert!(checked >= 25, "{checked}");
}

/// The commands in backquotes in `text`, each split into words.
fn spans(text: &str) -> Vec<Vec<&str>> {
    let spans = text.split('`').skip(1).step_by(2);
    spans
        .filter_map(|span| span.strip_prefix("pillarbox "))
        .filter(|rest| !rest.contains(['\n', '{', '|', '(']))
        .map(|rest| rest.split_whitespace().collect())
        .collect()
}

#[test]
fn the_program_has_every_command_that_a_sentence_names() {
    let folder = ProgramFolder::empty();
    let mut files = pages();
    files.push("CHANGELOG.md".to_owned());
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(repository(&file)).unwrap();
        for paragraph in text.split("```").step_by(2) {
            for words in spans(paragraph) {
                let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
                found.insert((words, file.clone()));
            }
        }
    }
    assert!(found.len() >= 30, "{found:?}");
    for (words, file) in &found {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        for word in &mut words {
            *word = match *word {
                "URL" => UNUSED_URL,
                "COMMAND" => "list",
                other => other,
            };
        }
        // A sentence may name a command without arguments.
        if !words.iter().any(|word| word.starts_with('-')) {
            words.push("--help");
        }
        assert_accepted(&folder, file, &words);
    }
}

#[test]
fn every_example_of_a_help_text_is_accepted_and_fits_a_terminal() {
    let folder = ProgramFolder::empty();
    let all = folder.run(&["--help"]).stdout;
    let commands = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help");
    let mut checked = 0;
    for name in names {
        let help = folder.run(&[name, "--help"]);
        assert_eq!(help.code, 0, "{help:?}");
        let examples = help.stdout.split("Examples:\n").nth(1).unwrap_or_default();
        let examples: String = examples.split("\n\n").next().unwrap_or_default().to_owned() + "\n";
        for line in examples.lines() {
            // The help text is wrapped at the width of the terminal, where a shell would end it.
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        for call in calls(name, &[examples]) {
            assert_accepted(&folder, name, &arguments(&call).unwrap());
            checked += 1;
        }
    }
    assert!(checked >= 25, "{checked}");
}
