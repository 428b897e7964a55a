//! What happened to a notification, from its sender's date to its end.

use super::sender_schedule;
use pillarbox::{
    domain::{Origin, State, Timestamp},
    inbox::Row,
    telemetry::visible,
};

/// One thing that happened, or is still to come. Every text is safe to display.
pub(super) struct TimelineEntry {
    pub(super) title: String,
    /// When; `None` if that is not known.
    pub(super) at: Option<String>,
    pub(super) details: Vec<String>,
}

/// The entries, in order.
pub(super) fn timeline(row: &Row, now: Timestamp) -> Vec<TimelineEntry> {
    let sent = row.event_at.map(|at| entry("Dated by its sender", at));
    let mut entries: Vec<TimelineEntry> = sent.into_iter().collect();
    entries.push(received(row));
    entries.extend(attempts(row));
    entries.extend(standing(row));
    entries.extend(copies(row, now));
    entries.extend(row.expires_at.map(|at| entry("Removed", at)));
    entries
}

fn entry(title: &str, at: Timestamp) -> TimelineEntry {
    TimelineEntry {
        title: title.to_owned(),
        at: Some(at.to_string()),
        details: Vec::new(),
    }
}

fn detailed(title: &str, at: Option<Timestamp>, details: Vec<String>) -> TimelineEntry {
    TimelineEntry {
        title: title.to_owned(),
        at: at.map(|at| at.to_string()),
        details,
    }
}

fn received(row: &Row) -> TimelineEntry {
    let sender = row.kind.title;
    match row.origin {
        Origin::Push => {
            let label = row.key_label.as_deref().unwrap_or("an unknown secret");
            detailed(
                "Received",
                Some(row.received_at),
                vec![
                    format!(
                        "Verified with {}, stored, then answered 200.",
                        visible(label)
                    ),
                    format!("{sender} does not send again what was answered 200."),
                ],
            )
        }
        Origin::Pull => detailed(
            "Pulled",
            Some(row.received_at),
            vec![format!(
                "Pillarbox asked {sender} for it, and stored what it returned."
            )],
        ),
    }
}

/// The attempts to deliver it.
fn attempts(row: &Row) -> Vec<TimelineEntry> {
    let Some(error) = row.last_error.as_deref().filter(|_| row.attempts > 0) else {
        return Vec::new();
    };
    let title = format!("Attempt {} failed", row.attempts);
    vec![detailed(&title, None, vec![visible(error).into_owned()])]
}

/// Where it stands now.
fn standing(row: &Row) -> Option<TimelineEntry> {
    let reason = visible(row.reason.as_deref().unwrap_or("no reason")).into_owned();
    Some(match row.state {
        State::Recorded => match row.lease {
            Some(lease) => detailed(
                "Under way",
                None,
                vec![format!("An attempt has until {} to end.", lease.until)],
            ),
            None => detailed("Next attempt", row.due_at, Vec::new()),
        },
        State::Dead => detailed("Dead", row.due_at, vec![reason, WAITS.to_owned()]),
        State::Held => detailed("Held", row.due_at, vec![reason, WAITS.to_owned()]),
        State::Repeat => detailed(
            "Repeat",
            None,
            vec![format!("The same event was received first as {reason}.")],
        ),
        State::Delivered | State::Discarded => return None,
    })
}

const WAITS: &str = "It waits for a person, and does not expire.";

/// The copies that its sender makes if our answer was lost.
fn copies(row: &Row, now: Timestamp) -> Option<TimelineEntry> {
    if row.origin == Origin::Pull {
        return None;
    }
    let sender = row.kind.title;
    let to_come = sender_schedule::remaining(row.kind, row.received_at, now)?;
    let detail = format!(
        "Only if our answer was lost: {sender} then sends it again, at the latest at {}, and gives \
         up. A copy is answered 200 and changes nothing.",
        to_come.last
    );
    Some(detailed(
        &format!("Next try of {sender}"),
        Some(to_come.next),
        vec![detail],
    ))
}
