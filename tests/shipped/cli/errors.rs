//! Errors: their exit codes, and the remedy that they name.

use serde_json::Value;

use test_support::process::{BOTH_SOURCES, CommandResult, ProgramFolder};

use super::{fails, folder_after};

#[test]
fn what_does_not_exist_is_named_together_with_what_does() {
    let folder = folder_after(&[&["pay"]]);
    for (line, code, words) in [
        ("send payy", 2, &["no source `payy`", "hmrc, pay"][..]),
        (
            "send pay --event stolen",
            2,
            &["`stolen`", "captured, refunded"],
        ),
        (
            "list --state lost",
            2,
            &["lost", "recorded, delivered, repeat, dead, held"],
        ),
        ("list --source payy", 2, &["no source `payy`", "hmrc, pay"]),
        ("list --source payy --json", 2, &["no source `payy`"]),
        ("list --since yesterday", 2, &["--since", "30m"]),
        (
            "verify --source payy --body x --signature y",
            2,
            &["no source `payy`"],
        ),
        (
            "verify --source pay --body x --signature y",
            2,
            &["cannot read x"],
        ),
        (
            "--config missing.toml list",
            2,
            &["cannot read missing.toml"],
        ),
        (
            "list --inbox sqlite:other.db",
            1,
            &["no inbox at other.db", "pillarbox inbox init"],
        ),
        ("lst", 2, &["error[PB001]: "]),
        ("list --colour", 2, &["error[PB001]: "]),
        ("replay", 2, &["error[PB001]: "]),
        ("discard", 2, &["error[PB001]: "]),
        ("show", 2, &["error[PB001]: "]),
        ("completions cmd", 2, &["error[PB001]: "]),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        fails(&folder.run(&arguments), code, words);
    }
    assert!(
        !folder.path().join("other.db").exists(),
        "looking makes no inbox"
    );
    for command in ["show", "replay", "discard"] {
        fails(
            &folder.run(&[command, "pay:nobody"]),
            1,
            &["no notification has the key pay:nobody", "pillarbox list"],
        );
        fails(
            &folder.run(&[command, "café"]),
            2,
            &["`café` is not a key", "SOURCE:ID"],
        );
    }
}

#[test]
fn an_error_has_a_stable_code_and_with_json_is_one_object() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    assert_eq!(folder.run(&["inbox", "init"]).code, 0);
    folder.write("broken.toml", "retention_days = 1\nlisten = 5\n");
    let wrong_config = ["--config", "broken.toml", "list"];
    let simulated = ["simulate", "pay", "--to", "https://example.gov.uk/"];
    for (arguments, code, exit_code) in [
        (&["list", "--colour"][..], "PB001", 2),
        (&["list", "--state", "ded"], "PB001", 2),
        (&wrong_config, "PB002", 2),
        (&["--config", "missing.toml", "list"], "PB003", 2),
        (&["send", "payy"], "PB004", 2),
        (&["send", "pay", "--secret", "env:UNSET"], "PB005", 2),
        (&["send", "hmrc", "--message", "none.json"], "PB006", 2),
        (&simulated, "PB007", 2),
        (&["list", "--inbox", "dynamodb:none"], "PB008", 2),
        (
            &["inbox", "backup", "b", "--inbox", "dynamodb:none"],
            "PB009",
            2,
        ),
        (&["show", "café"], "PB010", 2),
        (&["reconcile", "pay"], "PB012", 2),
        (&["list", "--inbox", "sqlite:other.db"], "PB101", 1),
        (&["show", "pay:none"], "PB109", 1),
        (&["wait", "--timeout", "0s"], "PB110", 1),
        (&["healthcheck", "--listen", "127.0.0.1:1"], "PB111", 1),
    ] {
        let ran = folder.run(arguments);
        fails(&ran, exit_code, &[&format!("error[{code}]: ")]);
        let ran = folder.run(&[arguments, &["--json"]].concat());
        // A command without `--json` refuses the flag, in JSON.
        let (code, exit_code) = if ran.stderr.contains("unexpected argument '--json'") {
            ("PB001", 2)
        } else {
            (code, exit_code)
        };
        fails(&ran, exit_code, &[]);
        let last = ran.stderr.lines().last().unwrap();
        let error: Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["code"], code, "{ran:?}");
        assert!(error["error"].as_str().unwrap().len() > 20, "{ran:?}");
    }
}

#[test]
fn a_path_in_place_of_the_document_is_recognised() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    for path in ["pillarbox.toml", "/nowhere/pillarbox.toml"] {
        let mut command = folder.command(&["list"]);
        command.env("PILLARBOX_CONFIG", path);
        fails(
            &CommandResult::of(&mut command),
            2,
            &[
                "takes the configuration document itself",
                &format!("write file:{path}"),
            ],
        );
    }
}
