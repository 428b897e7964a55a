//! What the real sender would do next. Pure: an answer comes in, a decision and a sentence come out.

use std::time::Duration;

use super::Sender;

/// What one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answered {
        /// Its status.
        status: u16,
        /// Whether it names a place to go to instead.
        location: bool,
        /// How long it asks to wait; zero and less count as not asking.
        retry_after: Option<Duration>,
    },
    /// No connection was made.
    Unreachable,
    /// The connection closed before an answer came.
    Closed,
    /// The sender's patience ran out.
    TimedOut,
    /// What came is not HTTP.
    Garbled,
}

impl Outcome {
    /// An answer with no header of consequence.
    pub fn status(status: u16) -> Self {
        Self::Answered {
            status,
            location: false,
            retry_after: None,
        }
    }
}

/// Which request for one message this is; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt of the sender's schedule.
    pub number: u32,
    /// The copy within that attempt: senders send some things again at once.
    pub copy: u32,
}

impl Attempt {
    /// The very first request.
    pub const FIRST: Self = Self { number: 1, copy: 1 };

    /// The one attempt that HMRC makes of a notification older than its six hours.
    pub const LAST: Self = Self {
        number: HMRC_LAST,
        copy: 1,
    };

    /// The request that follows this one; `None` when no other does.
    pub fn then(self, next: Next) -> Option<Self> {
        match next {
            Next::Repost(_) => Some(Self {
                copy: self.copy + 1,
                ..self
            }),
            Next::Retry(_) => Some(Self {
                number: self.number + 1,
                copy: 1,
            }),
            Next::Acknowledged | Next::FollowWithoutBody | Next::FollowWhole | Next::GiveUp => None,
        }
    }
}

/// What happens to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The sender is satisfied and never sends it again.
    Acknowledged,
    /// The same bytes come once more within this attempt, after this long.
    Repost(Duration),
    /// The next attempt comes after this long.
    Retry(Duration),
    /// A GET without a body goes to the new place; if that succeeds, the message is lost.
    FollowWithoutBody,
    /// The whole POST goes to the new place, and its answer decides.
    FollowWhole,
    /// The sender never pushes it again.
    GiveUp,
}

/// A decision, and the reason in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What happens to the message.
    pub next: Next,
    /// Why, for people.
    pub sentence: String,
}

/// Says what `sender` would do after this.
pub fn verdict(sender: Sender, outcome: Outcome, attempt: Attempt) -> Verdict {
    let (next, sentence) = match sender {
        Sender::Hmrc => hmrc(outcome, attempt),
        Sender::GovukPay => govuk_pay(outcome, attempt),
    };
    Verdict { next, sentence }
}

/// HMRC's interval; its default, as its private configuration is not known.
const HMRC_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The attempt made when a notification has turned 6 hours old.
const HMRC_LAST: u32 = 6 * 60 / 5 + 1;
/// How often HMRC's client sends one request when connections close on it.
const HMRC_COPIES: u32 = 6;

fn hmrc(outcome: Outcome, attempt: Attempt) -> (Next, String) {
    match outcome {
        Outcome::Answered { status: 200, .. } => (
            Next::Acknowledged,
            "HMRC marks it ACKNOWLEDGED and never sends it again.".to_owned(),
        ),
        Outcome::Answered {
            status: status @ (301..=303),
            location: true,
            ..
        } => follow_without_body("HMRC", status, "ACKNOWLEDGED"),
        Outcome::Answered {
            status: status @ (307 | 308),
            location: true,
            ..
        } => follow_whole("HMRC", status),
        Outcome::Closed if attempt.copy < HMRC_COPIES => (
            Next::Repost(Duration::ZERO),
            format!(
                "The connection closed without an answer: HMRC's client sends the same bytes again \
                 at once, copy {} of {HMRC_COPIES}.",
                attempt.copy + 1
            ),
        ),
        other => hmrc_failure(other, attempt),
    }
}

fn hmrc_failure(outcome: Outcome, attempt: Attempt) -> (Next, String) {
    let why = failure("HMRC", outcome, "200", "20 seconds");
    if attempt.number >= HMRC_LAST {
        (
            Next::GiveUp,
            format!("{why} It is 6 hours old, so HMRC marks it FAILED: only a pull brings it now."),
        )
    } else {
        (
            Next::Retry(HMRC_INTERVAL),
            format!(
                "{why} HMRC pushes it again about every 5 minutes until it is 6 hours old, then marks it \
                 FAILED: only a pull brings it then."
            ),
        )
    }
}

