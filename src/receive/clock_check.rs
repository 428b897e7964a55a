//! Detects that the machine's clock may be wrong.
//!
//! One notification dated outside the acceptance window may be a late message or a replayed
//! request. When all notifications of a source are on the same side of the window, the likelier
//! cause is a wrong clock. All of them are held, and the log line tells the operator what to check.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    domain::{HeldReason, SourceName},
    senders::Entry,
};

/// The number of consecutive notifications on one side of the window that is logged.
const SUSPICIOUS: u32 = 3;

/// The current series of each source.
#[derive(Debug, Default)]
pub(super) struct ClockCheck {
    latest: Mutex<HashMap<SourceName, StaleSeries>>,
}

/// The consecutive notifications on one side of the window.
#[derive(Clone, Copy, Debug, Default)]
struct StaleSeries {
    is_ahead: bool,
    length: u32,
}

impl ClockCheck {
    /// Notes one stored notification, and logs one line when a series reaches [`SUSPICIOUS`].
    pub(super) fn note(&self, source: &SourceName, entry: &Entry) {
        let Some(event_at) = entry.event_at else {
            return; // it has no date
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let series = latest.entry(source.clone()).or_default();
        if entry.held != Some(HeldReason::Stale) {
            *series = StaleSeries::default();
            return;
        }
        let is_ahead = event_at > entry.received_at;
        if series.is_ahead != is_ahead {
            series.length = 0;
        }
        series.is_ahead = is_ahead;
        series.length = series.length.saturating_add(1);
        if series.length == SUSPICIOUS {
            let reason = if is_ahead {
                "the last 3 notifications are all dated more than a day ahead of our clock"
            } else {
                "the last 3 notifications are all older by our clock than the acceptance window"
            };
            tracing::error!(%source, reason, "our own clock may be wrong");
        }
    }
}
