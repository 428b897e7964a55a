//! The state of one box in a run: the current page, the stored notifications that are not
//! acknowledged yet, and the next step. Pure: [`mailbox`](super::mailbox) drives it.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use super::{
    BoxPosition, BoxReport, HmrcError, NotificationStatus,
    error::ErrorScope,
    pager::{BoxPager, PAGE, PageResult, PagerStep},
    record::{ElementOutcome, RecordedAs, StoredId},
};
use crate::{
    domain::{Key, Timestamp},
    reconcile::backoff::{MAX_ATTEMPTS, backoff},
};

/// A box, and its progress.
pub(super) struct BoxState {
    id: String,
    since: Option<Timestamp>,
    pub(super) status: NotificationStatus,
    pub(super) pager: BoxPager,
    /// The current page, until all of it that can be acknowledged is acknowledged.
    page: Option<PageResult>,
    /// Stored notifications that are not acknowledged yet, with their creation times.
    unacknowledged: VecDeque<(StoredId, Option<Timestamp>)>,
    /// Every id queued in this run. One that HMRC lists again is not acknowledged twice.
    queued: HashSet<StoredId>,
    /// Every key counted, because a notification at the edge of two pages is listed twice.
    counted: HashSet<Key>,
    /// When the box was last delayed, and for how long.
    delay: Option<(Timestamp, Duration)>,
    /// Failures in a row.
    failures: u32,
    is_complete: bool,
    report: BoxReport,
}