/// What Pay waits after each failure; after the last one it gives up.
const PAY_SCHEDULE: [(Duration, &str); 5] = [
    (Duration::from_secs(60), "60 seconds"),
    (Duration::from_secs(5 * 60), "5 minutes"),
    (Duration::from_secs(60 * 60), "1 hour"),
    (Duration::from_secs(24 * 60 * 60), "1 day"),
    (Duration::from_secs(2 * 24 * 60 * 60), "2 days"),
];

fn govuk_pay(outcome: Outcome, attempt: Attempt) -> (Next, String) {
    match outcome {
        Outcome::Answered {
            status: 200 | 201 | 202 | 204 | 205 | 206,
            ..
        } => (
            Next::Acknowledged,
            "Pay marks it SUCCESSFUL and never sends it again.".to_owned(),
        ),
        Outcome::Answered {
            status: status @ (301..=303),
            location: true,
            ..
        } => follow_without_body("Pay", status, "SUCCESSFUL"),
        Outcome::Answered {
            status: status @ (307 | 308),
            location: true,
            ..
        } => follow_whole("Pay", status),
        Outcome::Answered {
            status: status @ (429 | 503),
            retry_after,
            ..
        } if attempt.copy == 1 => {
            repost_after_a_while(status, retry_after.filter(|wait| !wait.is_zero()))
        }
        other => pay_failure(other, attempt),
    }
}

fn repost_after_a_while(status: u16, retry_after: Option<Duration>) -> (Next, String) {
    match retry_after {
        None => (
            Next::Repost(Duration::from_secs(1)),
            format!(
                "Pay's client posts it once more after 1 second, because of the {status}; \
                 only then does the attempt count."
            ),
        ),
        Some(wait) => (
            Next::Repost(wait),
            format!(
                "Pay's client sleeps {} seconds, because Retry-After came with the {status}, and posts it \
                 once more; a thread of Pay's is held meanwhile. Leave Retry-After out.",
                wait.as_secs()
            ),
        ),
    }
}

fn pay_failure(outcome: Outcome, attempt: Attempt) -> (Next, String) {
    let why = failure(
        "Pay",
        outcome,
        "200, 201, 202, 204, 205 and 206",
        "3 seconds",
    );
    let failures = usize::try_from(attempt.number.saturating_sub(1)).unwrap_or(usize::MAX);
    match PAY_SCHEDULE.get(failures) {
        Some((wait, words)) => (
            Next::Retry(*wait),
            format!("{why} The next attempt, of 6 in all, comes after {words}."),
        ),
        None => (
            Next::GiveUp,
            format!("{why} That was the last of 6 attempts: FAILED for good, and nobody is told."),
        ),
    }
}

fn follow_without_body(sender: &str, status: u16, mark: &str) -> (Next, String) {
    (
        Next::FollowWithoutBody,
        format!(
            "{sender} follows the {status} with a GET that has no body; if that succeeds, the message is \
             marked {mark} and lost. Never redirect a callback."
        ),
    )
}

fn follow_whole(sender: &str, status: u16) -> (Next, String) {
    (
        Next::FollowWhole,
        format!(
            "{sender} repeats the whole POST at the new place, because of the {status}, and goes by the \
             answer there. Never redirect a callback."
        ),
    )
}

