//! The list of faults: what each changes, and what has to find it.

/// The list, which says how it is written.
const LIST: &str = include_str!("faults.txt");

/// What has to find a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Catcher {
    /// `proof simulate`.
    Simulation,
    /// `proof model`.
    Model,
    /// The tests of a package whose names contain a text.
    Tests {
        package: &'static str,
        filter: &'static str,
    },
}

/// One place that a fault changes.
#[derive(Debug)]
pub(super) struct FaultEdit {
    pub(super) file: &'static str,
    pub(super) old: String,
    pub(super) new: String,
}

/// A fault.
#[derive(Debug)]
pub(super) struct PlantedFault {
    pub(super) name: &'static str,
    pub(super) catcher: Catcher,
    pub(super) edits: Vec<FaultEdit>,
}

/// Every planted fault.
pub(super) fn faults() -> Vec<PlantedFault> {
    let mut faults: Vec<PlantedFault> = Vec::new();
    for line in LIST.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            let catcher = Catcher::Simulation;
            faults.push(PlantedFault {
                name,
                catcher,
                edits: Vec::new(),
            });
            continue;
        }
        let Some(fault) = faults.last_mut() else {
            continue;
        };
        if let Some(catcher) = line.strip_prefix("by: ") {
            fault.catcher = match catcher {
                "simulate" => Catcher::Simulation,
                "model" => Catcher::Model,
                tests => tests_of(tests),
            };
        } else if let Some(file) = line.strip_prefix("in: ") {
            fault.edits.push(FaultEdit {
                file,
                old: String::new(),
                new: String::new(),
            });
        } else if let Some(edit) = fault.edits.last_mut() {
            let (text, line) = match line.split_at_checked(1) {
                Some(("-", line)) => (&mut edit.old, line),
                Some(("+", line)) => (&mut edit.new, line),
                _ => continue,
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(line);
        }
    }
    faults
}

/// The tests that a line names: a package and a text, or only a text for the library's own.
fn tests_of(line: &'static str) -> Catcher {
    let (package, filter) = line.split_once(' ').unwrap_or(("pillarbox", line));
    Catcher::Tests { package, filter }
}
