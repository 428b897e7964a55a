//! What was found in one box.

use std::time::Duration;

use super::{HmrcError, NotificationStatus};
use crate::{domain::Timestamp, inbox::InboxError, reconcile::ReconcileStats};

/// What a run found in one box, and where it stopped.
#[derive(Clone, Debug)]
pub struct BoxReport {
    /// The box.
    pub box_id: String,
    /// How many notifications HMRC listed.
    pub listed: usize,
    /// How many of them push had missed.
    pub missed: usize,
    /// How many had been recorded before.
    pub duplicates: usize,
    /// How many were recorded now and held.
    pub held: usize,
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// How many could not be acknowledged, since they have no usable id or the inbox has no place
    /// for them.
    pub stuck: usize,
    /// When the oldest was created that was listed and is not acknowledged.
    pub oldest: Option<Timestamp>,
    /// Why the inbox has no place for one of them.
    pub refused: Option<InboxError>,
    /// Why it could not be emptied.
    pub error: Option<HmrcError>,
    /// Where the run stopped; `None` once it has been through.
    pub position: Option<BoxPosition>,
}

/// A place in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxPosition {
    /// Among which of its notifications.
    pub status: NotificationStatus,
    /// Those before it were looked at; `None` for the beginning.
    pub from: Option<Timestamp>,
}

impl BoxReport {
    pub(super) fn new(box_id: &str) -> Self {
        Self {
            box_id: box_id.to_owned(),
            listed: 0,
            missed: 0,
            duplicates: 0,
            held: 0,
            acknowledged: 0,
            stuck: 0,
            oldest: None,
            refused: None,
            error: None,
            position: None,
        }
    }

    /// How old the oldest is that is not acknowledged.
    pub fn oldest_age(&self, now: Timestamp) -> Option<Duration> {
        self.oldest.map(|oldest| now.since(oldest))
    }
}

/// What was found in all boxes together.
pub fn stats(boxes: &[BoxReport]) -> ReconcileStats {
    let sum = |of: fn(&BoxReport) -> usize| boxes.iter().map(of).sum();
    ReconcileStats {
        seen: sum(|report| report.listed),
        recorded: sum(|report| report.missed + report.held),
        duplicates: sum(|report| report.duplicates),
        held: sum(|report| report.held),
        acknowledged: sum(|report| report.acknowledged),
        missing: 0,
        oldest: boxes.iter().filter_map(|report| report.oldest).min(),
        errors: sum(|report| usize::from(report.error.is_some()) + usize::from(report.stuck > 0)),
    }
}