fn failure(sender: &str, outcome: Outcome, success: &str, patience: &str) -> String {
    match outcome {
        Outcome::Answered {
            status: status @ 300..400,
            ..
        } => {
            format!("{sender} does not follow this {status}, and counts it as a failure.")
        }
        Outcome::Answered { status, .. } => {
            format!("{sender} counts {status} as a failure: only {success} will do.")
        }
        Outcome::Unreachable => format!("{sender} could not connect, which counts as a failure."),
        Outcome::Closed => {
            format!("The connection closed without an answer, which {sender} counts as a failure.")
        }
        Outcome::TimedOut => {
            format!("{sender} waits no longer than {patience}, and counts a failure.")
        }
        Outcome::Garbled => format!("{sender} could not read the answer, and counts a failure."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn moved(status: u16) -> Outcome {
        Outcome::Answered {
            status,
            location: true,
            retry_after: None,
        }
    }

    fn next(sender: Sender, outcome: Outcome, number: u32, copy: u32) -> Next {
        let verdict = verdict(sender, outcome, Attempt { number, copy });
        assert!(verdict.sentence.ends_with('.'), "{}", verdict.sentence);
        verdict.next
    }

    #[test]
    fn hmrc_takes_200_for_an_answer_and_nothing_else() {
        let again = Next::Retry(5 * MINUTE);
        for (outcome, expected) in [
            (Outcome::status(200), Next::Acknowledged),
            (Outcome::status(201), again),
            (Outcome::status(202), again),
            (Outcome::status(204), again),
            (Outcome::status(400), again),
            (Outcome::status(401), again),
            (Outcome::status(409), again),
            (Outcome::status(410), again),
            (Outcome::status(503), again),
            (
                Outcome::Answered {
                    status: 503,
                    location: false,
                    retry_after: Some(MINUTE),
                },
                again,
            ),
            (Outcome::status(301), again),
            (Outcome::status(304), again),
            (moved(301), Next::FollowWithoutBody),
            (moved(302), Next::FollowWithoutBody),
            (moved(303), Next::FollowWithoutBody),
            (moved(307), Next::FollowWhole),
            (moved(308), Next::FollowWhole),
            (Outcome::Unreachable, again),
            (Outcome::TimedOut, again),
            (Outcome::Garbled, again),
            (Outcome::Closed, Next::Repost(Duration::ZERO)),
        ] {
            assert_eq!(next(Sender::Hmrc, outcome, 1, 1), expected, "{outcome:?}");
        }
    }

    #[test]
    fn hmrc_sends_six_copies_into_closing_connections_then_waits() {
        for copy in 1..=5 {
            assert_eq!(
                next(Sender::Hmrc, Outcome::Closed, 1, copy),
                Next::Repost(Duration::ZERO)
            );
        }
        assert_eq!(
            next(Sender::Hmrc, Outcome::Closed, 1, 6),
            Next::Retry(5 * MINUTE)
        );
        assert_eq!(next(Sender::Hmrc, Outcome::Closed, 73, 6), Next::GiveUp);
    }

    #[test]
    fn hmrc_pushes_for_six_hours() {
        let mut spent = Duration::ZERO;
        let mut attempt = Attempt::FIRST;
        loop {
            let next = next(
                Sender::Hmrc,
                Outcome::status(500),
                attempt.number,
                attempt.copy,
            );
            if let Next::Retry(wait) = next {
                spent += wait;
            }
            match attempt.then(next) {
                Some(later) => attempt = later,
                None => break assert_eq!(next, Next::GiveUp),
            }
        }
        assert_eq!((spent, attempt.number), (360 * MINUTE, 73));
    }

    #[test]
    fn pay_takes_six_statuses_for_success() {
        let again = Next::Retry(MINUTE);
        for (outcome, expected) in [
            (Outcome::status(200), Next::Acknowledged),
            (Outcome::status(201), Next::Acknowledged),
            (Outcome::status(202), Next::Acknowledged),
            (Outcome::status(203), again),
            (Outcome::status(204), Next::Acknowledged),
            (Outcome::status(205), Next::Acknowledged),
            (Outcome::status(206), Next::Acknowledged),
            (Outcome::status(207), again),
            (Outcome::status(208), again),
            (Outcome::status(226), again),
            (Outcome::status(299), again),
            (Outcome::status(302), again),
            (Outcome::status(404), again),
            (Outcome::status(422), again),
            (Outcome::status(500), again),
            (moved(301), Next::FollowWithoutBody),
            (moved(302), Next::FollowWithoutBody),
            (moved(303), Next::FollowWithoutBody),
            (moved(307), Next::FollowWhole),
            (moved(308), Next::FollowWhole),
            (Outcome::Unreachable, again),
            (Outcome::Closed, again),
            (Outcome::TimedOut, again),
            (Outcome::Garbled, again),
        ] {
            assert_eq!(
                next(Sender::GovukPay, outcome, 1, 1),
                expected,
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn pay_posts_once_more_when_told_to_wait() {
        let waiting = |retry_after| Outcome::Answered {
            status: 503,
            location: false,
            retry_after,
        };
        for (outcome, wait) in [
            (Outcome::status(429), Duration::from_secs(1)),
            (waiting(None), Duration::from_secs(1)),
            (waiting(Some(Duration::ZERO)), Duration::from_secs(1)),
            (waiting(Some(8 * MINUTE)), 8 * MINUTE),
        ] {
            assert_eq!(next(Sender::GovukPay, outcome, 2, 1), Next::Repost(wait));
            assert_eq!(
                next(Sender::GovukPay, outcome, 2, 2),
                Next::Retry(5 * MINUTE)
            );
        }
    }

    #[test]
    fn pay_gives_up_after_its_sixth_attempt() {
        let waits = [1, 5, 60, 24 * 60, 2 * 24 * 60].map(|minutes| Next::Retry(minutes * MINUTE));
        for (number, expected) in (1..)
            .zip(waits)
            .chain([(6, Next::GiveUp), (7, Next::GiveUp)])
        {
            assert_eq!(
                next(Sender::GovukPay, Outcome::status(500), number, 1),
                expected
            );
        }
        assert_eq!(
            next(Sender::GovukPay, Outcome::status(503), 6, 1),
            Next::Repost(Duration::from_secs(1))
        );
    }
}
