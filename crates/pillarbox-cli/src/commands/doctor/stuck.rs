//! The first question of a person on call: is anything stuck?

use super::{CheckHealth, DoctorFinding, finding};

/// What the finding is about.
pub(super) const SUBJECT: &str = "stuck";

/// Whether anything is stuck, in one sentence. The other findings have the details.
pub(super) fn answer<'a>(findings: impl Iterator<Item = &'a DoctorFinding>) -> DoctorFinding {
    let mut clauses: Vec<&str> = findings
        .filter_map(|finding| finding.stuck.as_deref())
        .collect();
    clauses.dedup();
    let Some((last, others)) = clauses.split_last() else {
        let found = "Nothing is stuck: no notification is dead, held or overdue.";
        return finding(CheckHealth::Fine, SUBJECT, found);
    };
    let clauses = match others {
        [] => (*last).to_owned(),
        _ => format!("{} and {last}", others.join(", ")),
    };
    let found = format!("Something is stuck: {clauses}.");
    finding(CheckHealth::Wrong, SUBJECT, found)
}

/// `1 notification is dead`, `2 notifications are dead`.
pub(super) fn in_state(rows: usize, state: &str) -> String {
    match rows {
        1 => format!("1 notification is {state}"),
        _ => format!("{rows} notifications are {state}"),
    }
}

/// `1 notification waits while serve does not run`.
pub(super) fn waiting(rows: usize, how: &str) -> String {
    match rows {
        1 => format!("1 notification waits {how}"),
        _ => format!("{rows} notifications wait {how}"),
    }
}
