//! The checks that must find a fault, and their results.

use std::process::Command;

use super::{PlantedTree, VARIABLE, run};

/// The number of forgeries: hundreds of each kind of change.
const FORGERIES: &str = "20000";
/// The number of power losses of `serve`: three runs, one of them with long bodies.
const SERVE_LOSSES: &str = "60";
/// The number of power losses of the commands: one run of each.
const COMMAND_LOSSES: &str = "100";

/// A check that must find a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultCatcher {
    /// `proof simulate`.
    Simulation,
    /// `proof model`.
    Model,
    /// `proof forge`.
    Forgeries,
    /// `proof power`, of `serve` or of the commands.
    PowerLoss { part: &'static str },
    /// The tests of a package whose names contain a text.
    Tests {
        package: &'static str,
        filter: &'static str,
    },
}

/// The limits of a search.
#[derive(Clone, Copy)]
pub(super) struct SearchLimits {
    pub(super) histories: u64,
    pub(super) seed: u64,
}

impl FaultCatcher {
    /// Parses a catcher in the format of the list.
    pub(super) fn parse(text: &'static str) -> Self {
        match text {
            "simulate" => Self::Simulation,
            "model" => Self::Model,
            "forge" => Self::Forgeries,
            "fuzz" => Self::Tests {
                package: "proof",
                filter: "fuzz::tests::every_target",
            },
            _ => match text.split_once(' ') {
                Some(("power", part)) => Self::PowerLoss { part },
                Some((package, filter)) => Self::Tests { package, filter },
                None => Self::Tests {
                    package: "pillarbox",
                    filter: text,
                },
            },
        }
    }

    /// The package whose tests this catcher runs.
    pub(super) fn package(self) -> Option<&'static str> {
        match self {
            Self::Tests { package, .. } => Some(package),
            Self::Simulation | Self::Model | Self::Forgeries | Self::PowerLoss { .. } => None,
        }
    }

    /// Runs the check on the copy with the fault of this number. Returns `None` if it finds
    /// nothing.
    pub(super) fn find(
        self,
        tree: &PlantedTree,
        number: usize,
        limits: SearchLimits,
    ) -> Result<Option<String>, String> {
        let (histories, seed) = (limits.histories.to_string(), limits.seed.to_string());
        let seed = ["--seed", seed.as_str()];
        let program = |arguments: &[&[&str]]| {
            let mut command = Command::new(tree.target.join("proof/proof"));
            command.args(arguments.concat());
            output(&mut command, number)
        };
        Ok(match self {
            Self::Simulation => {
                let most = ["simulate", "--first", "true", "--histories", &histories];
                found_by_simulation(&program(&[&most, &seed])?)
            }
            Self::Model => {
                let text = program(&[&["model"]])?;
                violation(&text).map(|rule| format!("`model`, rule {rule}"))
            }
            Self::Forgeries => {
                found_by_forgery(&program(&[&["forge", "--cases", FORGERIES], &seed])?)
            }
            Self::PowerLoss { part } => {
                let times = if part == "serve" {
                    SERVE_LOSSES
                } else {
                    COMMAND_LOSSES
                };
                let text = program(&[&["power", "--only", part, "--times", times], &seed])?;
                violation(&text).map(|rule| format!("`power`, rule {rule}"))
            }
            Self::Tests { package, filter } => {
                let text = output(tree.tests(package).args(["--", filter]), number)?;
                found_by_test(tree, package, &text)?
            }
        })
    }
}

/// The first violation in the output of `simulate`.
fn found_by_simulation(text: &str) -> Option<String> {
    let rule = violation(text)?;
    let mut lines = text.lines();
    let (after, _) = lines.find_map(|line| line.split_once(" histories in"))?;
    Some(format!("`simulate`, rule {rule}, after {after} histories"))
}

/// The first forgery in the output of `forge` that was judged wrongly.
fn found_by_forgery(text: &str) -> Option<String> {
    let disagreement = first(text, "DISAGREEMENT ").and_then(|line| line.split(": ").next());
    let problem = disagreement.or_else(|| first(text, "WRONG "))?;
    Some(format!("`forge`: {problem}"))
}

/// The first failed test that passes without the fault. On a busy machine a test may fail because
/// of a timeout.
fn found_by_test(tree: &PlantedTree, package: &str, text: &str) -> Result<Option<String>, String> {
    for test in failed_tests(text) {
        let alone = run(tree.tests(package).args(["--", "--exact", test]))?;
        if alone.status.success() {
            return Ok(Some(format!("`{test}`")));
        }
        eprintln!("{test} also fails without a fault, and is not counted");
    }
    Ok(None)
}

/// The output of a command while the fault of this number is selected.
fn output(command: &mut Command, number: usize) -> Result<String, String> {
    let output = run(command.env(VARIABLE, number.to_string()))?;
    // The command could not run: its error explains why nothing was found.
    if output.status.code() == Some(2) {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rest of the first line that begins with this word.
fn first<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(word))
}

/// The rule of the first violation.
fn violation(text: &str) -> Option<&str> {
    first(text, "VIOLATION ")?.split(':').next()
}

/// The names of the tests that failed.
fn failed_tests(text: &str) -> impl Iterator<Item = &str> {
    let failed = text
        .lines()
        .filter_map(|line| line.strip_suffix(" stdout ----"));
    failed.filter_map(|line| line.strip_prefix("---- "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catcher_is_parsed_from_the_list() {
        for (text, package) in [
            ("simulate", None),
            ("model", None),
            ("forge", None),
            ("power serve", None),
            ("fuzz", Some("proof")),
            ("receive::tests", Some("pillarbox")),
            ("pillarbox-cli sqlite", Some("pillarbox-cli")),
        ] {
            assert_eq!(FaultCatcher::parse(text).package(), package, "{text}");
        }
        let commands = FaultCatcher::PowerLoss { part: "commands" };
        assert_eq!(FaultCatcher::parse("power commands"), commands);
    }

    #[test]
    fn the_output_of_a_check_names_its_finding() {
        assert_eq!(violation("seed 1\nVIOLATION I1: lost\n"), Some("I1"));
        assert_eq!(violation("0 violations\n"), None);
        let tests = "failures:\n\n---- a::b stdout ----\n\nthread panicked\n---- c stdout ----\n";
        assert!(failed_tests(tests).eq(["a::b", "c"]));
        assert_eq!(failed_tests("test result: ok.\n").count(), 0);
        assert_eq!(first("WRONG x must pass\n", "WRONG "), Some("x must pass"));
    }
}
