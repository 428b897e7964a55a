//! The report of one box.

use std::time::Duration;

use super::{HmrcError, NotificationStatus};
use crate::{domain::Timestamp, inbox::InboxError, reconcile::ReconcileStats};

/// The findings of a run in one box, and where it stopped.
#[derive(Clone, Debug)]
pub struct BoxReport {
    /// The box.
    pub box_id: String,
    /// The notifications that HMRC listed.
    pub listed: usize,
    /// Those that push had missed.
    pub missed: usize,
    /// Those that were recorded before.
    pub duplicates: usize,
    /// Those that this run recorded and held.
    pub held: usize,
    /// Those that were acknowledged.
    pub acknowledged: usize,
    /// Those that cannot be acknowledged, because they have no usable id or the inbox refused them.
    pub stuck: usize,
    /// When the oldest listed and unacknowledged notification was created.
    pub oldest: Option<Timestamp>,
    /// Why the inbox refused one of them.
    pub refused: Option<InboxError>,
    /// Why the box could not be emptied.
    pub error: Option<HmrcError>,
    /// Where the run stopped; `None` if the box is done.
    pub position: Option<BoxPosition>,
}

/// A position in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxPosition {
    /// The status that is listed.
    pub status: NotificationStatus,
    /// Notifications created earlier were listed; `None` for the beginning.
    pub from: Option<Timestamp>,
}

impl BoxReport {
    pub(in crate::reconcile) fn new(box_id: &str) -> Self {
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

    /// The age of the oldest unacknowledged notification.
    pub fn oldest_age(&self, now: Timestamp) -> Option<Duration> {
        self.oldest.map(|oldest| now.since(oldest))
    }
}

/// The counts of all boxes together.
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
