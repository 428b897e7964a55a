//! Plants faults in a copy of the sources, and requires that a check finds each: `proof planted`.
//!
//! The copy contains all faults, and an environment variable selects one by its number, so the copy
//! is built only once. A fault that no check finds is a gap in the checks. The original sources
//! contain no faults.

mod catchers;
mod faults;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::arguments::CommandArguments;
use catchers::SearchLimits;
use faults::{PlantedFault, faults};

/// Stands for "this fault is selected" in a replacement.
const CHOSEN: &str = "PLANTED";
/// The environment variable that selects a fault. A command that clears the environment of its
/// binaries passes it on.
pub(crate) const VARIABLE: &str = "PILLARBOX_PLANTED";

/// The roots of the packages in which faults are planted.
const SWITCHED: [&str; 2] = ["src/lib.rs", "crates/pillarbox-cli/src/lib.rs"];

/// A module that the copy has in each package: whether a fault is selected.
const SWITCH: &str = r#"
pub(crate) mod planted {
    //! The selected planted fault.
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
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["only", "histories", "seed", "target"])?;
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
    let chosen: Vec<_> = faults
        .iter()
        .enumerate()
        .filter(|(_, fault)| only.split('|').any(|text| fault.name.contains(text)))
        .collect();
    let count = chosen.len();
    let catchers = chosen.iter().flat_map(|(_, fault)| &fault.catchers);
    tree.build(catchers.filter_map(|catcher| catcher.package()).collect())?;
    println!("| fault | found by | cost |\n|---|---|---|");
    let limits = SearchLimits { histories, seed };
    let (mut rows, mut missed) = (0, 0);
    for (number, fault) in chosen {
        for catcher in &fault.catchers {
            let began = tokio::time::Instant::now();
            let found = catcher.find(&tree, number, limits)?;
            let cost = describe(began.elapsed());
            let by = found.as_deref().unwrap_or("**nothing**");
            println!("| {} | {by} | {cost} |", fault.name);
            rows += 1;
            missed += usize::from(found.is_none());
        }
    }
    println!("{rows} searches for {count} faults; {missed} found nothing");
    Ok(missed == 0)
}

fn describe(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The copy of the sources, with all faults.
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
        let edited = edited_files(root, faults)?;
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            let edited = edited.get(file).map(|text| text.as_bytes().to_owned());
            let original = || fs::read(root.join(file));
            let text = edited.map_or_else(original, Ok);
            text.and_then(|text| tree.write(&root.join(file), file, &text))
                .map_err(|error| format!("{file}: {error}"))?;
        }
        // The tests build their emulator in the target folder, which the copy shares.
        let link = tree.folder.join("target");
        if !link.exists() {
            std::os::unix::fs::symlink(target, link).map_err(|error| error.to_string())?;
        }
        Ok(tree)
    }

    /// Writes a file with the permissions of the original. An unchanged file is not written, so
    /// that Cargo does not build it again.
    fn write(&self, original: &Path, file: &str, text: &[u8]) -> io::Result<()> {
        let path = self.folder.join(file);
        if fs::read(&path).is_ok_and(|before| before == text) {
            return Ok(());
        }
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::metadata(original)?.permissions())
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// The tests of a package: those of its library, or the in-process tests of `pillarbox-tests`.
    fn tests(&self, package: &str) -> Command {
        let mut tests = self.cargo();
        tests.args(["test", "--quiet", "-p", package]);
        match package {
            "pillarbox-tests" => tests.args(["--test", "it"]),
            _ => tests.arg("--lib"),
        };
        tests
    }

    /// Builds the checks, with the tests of these packages.
    fn build(&self, packages: BTreeSet<&str>) -> Result<(), String> {
        let build =
            run(self
                .cargo()
                .args(["build", "--quiet", "--profile", "proof", "-p", "proof"]))?;
        let mut outputs = vec![build];
        for package in packages {
            let tests = self.tests(package).arg("--no-run").output();
            outputs.push(tests.map_err(|error| error.to_string())?);
        }
        for output in outputs {
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(())
    }
}

/// The text of each changed file, with all faults.
fn edited_files(root: &Path, faults: &[PlantedFault]) -> Result<BTreeMap<String, String>, String> {
    let read = |file: &str| {
        fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))
    };
    let mut files = BTreeMap::new();
    for file in SWITCHED {
        files.insert(file.to_owned(), read(file)? + SWITCH);
    }
    for (number, fault) in faults.iter().enumerate() {
        for edit in &fault.edits {
            if !files.contains_key(edit.file) {
                files.insert(edit.file.to_owned(), read(edit.file)?);
            }
            let Some(text) = files.get_mut(edit.file) else {
                continue;
            };
            if text.matches(&edit.old).count() != 1 {
                let (name, file, old) = (fault.name, edit.file, &edit.old);
                return Err(format!("{name}: must occur once in {file}: {old}"));
            }
            let chosen = format!("crate::planted::is({number})");
            *text = text.replacen(&edit.old, &edit.new.replace(CHOSEN, &chosen), 1);
        }
    }
    Ok(files)
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
    fn every_fault_applies_to_the_sources() {
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
            assert!(!fault.catchers.is_empty(), "{}", fault.name);
        }
    }
}
