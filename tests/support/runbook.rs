//! The sections of the runbook, and the commands in them as a shell runs them.
//!
//! A shell runs the preparation of the page and then each section. `aws`, `curl` and `pillarbox`
//! are stand-ins that record their arguments, so that the shell evaluates quotes, variables and
//! pipes.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::repository;

/// One call of a section.
#[derive(Debug)]
pub struct RunbookCall {
    pub section: String,
    pub program: String,
    pub arguments: Vec<String>,
    /// The exit code of the program.
    pub code: i32,
}

/// `docs/runbook.md`.
pub struct RunbookText(String);

impl RunbookText {
    pub fn read() -> Self {
        Self(fs::read_to_string(repository("docs/runbook.md")).unwrap())
    }

    /// The sections about alarms, by their headings.
    pub fn alarms(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.0.split("\n### ").skip(1);
        parts.map(|part| {
            let (heading, text) = part.split_once('\n').unwrap();
            let text = text.split("\n## ").next().unwrap();
            (heading, text.trim())
        })
    }

    /// The text before the sections.
    fn preparation(&self) -> &str {
        self.0.split("\n### ").next().unwrap()
    }

    /// Runs every section with `pillarbox` as the program of that name, and with the `variables`
    /// that a person would set. Returns the calls.
    pub fn run(&self, pillarbox: &Path, variables: &BTreeMap<&str, String>) -> Vec<RunbookCall> {
        let folder = tempfile::tempdir().unwrap();
        let calls = folder.path().join("calls");
        // The program, its arguments and its exit code, between unit separators.
        let note = r#"for word in "$@"; do line="$line$word$(printf '\037')"; done
echo "$line$code" >> "$CALLS""#;
        let stand_in = |name: &str, run: &str| {
            let script =
                format!("#!/bin/sh\n{run}\ncode=$?\nline={name}$(printf '\\037')\n{note}\n");
            let path = folder.path().join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        stand_in("aws", r#"echo "$TABLE""#);
        stand_in("curl", "echo ok");
        stand_in("pillarbox", &format!(r#""{}" "$@""#, pillarbox.display()));

        let prepare = blocks(self.preparation()).next().unwrap();
        let sections = std::iter::once(("preparation", self.preparation())).chain(self.alarms());
        let mut found = Vec::new();
        for (section, text) in sections {
            let own: String = blocks(text).collect();
            let _ = fs::remove_file(&calls);
            let ran = Command::new("sh")
                .args(["-uc", &format!("{prepare}\n{own}\ntrue")])
                .current_dir(folder.path())
                .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
                .env("CALLS", &calls)
                .envs(variables)
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&ran.stderr);
            assert!(
                ran.status.success() && !error.contains(": not found"),
                "{section}: {error}"
            );
            let noted = fs::read_to_string(&calls).unwrap();
            found.extend(noted.lines().map(|line| {
                let mut words: Vec<String> = line.split('\u{1f}').map(str::to_owned).collect();
                RunbookCall {
                    section: section.to_owned(),
                    code: words.pop().unwrap().parse().unwrap(),
                    program: words.remove(0),
                    arguments: words,
                }
            }));
        }
        found
    }
}

/// The shell blocks of a text.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap())
}
