//! When a sender retries a notification that was not answered with 200, and when it gives up. Pure.
//!
//! Pages and messages use it to show how much time is left to correct a mistake.

use std::time::Duration;

use crate::domain::Timestamp;

/// A sender's attempts after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetrySchedule {
    /// One after each of these waits.
    After(&'static [Duration]),
    /// One in each interval, until the notification has this age.
    Every {
        /// The minimum time between two attempts.
        interval: Duration,
        /// The maximum age of the notification.
        until: Duration,
    },
}

impl RetrySchedule {
    /// How long after the first attempt each later one is made, if none was answered with 200.
    pub fn elapsed(self) -> impl Iterator<Item = Duration> {
        let (waits, interval, until) = match self {
            Self::After(waits) => (waits, Duration::MAX, Duration::ZERO),
            Self::Every { interval, until } => (&[][..], interval, until),
        };
        let after = waits.iter().scan(Duration::ZERO, |elapsed, wait| {
            *elapsed += *wait;
            Some(*elapsed)
        });
        let every = (1..).map_while(move |number| {
            let elapsed = interval.checked_mul(number)?;
            (elapsed <= until).then_some(elapsed)
        });
        after.chain(every)
    }

    /// The next attempt after `now`, of a notification that was first posted at `first_at`; `None`
    /// if the sender has given up. A sender may be some minutes late.
    pub fn next_attempt(self, first_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let mut attempts = self.elapsed().map(|elapsed| first_at.plus(elapsed));
        attempts.find(|at| *at > now)
    }

    /// When the sender makes its last attempt, of a notification that was first posted at
    /// `first_at`.
    pub fn last_attempt_at(self, first_at: Timestamp) -> Timestamp {
        first_at.plus(self.elapsed().last().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senders::SenderKind;

    #[test]
    fn each_sender_retries_by_its_own_schedule_and_then_gives_up() {
        let at = |text| Timestamp::parse(text).unwrap();
        let first = "2026-02-27T12:59:00Z";
        let (pay, hmrc) = (SenderKind::GOVUK_PAY, SenderKind::HMRC);
        for (kind, now, next) in [
            (pay, first, Some("2026-02-27T13:00:00Z")),
            (pay, "2026-02-27T13:00:00Z", Some("2026-02-27T13:05:00Z")),
            (pay, "2026-02-27T13:05:00Z", Some("2026-02-27T14:05:00Z")),
            (pay, "2026-02-27T14:05:00Z", Some("2026-02-28T14:05:00Z")),
            (pay, "2026-02-28T14:05:00Z", Some("2026-03-02T14:05:00Z")),
            (pay, "2026-03-02T14:05:00Z", None),
            (hmrc, first, Some("2026-02-27T13:04:00Z")),
            (hmrc, "2026-02-27T18:57:00Z", Some("2026-02-27T18:59:00Z")),
            (hmrc, "2026-02-27T18:59:00Z", None),
        ] {
            let found = kind.retries.next_attempt(at(first), at(now));
            assert_eq!(found, next.map(at), "{kind:?} after {now}");
        }
        for (kind, attempts, last) in [
            (pay, 5, "2026-03-02T14:05:00Z"),
            (hmrc, 72, "2026-02-27T18:59:00Z"),
        ] {
            assert_eq!(kind.retries.elapsed().count(), attempts);
            assert_eq!(kind.retries.last_attempt_at(at(first)), at(last));
        }
        let never = RetrySchedule::After(&[]);
        assert_eq!(never.next_attempt(at(first), at(first)), None);
        assert_eq!(never.last_attempt_at(at(first)), at(first));
    }
}
