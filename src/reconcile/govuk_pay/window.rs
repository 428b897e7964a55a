//! The window of payments of a sweep, and the checkpoint that is stored between runs. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::GRACE_PERIOD;
use crate::{
    domain::{Id, Timestamp},
    reconcile::{RunEnd, RunOptions},
};

/// The default length of the window.
const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long after the end of a sweep the next may start.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The payments of a page.
const PAGE: usize = 500;

/// The checkpoint of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepCheckpoint {
    /// When the last sweep ended.
    ended_at: Option<i64>,
    /// The position of the sweep that is not complete.
    pub(super) under_way: Option<SweepPosition>,
}

/// The position of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepPosition {
    from: i64,
    to: i64,
    /// The query of the page.
    pub(super) query: String,
    /// The last payment of that page that was checked.
    pub(super) after: Option<String>,
}

impl SweepPosition {
    /// The start of a window that ends before the grace period.
    fn beginning(since: Option<Timestamp>, now: Timestamp) -> Self {
        let (from, to) = (since.unwrap_or(now.minus(WINDOW)), now.minus(GRACE_PERIOD));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("from_date", &from.to_string())
            .append_pair("to_date", &to.to_string())
            .append_pair("page", "1")
            .append_pair("display_size", &PAGE.to_string())
            .finish();
        Self {
            from: from.as_millis(),
            to: to.as_millis(),
            query,
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

    /// Notes that a payment of the page was checked.
    pub(super) fn mark_checked(&mut self, payment: &Id) {
        self.after = Some(payment.as_str().to_owned());
    }
}

impl SweepCheckpoint {
    /// Where to start: where the last run stopped, or a new sweep if one is due.
    pub(super) fn begin(
        self,
        options: &RunOptions,
        now: Timestamp,
    ) -> Result<SweepPosition, RunEnd> {
        let anew = || SweepPosition::beginning(options.since, now);
        if options.by_hand || options.since.is_some() {
            return Ok(anew());
        }
        if let Some(position) = self.under_way {
            return Ok(position);
        }
        // A sweep that ended in the future was dated before the clock was set back.
        let ended_at = self
            .ended_at
            .map(Timestamp::from_millis)
            .filter(|ended_at| *ended_at <= now);
        match ended_at.map(|ended_at| ended_at.plus(SWEEP_INTERVAL)) {
            Some(due_at) if due_at > now => Err(RunEnd::NotDue(due_at)),
            _ => Ok(anew()),
        }
    }

    /// The checkpoint of an incomplete sweep.
    pub(super) fn at(position: &SweepPosition) -> Self {
        Self {
            ended_at: None,
            under_way: Some(position.clone()),
        }
    }

    /// The checkpoint of a complete sweep.
    pub(super) fn ended(now: Timestamp) -> Self {
        Self {
            ended_at: Some(now.as_millis()),
            under_way: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senders::example::NOW;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn a_sweep_starts_half_an_hour_after_the_last_unless_a_person_starts_it() {
        let (by_itself, by_hand) = (
            RunOptions::default(),
            RunOptions {
                by_hand: true,
                ..RunOptions::default()
            },
        );
        for (ended_at, begins) in [
            (None, true),
            (Some(NOW), false),
            (Some(NOW.minus(minutes(29))), false),
            (Some(NOW.minus(minutes(30))), true),
            (Some(NOW.plus(minutes(60))), true),
        ] {
            let kept = ended_at.map(SweepCheckpoint::ended).unwrap_or_default();
            let begun = kept.clone().begin(&by_itself, NOW);
            assert_eq!(begun.is_ok(), begins, "{ended_at:?}");
            assert!(
                begins
                    || matches!(begun,
                        Err(RunEnd::NotDue(at)) if at == ended_at.unwrap().plus(minutes(30)))
            );
            assert!(kept.begin(&by_hand, NOW).is_ok());
        }
    }

    #[test]
    fn a_sweep_that_was_cut_short_resumes_with_its_window() {
        let mut position = SweepPosition::beginning(None, NOW);
        assert_eq!(
            position.query,
            "from_date=2026-01-31T10%3A15%3A31.480Z&to_date=2026-03-02T07%3A15%3A31.480Z&page=1&display_size=500"
        );
        position.next_page("page=2".to_owned());
        position.mark_checked(&Id::new("p7").unwrap());
        let text = serde_json::to_string(&SweepCheckpoint::at(&position)).unwrap();
        let kept: SweepCheckpoint = serde_json::from_str(&text).unwrap();
        assert_eq!(
            kept.clone()
                .begin(&RunOptions::default(), NOW.plus(minutes(600)))
                .unwrap(),
            position
        );

        let since = RunOptions {
            since: Some(NOW.minus(minutes(600))),
            ..RunOptions::default()
        };
        assert_eq!(
            kept.begin(&since, NOW).unwrap().window().0,
            NOW.minus(minutes(600))
        );
    }
}
