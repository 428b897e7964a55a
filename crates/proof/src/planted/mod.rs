//! Faults planted in a copy of the sources, each of which a check must find: `proof planted`.
//!
//! The copy holds every fault behind a number, so it is built once; the number is chosen when a
//! check runs. A fault that no check finds is a hole in the checks. The sources themselves have no
//! such branch.

mod faults;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::arguments::Arguments;
use faults::{Catcher, PlantedFault, faults};

/// How a replacement says "if this fault is chosen".
const CHOSEN: &str = "PLANTED";
/// The variable that chooses one.
const VARIABLE: &str = "PILLARBOX_PLANTED";

/// What the copy has besides: which fault is chosen.
const SWITCH: &str = r#"
pub(crate) mod planted {
    //! Which planted fault is chosen.
    use std::sync::LazyLock;

    #[allow(clippy::disallowed_methods, reason = "a copy of the sources, never shipped")]
    static NUMBER: LazyLock<usize> = LazyLock::new(|| {
        let chosen = std::env::var("PILLARBOX_PLANTED");
        chosen.ok().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
    });

    pub(crate) fn is(number: usize) -> bool {
        *NUMBER == number
    }
}
"#;

/// `proof planted`.
pub(crate) fn command(arguments: &Arguments) -> Result<bool, String> {
    arguments.only(&["only", "histories", "seed", "target"])?;
    let histories: u64 = arguments.number("histories", 20_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let target = arguments
        .text("target")
        .map_or_else(|| root.join("target"), PathBuf::from);
    let only = arguments.text("only").unwrap_or_default();
    println!("proof planted --histories {histories} --seed {seed}");
    let faults = faults();
    let tree = PlantedTree::plant(&root, &target, &faults)?;
    tree.build()?;
    println!("| fault | found by | cost |\n|---|---|---|");
    let mut missed = 0;
    let chosen = FAULTS
        .iter()
        .enumerate()
        .filter(|(_, fault)| fault.name.contains(only));
    for (number, fault) in chosen {
        let began = tokio::time::Instant::now();
        let found = tree.find(number, fault, histories, seed)?;
        let cost = describe(began.elapsed());
        let by = found.as_deref().unwrap_or("**nothing**");
        println!("| {} | {by} | {cost} |", fault.name);
        missed += usize::from(found.is_none());
    }
    println!("{missed} faults were not found");
    Ok(missed == 0)
}

fn describe(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The copy of the sources, with every fault in it.
struct PlantedTree {
    folder: PathBuf,
    target: PathBuf,
}

impl PlantedTree {
    fn plant(root: &Path, target: &Path, faults: &[PlantedFault]) -> Result<Self, String> {
        let tree = Self {
            folder: target.join("planted"),
            target: target.to_owned(),
        };
        let listed = run(Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["ls-files", "-z"]))?;
        let files = String::from_utf8_lossy(&listed.stdout).into_owned();
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            let text = fs::read(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
            tree.write(file, &text)?;
        }
        // The emulator that the tests start is built once, below the target folder.
        let link = tree.folder.join("target");
        if !link.exists() {
            std::os::unix::fs::symlink(target, link).map_err(|error| error.to_string())?;
        }
        let mut edited: Vec<(&str, String)> = Vec::new();
        for (number, fault) in faults.iter().enumerate() {
            for edit in &fault.edits {
                let place = edited.iter().position(|(file, _)| *file == edit.file);
                let place = match place {
                    Some(place) => place,
                    None => {
                        let text = fs::read_to_string(root.join(edit.file));
                        let text = text.map_err(|error| format!("{}: {error}", edit.file))?;
                        edited.push((edit.file, text));
                        edited.len() - 1
                    }
                };
                let text = &mut edited[place].1;
                if text.matches(&edit.old).count() != 1 {
                    let (name, file, old) = (fault.name, edit.file, &edit.old);
                    return Err(format!("{name}: not once in {file}: {old}"));
                }
                let new = edit
                    .new
                    .replace(CHOSEN, &format!("crate::planted::is({number})"));
                *text = text.replacen(&edit.old, &new, 1);
            }
        }
        for (file, text) in edited {
            tree.write(file, text.as_bytes())?;
        }
        let library = fs::read_to_string(root.join("src/lib.rs")).map_err(|e| e.to_string())?;
        tree.write("src/lib.rs", (library + SWITCH).as_bytes())?;
        Ok(tree)
    }

    /// Writes a file, unless it is the same already, so that no more than necessary is built.
    fn write(&self, file: &str, text: &[u8]) -> Result<(), String> {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{file}: {error}"))
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    fn build(&self) -> Result<(), String> {
        let build =
            run(self
                .cargo()
                .args(["build", "--quiet", "--profile", "proof", "-p", "proof"]))?;
        let tests =
            run(self
                .cargo()
                .args(["test", "--quiet", "-p", "pillarbox", "--lib", "--no-run"]))?;
        for output in [build, tests] {
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(())
    }

    /// What finds the fault, with the number of histories or tests; `None` if nothing does.
    fn find(
        &self,
        number: usize,
        fault: &PlantedFault,
        histories: u64,
        seed: u64,
    ) -> Result<Option<String>, String> {
        let number = number.to_string();
        match fault.catcher {
            Catcher::Simulation => {
                let program = self.target.join("proof/proof");
                let output = run(Command::new(program).env(VARIABLE, &number).args([
                    "simulate",
                    "--histories",
                    &histories.to_string(),
                    "--seed",
                    &seed.to_string(),
                    "--first",
                    "true",
                ]))?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let after = text
                    .lines()
                    .find_map(|line| line.split_once(" histories in"));
                let rule = text
                    .lines()
                    .find_map(|line| line.strip_prefix("VIOLATION "));
                let rule = rule.and_then(|rule| rule.split_once(':'));
                Ok(rule.zip(after).map(|((rule, _), (after, _))| {
                    format!("`simulate`, rule {rule}, after {after} histories")
                }))
            }
            Catcher::Tests(filter) => {
                let output = run(self.cargo().env(VARIABLE, &number).args([
                    "test",
                    "--quiet",
                    "-p",
                    "pillarbox",
                    "--lib",
                    filter,
                ]))?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let failed = text
                    .lines()
                    .find_map(|line| line.strip_suffix(" stdout ----"));
                let failed = failed.and_then(|line| line.strip_prefix("---- "));
                Ok(failed.map(|test| format!("`{test}`")))
            }
        }
    }
}

fn run(command: &mut Command) -> Result<Output, String> {
    command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for fault in faults() {
            for edit in &fault.edits {
                let text = fs::read_to_string(root.join(edit.file)).unwrap();
                let places = text.matches(&edit.old).count();
                assert_eq!(places, 1, "{}: {} in {}", fault.name, edit.old, edit.file);
                assert!(
                    edit.new.contains(CHOSEN) || fault.edits.len() > 1,
                    "{}",
                    fault.name
                );
            }
        }
    }
}
