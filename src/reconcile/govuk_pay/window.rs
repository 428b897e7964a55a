//! Which payments are looked at, and how far that is: pure, and kept in a memo between runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judge::GRACE_PERIOD;
use crate::{
    domain::{Id, Timestamp},
    reconcile::{RunEnd, RunOptions},
};

/// How far back payments are looked at, if nobody says.
const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long after a sweep has ended the next may begin.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The most payments there are to a page.
const PAGE: usize = 500;

/// What is kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepCheckpoint {
    /// When the last sweep ended.
    ended_at: Option<i64>,
    /// The one that is under way.
    pub(super) under_way: Option<SweepPosition>,
}

/// How far a sweep is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepPosition {
    from: i64,
    to: i64,
    /// What to ask for the page.
    pub(super) query: String,
    /// The last payment of that page that was looked at, if one was.
    pub(super) after: Option<String>,
}

impl SweepPosition {
    /// The beginning of a window that ends three hours ago.
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

    /// Payments created from the first of these until before the second.
    pub(super) fn window(&self) -> (Timestamp, Timestamp) {
        (
            Timestamp::from_millis(self.from),
            Timestamp::from_millis(self.to),
        )
    }

    /// Goes on to another page.
    pub(super) fn turn_to(&mut self, query: String) {
        (self.query, self.after) = (query, None);
    }

    /// Notes that a payment of the page was looked at.
    pub(super) fn pass(&mut self, payment: &Id) {
        self.after = Some(payment.as_str().to_owned());
    }
}

impl SweepCheckpoint {
    /// Where to begin: where the last run stopped, or at the beginning, if it is time for that.
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
        // One that is to end in the future ended before the clock was set back.
        let ended_at = self
            .ended_at
            .map(Timestamp::from_millis)
            .filter(|ended_at| *ended_at <= now);
        match ended_at.map(|ended_at| ended_at.plus(SWEEP_INTERVAL)) {
            Some(due_at) if due_at > now => Err(RunEnd::NotDue(due_at)),
            _ => Ok(anew()),
        }
    }

    /// What to keep while a sweep is under way.
    pub(super) fn at(position: &SweepPosition) -> Self {
        Self {
            ended_at: None,
            under_way: Some(position.clone()),
        }
    }

    /// What to keep once it has ended.
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
    fn a_sweep_begins_half_an_hour_after_the_last_unless_somebody_asks() {
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
    fn a_sweep_that_was_cut_short_goes_on_with_the_window_it_had() {
        let mut position = SweepPosition::beginning(None, NOW);
        assert_eq!(
            position.query,
            "from_date=2026-01-31T10%3A15%3A31.480Z&to_date=2026-03-02T07%3A15%3A31.480Z&page=1&display_size=500"
        );
        position.turn_to("page=2".to_owned());
        position.pass(&Id::new("p7").unwrap());
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