impl BoxState {
    /// The state of the box `id`, for notifications created since `since`.
    pub(super) fn new(id: &str, since: Option<Timestamp>) -> Self {
        Self {
            id: id.to_owned(),
            since,
            status: NotificationStatus::Pending,
            pager: BoxPager::new(since),
            page: None,
            unacknowledged: VecDeque::new(),
            queued: HashSet::new(),
            counted: HashSet::new(),
            delay: None,
            failures: 0,
            is_complete: false,
            report: BoxReport::new(id),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nothing is left to do for the box in this run.
    pub(super) fn is_done(&self) -> bool {
        self.is_complete || self.report.error.is_some()
    }

    /// Whether the next step is to list a page.
    pub(super) fn needs_page(&self) -> bool {
        self.page.is_none()
    }

    /// Time until the next step.
    pub(super) fn time_until_ready(&self, now: Timestamp) -> Duration {
        match self.delay {
            Some((at, time)) if now >= at => at.plus(time).since(now),
            // Also after the clock was set back: the rate limiter does not depend on it alone.
            _ => Duration::ZERO,
        }
    }

    pub(super) fn delay(&mut self, now: Timestamp, duration: Duration) {
        self.delay = Some((now, duration));
    }

    pub(super) fn position(&self) -> BoxPosition {
        BoxPosition {
            status: self.status,
            from: self.pager.from,
        }
    }

    /// Continues where an earlier run stopped.
    pub(super) fn resume(&mut self, position: BoxPosition) {
        (self.status, self.pager) = (position.status, BoxPager::new(position.from));
    }

    /// The findings in the box so far.
    pub(super) fn report(&self) -> BoxReport {
        let unacknowledged = self.unacknowledged.iter();
        let oldest = unacknowledged.filter_map(|(_, created_at)| *created_at);
        BoxReport {
            oldest: self.report.oldest.into_iter().chain(oldest).min(),
            position: (!self.is_complete).then(|| self.position()),
            ..self.report.clone()
        }
    }

    /// Notes that HMRC returned a list, so that the next one waits for the interval.
    pub(super) fn listed(&mut self, now: Timestamp, interval: Duration) {
        self.failures = 0;
        self.delay(now, interval);
    }

    /// Adds a page of recorded notifications.
    pub(super) fn page_recorded(&mut self, outcomes: &[ElementOutcome]) {
        let created = outcomes.iter().filter_map(|outcome| outcome.created_at);
        let last = created.max();
        let stuck = outcomes.iter().filter(|outcome| !self.add(outcome)).count();
        self.page = Some(PageResult {
            listed: outcomes.len(),
            stuck,
            last,
        });
    }

    /// Counts one notification and queues its acknowledgement; false if it cannot be acknowledged.
    fn add(&mut self, outcome: &ElementOutcome) -> bool {
        let is_queued = match &outcome.stored {
            Some(stored) if self.queued.insert(stored.clone()) => {
                self.unacknowledged
                    .push_back((stored.clone(), outcome.created_at));
                true
            }
            // HMRC refuses an acknowledgement that names one notification twice.
            Some(stored) => self.unacknowledged.iter().any(|(other, _)| other == stored),
            None => false,
        };
        if !is_queued {
            let oldest = self.report.oldest.into_iter().chain(outcome.created_at);
            self.report.oldest = oldest.min();
        }
        if self.counted.insert(outcome.key.clone()) {
            self.count(outcome, is_queued);
        }
        is_queued
    }

    fn count(&mut self, outcome: &ElementOutcome, is_queued: bool) {
        self.report.listed += 1;
        match &outcome.how {
            RecordedAs::First => self.report.missed += 1,
            RecordedAs::Duplicate => self.report.duplicates += 1,
            RecordedAs::Held => self.report.held += 1,
            RecordedAs::Refused(error) => self.report.refused = Some(error.clone()),
            RecordedAs::DryRun => {}
        }
        let is_stuck = !is_queued && !matches!(outcome.how, RecordedAs::DryRun);
        self.report.stuck += usize::from(is_stuck);
    }

    /// The next ids to acknowledge, as many as one request accepts.
    pub(super) fn next_acknowledgement(&self) -> Vec<StoredId> {
        let ids = self.unacknowledged.iter().take(PAGE);
        ids.map(|(stored, _)| stored.clone()).collect()
    }

    /// Notes that HMRC confirmed the first `count` of them.
    pub(super) fn acknowledged(&mut self, count: usize) {
        self.failures = 0;
        self.unacknowledged.drain(..count);
        self.report.acknowledged += count;
    }

    /// Moves on from a page of which everything that can be acknowledged is.
    pub(super) fn page_done(&mut self) {
        if let Some(page) = self.page.take()
            && self.pager.after(page) == PagerStep::End
        {
            self.end_status();
        }
    }

    /// Moves on from pending to failed notifications, and then to the end.
    fn end_status(&mut self) {
        match self.status {
            NotificationStatus::Pending => {
                self.status = NotificationStatus::Failed;
                self.pager = BoxPager::new(self.since);
            }
            NotificationStatus::Failed => self.is_complete = true,
        }
    }

    /// Decides what follows an error: the same request later, a smaller one immediately, or the end
    /// of this box. Returns the error if it ends the whole run.
    pub(super) fn handle_error(
        &mut self,
        error: HmrcError,
        now: Timestamp,
        random: u64,
    ) -> Result<(), HmrcError> {
        match (&error, error.scope()) {
            (_, ErrorScope::Application) => return Err(error),
            (HmrcError::TokenExpired, _) => self.delay = None, // a new one is fetched immediately
            (HmrcError::TooLong, _) if self.pager.shrink() => {}
            (HmrcError::Refused { status: 400, .. }, _)
                if self.page.is_none() && self.pager.count > PAGE =>
            {
                if self.pager.skip() == PagerStep::End {
                    self.end_status();
                }
            }
            (_, ErrorScope::Transient) if self.failures + 1 < MAX_ATTEMPTS => {
                self.failures += 1;
                self.delay(now, backoff(self.failures, random));
            }
            (_, ErrorScope::Transient | ErrorScope::Box) => self.report.error = Some(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http_client::RequestError, senders::example::NOW};

    #[test]
    fn an_error_is_retried_shrunk_or_ends_the_box_or_the_run_by_its_kind() {
        let transient = || HmrcError::Unanswered(RequestError::NoConnection);
        for (error, ends_run, ends_box, is_delayed) in [
            (HmrcError::Credentials, true, false, false),
            (HmrcError::UnknownBox, false, true, false),
            (HmrcError::TokenExpired, false, false, false),
            (HmrcError::TooLong, false, false, false),
            (transient(), false, false, true),
        ] {
            let mut state = BoxState::new("b", None);
            let text = error.to_string();
            let ended = state.handle_error(error, NOW, 0);
            assert_eq!(
                (
                    ended.is_err(),
                    state.is_done(),
                    !state.time_until_ready(NOW).is_zero()
                ),
                (ends_run, ends_box, is_delayed),
                "{text}"
            );
        }
    }

    #[test]
    fn a_box_is_given_up_after_eight_transient_errors_in_a_row_and_a_response_resets_the_count() {
        let mut state = BoxState::new("b", None);
        for _ in 0..MAX_ATTEMPTS - 1 {
            assert_eq!(state.handle_error(HmrcError::Maintenance, NOW, 0), Ok(()));
        }
        assert!(!state.is_done());
        state.listed(NOW, Duration::from_secs(10));
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(state.handle_error(HmrcError::Maintenance, NOW, 0), Ok(()));
            assert_eq!(state.is_done(), attempt == MAX_ATTEMPTS, "{attempt}");
        }
    }

    #[test]
    fn an_empty_box_is_complete_after_one_page_of_each_status() {
        let mut state = BoxState::new("b", None);
        for status in [NotificationStatus::Pending, NotificationStatus::Failed] {
            assert!(state.needs_page() && !state.is_done());
            assert_eq!(state.status, status);
            state.page_recorded(&[]);
            state.page_done();
        }
        assert!(state.is_done());
        assert_eq!(state.report().position, None);
    }
}
