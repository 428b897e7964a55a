//! When a sender sends a notification again.
//!
//! The schedules are the sender simulator's. A sender that got our 200 sends nothing again; one
//! that did not get the answer follows its schedule.

use sender_simulator::{DeliveryAttempt, ExchangeOutcome, NextAction, Sender, decide};

use pillarbox::{domain::Timestamp, senders::SenderKind};

/// A status that every sender treats as a failure, and that no client retries immediately.
const FAILED: u16 = 401;
/// More attempts than any sender makes.
const MAX_ATTEMPTS: usize = 1_000;

/// The remaining attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RemainingAttempts {
    pub(super) next: Timestamp,
    pub(super) last: Timestamp,
}

/// The attempts after `now` of a sender that first tried at `first` and has had no answer; `None`
/// if it has given up.
pub(super) fn remaining(
    kind: SenderKind,
    first: Timestamp,
    now: Timestamp,
) -> Option<RemainingAttempts> {
    let sender = Sender::parse(kind.as_str())?;
    let (mut at, mut attempt, mut next) = (first, DeliveryAttempt::FIRST, None);
    for _ in 0..MAX_ATTEMPTS {
        let decision = decide(sender, ExchangeOutcome::status(FAILED), attempt);
        let (NextAction::Retry(wait), Some(following)) =
            (decision.next, attempt.following(decision.next))
        else {
            break;
        };
        (at, attempt) = (at.plus(wait), following);
        next = next.or((at > now).then_some(at));
    }
    next.map(|next| RemainingAttempts { next, last: at })
}

/// What a sender does after a first attempt that was answered with `status`.
pub(super) fn after_refusal(kind: SenderKind, status: u16) -> Option<String> {
    let sender = Sender::parse(kind.as_str())?;
    let outcome = ExchangeOutcome::status(status);
    Some(decide(sender, outcome, DeliveryAttempt::FIRST).sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_attempts_follow_the_schedule_of_the_sender() {
        let at = |text| Timestamp::parse(text).unwrap();
        let first = at("2026-03-02T10:00:00Z");
        for (kind, now, expected) in [
            (
                SenderKind::GOVUK_PAY,
                "2026-03-02T10:00:30Z",
                Some(("2026-03-02T10:01:00Z", "2026-03-05T11:06:00Z")),
            ),
            (
                SenderKind::GOVUK_PAY,
                "2026-03-02T12:00:00Z",
                Some(("2026-03-03T11:06:00Z", "2026-03-05T11:06:00Z")),
            ),
            (SenderKind::GOVUK_PAY, "2026-03-06T00:00:00Z", None),
            (
                SenderKind::HMRC,
                "2026-03-02T10:07:00Z",
                Some(("2026-03-02T10:10:00Z", "2026-03-02T16:00:00Z")),
            ),
            (SenderKind::HMRC, "2026-03-02T16:00:00Z", None),
        ] {
            let expected = expected.map(|(next, last)| RemainingAttempts {
                next: at(next),
                last: at(last),
            });
            assert_eq!(remaining(kind, first, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_refusal_says_what_its_sender_does_next() {
        let pay = after_refusal(SenderKind::GOVUK_PAY, 401).unwrap();
        assert!(pay.contains("60 seconds"), "{pay}");
        let hmrc = after_refusal(SenderKind::HMRC, 401).unwrap();
        assert!(hmrc.contains("5 minutes"), "{hmrc}");
    }
}
