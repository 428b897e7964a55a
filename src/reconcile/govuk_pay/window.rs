//! The window of payments of a sweep, and the checkpoint that is stored between runs. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::PayAccess;
use crate::{
    domain::{NotificationId, Timestamp},
    reconcile::{RunEnd, RunOptions},
};

/// The default length of the window.
const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The overlap between the windows of refunds, because a search may be out of date.
const REFUNDS_OVERLAP: Duration = Duration::from_secs(60 * 60);
/// The maximum number of payments whose refunds are tracked, so that the checkpoint stays small.
const MAX_TRACKED: usize = 2_000;
/// The maximum number of payments or refunds in a page.
const PAGE: usize = 500;

/// The checkpoint of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepCheckpoint {
    /// When the last sweep ended.
    ended_at: Option<i64>,
    /// Where the window of the last sweep that was completed ended.
    #[serde(default)]
    swept_to: Option<i64>,
    /// When each successful refund of a payment was first seen, while not all have an event.
    #[serde(default)]
    refunds: BTreeMap<String, Vec<i64>>,
    /// The position of the sweep in progress.
    pub(super) under_way: Option<SweepPosition>,
}

/// The position of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepPosition {
    from: i64,
    to: i64,
    /// Whether the page is one of refunds, which follow the payments.
    #[serde(default)]
    pub(super) is_of_refunds: bool,
    /// The query of the page.
    pub(super) query: String,
    /// The last payment of that page that was checked.
    pub(super) after: Option<String>,
}

/// The query of the first page of the payments or refunds created in a window.
fn first_page(from: Timestamp, to: Timestamp) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .append_pair("from_date", &from.to_string())
        .append_pair("to_date", &to.to_string())
        .append_pair("page", "1")
        .append_pair("display_size", &PAGE.to_string())
        .finish()
}

impl SweepPosition {
    /// The start of a window from `from` to `to`, the creation time of the youngest payments to
    /// check.
    fn beginning(from: Timestamp, to: Timestamp) -> Self {
        Self {
            from: from.as_millis(),
            to: to.as_millis(),
            is_of_refunds: false,
            query: first_page(from, to),
            after: None,
        }
    }

    /// The window: payments created from the first of these times and before the second.
    pub(super) fn window(&self) -> (Timestamp, Timestamp) {
        (
            Timestamp::from_millis(self.from),
            Timestamp::from_millis(self.to),
        )
    }

    /// Moves to another page.
    pub(super) fn next_page(&mut self, query: String) {
        (self.query, self.after) = (query, None);
    }

    /// Moves to the first page of the refunds made since `from`.
    pub(super) fn begin_refunds(&mut self, from: Timestamp) {
        self.is_of_refunds = true;
        self.next_page(first_page(from, self.window().1));
    }

    /// Notes that a payment of the page was checked.
    pub(super) fn mark_checked(&mut self, payment: &NotificationId) {
        self.after = Some(payment.as_str().to_owned());
    }
}

impl SweepCheckpoint {
    /// Starts the next sweep, or resumes the one in progress. No payment is skipped, however long
    /// ago the last sweep was: the window starts the usual length before the end of the last one.
    pub(super) fn begin(
        &self,
        options: &RunOptions,
        access: &PayAccess,
        now: Timestamp,
    ) -> Result<SweepPosition, RunEnd> {
        let to = now.minus(access.after);
        let swept_to = self.swept_to.map(Timestamp::from_millis);
        let usual = swept_to.map_or(now, |swept_to| swept_to.min(now));
        let anew = || {
            let from = options.since.unwrap_or(usual.minus(WINDOW));
            SweepPosition::beginning(from, to)
        };
        if options.by_hand || options.since.is_some() {
            return Ok(anew());
        }
        if let Some(position) = &self.under_way {
            return Ok(position.clone());
        }
        // An end in the future was stored before the clock was set back.
        let ended_at = self
            .ended_at
            .map(Timestamp::from_millis)
            .filter(|ended_at| *ended_at <= now);
        match ended_at.map(|ended_at| ended_at.plus(access.every)) {
            Some(due_at) if due_at > now => Err(RunEnd::NotDue(due_at)),
            _ => Ok(anew()),
        }
    }

    /// The time from which refunds are checked: earlier ones were in an earlier sweep.
    pub(super) fn refunds_from(&self, options: &RunOptions, position: &SweepPosition) -> Timestamp {
        let (from, _) = position.window();
        match self.swept_to {
            Some(swept_to) if options.since.is_none() => {
                from.max(Timestamp::from_millis(swept_to).minus(REFUNDS_OVERLAP))
            }
            _ => from,
        }
    }

    /// Sets the position of the sweep in progress.
    pub(super) fn set_under_way(&mut self, position: &SweepPosition) {
        self.ended_at = None;
        self.under_way = Some(position.clone());
    }

    /// Records the end of a completed sweep.
    pub(super) fn set_ended(&mut self, position: &SweepPosition, now: Timestamp) {
        self.ended_at = Some(now.as_millis());
        self.swept_to = Some(position.to);
        self.under_way = None;
        let oldest = now.minus(WINDOW).as_millis();
        self.refunds
            .retain(|_, seen| seen.last().is_some_and(|at| *at >= oldest));
    }

