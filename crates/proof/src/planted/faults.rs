//! The list of faults, each with its edits and the checks that must find it.

use super::catchers::FaultCatcher;

/// The list. Its first lines describe its format.
const LIST: &str = include_str!("faults.txt");

/// A replacement in one file.
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
    /// Each of these checks must find the fault.
    pub(super) catchers: Vec<FaultCatcher>,
    pub(super) edits: Vec<FaultEdit>,
}

/// Every planted fault.
pub(super) fn faults() -> Vec<PlantedFault> {
    let mut faults: Vec<PlantedFault> = Vec::new();
    for line in LIST.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            faults.push(PlantedFault {
                name,
                catchers: Vec::new(),
                edits: Vec::new(),
            });
            continue;
        }
        let Some(fault) = faults.last_mut() else {
            continue;
        };
        if let Some(catcher) = line.strip_prefix("by: ") {
            fault.catchers.push(FaultCatcher::parse(catcher));
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