    /// When each of a payment's `succeeded` refunds was first seen, of which `received` have an
    /// event. Pay gives only the date on which a refund was made, and a provider may confirm it
    /// days later, when Pay sends its webhook.
    pub(super) fn refunds_seen(
        &mut self,
        payment: &NotificationId,
        succeeded: usize,
        received: usize,
        now: Timestamp,
    ) -> Vec<Timestamp> {
        if succeeded <= received {
            self.refunds.remove(payment.as_str());
            return vec![now; succeeded];
        }
        let is_tracked = self.refunds.contains_key(payment.as_str());
        if !is_tracked && self.refunds.len() >= MAX_TRACKED {
            return vec![now; succeeded]; // tracked once there is room
        }
        let seen = self.refunds.entry(payment.as_str().to_owned()).or_default();
        seen.resize(succeeded, now.as_millis());
        seen.iter().copied().map(Timestamp::from_millis).collect()
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{secrets::Secret, senders::example::NOW};

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    fn access() -> PayAccess {
        PayAccess {
            base_url: Url::parse("http://127.0.0.1/").unwrap(),
            api_key: Secret::new("api_test".to_owned()),
            every: minutes(30),
            after: minutes(180),
            events: None,
        }
    }

    fn ended(at: Timestamp) -> SweepCheckpoint {
        let mut checkpoint = SweepCheckpoint::default();
        checkpoint.set_ended(&SweepPosition::beginning(at, at.minus(minutes(180))), at);
        checkpoint
    }

    #[test]
    fn a_sweep_starts_at_its_interval_after_the_last_unless_a_person_starts_it() {
        let by_hand = RunOptions {
            by_hand: true,
            ..RunOptions::default()
        };
        for (ended_at, begins) in [
            (None, true),
            (Some(NOW), false),
            (Some(NOW.minus(minutes(29))), false),
            (Some(NOW.minus(minutes(30))), true),
            (Some(NOW.plus(minutes(60))), true),
        ] {
            let checkpoint = ended_at.map(ended).unwrap_or_default();
            let begun = checkpoint.begin(&RunOptions::default(), &access(), NOW);
            assert_eq!(begun.is_ok(), begins, "{ended_at:?}");
            assert!(
                begins
                    || matches!(begun,
                        Err(RunEnd::NotDue(at)) if at == ended_at.unwrap().plus(minutes(30)))
            );
            assert!(checkpoint.begin(&by_hand, &access(), NOW).is_ok());
        }
    }

    #[test]
    fn a_sweep_that_was_cut_short_resumes_with_its_window() {
        let first = SweepCheckpoint::default();
        let mut position = first.begin(&RunOptions::default(), &access(), NOW).unwrap();
        assert_eq!(
            position.query,
            "from_date=2026-01-31T10%3A15%3A31.480Z&to_date=2026-03-02T07%3A15%3A31.480Z&page=1\
             &display_size=500"
        );
        position.next_page("page=2".to_owned());
        position.mark_checked(&NotificationId::new("p7").unwrap());
        let mut checkpoint = ended(NOW);
        checkpoint.set_under_way(&position);
        let text = serde_json::to_string(&checkpoint).unwrap();
        let checkpoint: SweepCheckpoint = serde_json::from_str(&text).unwrap();
        let later = NOW.plus(minutes(600));
        let resumed = checkpoint.begin(&RunOptions::default(), &access(), later);
        assert_eq!(resumed.unwrap(), position);

        let since = RunOptions {
            since: Some(NOW.minus(minutes(600))),
            ..RunOptions::default()
        };
        let window = checkpoint.begin(&since, &access(), NOW).unwrap().window();
        assert_eq!(window.0, NOW.minus(minutes(600)));
    }

    #[test]
    fn no_payment_is_skipped_however_long_ago_the_last_sweep_was() {
        let day = minutes(24 * 60);
        for away in [0, 5, 40, 200] {
            let checkpoint = ended(NOW);
            let now = NOW.plus(away * day).plus(minutes(30));
            let begun = checkpoint
                .begin(&RunOptions::default(), &access(), now)
                .unwrap();
            let swept_to = NOW.minus(minutes(180));
            assert_eq!(
                begun.window(),
                (swept_to.minus(WINDOW), now.minus(minutes(180)))
            );
        }
        let from_the_future = ended(NOW.plus(day));
        let begun = from_the_future.begin(&RunOptions::default(), &access(), NOW);
        assert!(begun.unwrap().window().0 <= NOW.minus(WINDOW));
    }

    #[test]
    fn a_refund_is_dated_when_it_was_first_seen() {
        let (mut checkpoint, payment) = (
            SweepCheckpoint::default(),
            NotificationId::new("p1").unwrap(),
        );
        let later = NOW.plus(minutes(60));
        for (succeeded, received, now, seen) in [
            (1, 0, NOW, vec![NOW]),
            (1, 0, later, vec![NOW]),
            (2, 0, later, vec![NOW, later]),
            (2, 1, later.plus(minutes(9)), vec![NOW, later]),
            (2, 2, later, vec![later, later]),
            (3, 2, later, vec![later; 3]),
        ] {
            let found = checkpoint.refunds_seen(&payment, succeeded, received, now);
            assert_eq!(found, seen, "{succeeded} {received}");
        }
        let text = serde_json::to_string(&checkpoint).unwrap();
        let mut checkpoint: SweepCheckpoint = serde_json::from_str(&text).unwrap();
        assert_eq!(checkpoint.refunds_seen(&payment, 3, 2, NOW), vec![later; 3]);

        for n in 0..2 * MAX_TRACKED {
            checkpoint.refunds_seen(&NotificationId::new(&format!("q{n}")).unwrap(), 1, 0, NOW);
        }
        assert_eq!(checkpoint.refunds.len(), MAX_TRACKED);
    }
}
