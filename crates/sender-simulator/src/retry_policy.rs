//! The real sender's decision after an exchange: acknowledge, retry or give up. No I/O.

use std::time::Duration;

use super::Sender;

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// The receiver responded.
    Answered {
        /// The status code.
        status: u16,
        /// Whether the response has a `Location`.
        location: bool,
        /// The time in `Retry-After`, if it is above zero.
        retry_after: Option<Duration>,
        /// Whether the sender's client cannot decode the body.
        unknown_encoding: bool,
    },
    /// No connection was opened.
    Unreachable,
    /// The connection closed before the first byte of a response.
    Closed,
    /// The connection was reset before the response was complete.
    Reset,
    /// The connection closed within the body of the response.
    BodyCutShort,
    /// The client followed as many redirects as it does.
    TooManyRedirects,
    /// The sender's time limit passed.
    TimedOut,
    /// The response is not HTTP.
    Garbled,
}

impl ExchangeOutcome {
    /// A response without `Location` and `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Answered {
            status,
            location: false,
            retry_after: None,
            unknown_encoding: false,
        }
    }
}

/// The position of a request among all requests for one message. Both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// The attempt in the sender's schedule.
    pub number: u32,
    /// The copy within that attempt: senders repeat some requests immediately.
    pub copy: u32,
}

impl DeliveryAttempt {
    /// The first request.
    pub const FIRST: Self = Self { number: 1, copy: 1 };

    /// The single attempt that HMRC makes for a notification older than six hours.
    pub const LAST: Self = Self {
        number: HMRC_LAST,
        copy: 1,
    };

    /// The next request after this one, or `None` if it was the last.
    pub fn following(self, next: NextAction) -> Option<Self> {
        match next {
            NextAction::Repost(_) => Some(Self {
                copy: self.copy + 1,
                ..self
            }),
            NextAction::Retry(_) => Some(Self {
                number: self.number + 1,
                copy: 1,
            }),
            NextAction::Acknowledged
            | NextAction::FollowWithoutBody
            | NextAction::FollowWhole
            | NextAction::GiveUp => None,
        }
    }
}

/// The next step of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// It counts the message as delivered and never sends it again.
    Acknowledged,
    /// It repeats the request within this attempt, after this time.
    Repost(Duration),
    /// It makes the next attempt after this time.
    Retry(Duration),
    /// It sends a GET without a body to the new URL. If that succeeds, the message is lost.
    FollowWithoutBody,
    /// It repeats the whole POST at the new URL, whose response decides.
    FollowWhole,
    /// It never sends the message again.
    GiveUp,
}

/// A decision and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderDecision {
    /// The sender's next step.
    pub next: NextAction,
    /// The reason, for people.
    pub sentence: String,
}

/// Decides for `sender` after this outcome.
pub fn decide(
    sender: Sender,
    outcome: ExchangeOutcome,
    attempt: DeliveryAttempt,
) -> SenderDecision {
    let (next, sentence) = match sender {
        Sender::Hmrc => hmrc(outcome, attempt),
        Sender::GovukPay => govuk_pay(outcome, attempt),
    };
    SenderDecision { next, sentence }
}

/// The default of HMRC's retry interval. Its configuration is not public.
const HMRC_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The attempt made when a notification is 6 hours old.
const HMRC_LAST: u32 = 6 * 60 / 5 + 1;
/// How often HMRC's client sends one request if connections close in an orderly way before the
/// response is complete. A reset, or an end within the headers, is not repeated.
const HMRC_COPIES: u32 = 6;

fn hmrc(outcome: ExchangeOutcome, attempt: DeliveryAttempt) -> (NextAction, String) {
    match outcome {
        ExchangeOutcome::Answered { status: 200, .. } => (
            NextAction::Acknowledged,
            "HMRC marks it ACKNOWLEDGED and never sends it again.".to_owned(),
        ),
        ExchangeOutcome::Answered {
            status: status @ (301..=303),
            location: true,
            ..
        } => follow_without_body("HMRC", status, "ACKNOWLEDGED"),
        ExchangeOutcome::Answered {
            status: status @ (307 | 308),
            location: true,
            ..
        } => follow_whole("HMRC", status),
        ExchangeOutcome::Closed if attempt.copy < HMRC_COPIES => {
            replay("The connection closed without an answer", attempt)
        }
        ExchangeOutcome::BodyCutShort if attempt.copy < HMRC_COPIES => {
            replay("The body of the response was cut short", attempt)
        }
        other => hmrc_failure(other, attempt),
    }
}

fn replay(why: &str, attempt: DeliveryAttempt) -> (NextAction, String) {
    (
        NextAction::Repost(Duration::ZERO),
        format!(
            "{why}: HMRC's client immediately sends the same bytes again, copy {} of \
             {HMRC_COPIES}.",
            attempt.copy + 1
        ),
    )
}

fn hmrc_failure(outcome: ExchangeOutcome, attempt: DeliveryAttempt) -> (NextAction, String) {
    let why = failure("HMRC", outcome, "200", "20 seconds");
    if attempt.number >= HMRC_LAST {
        (
            NextAction::GiveUp,
            format!("{why} It is 6 hours old, so HMRC marks it FAILED: it can only be pulled now."),
        )
    } else {
        (
            NextAction::Retry(HMRC_INTERVAL),
            format!(
                "{why} HMRC pushes it again about every 5 minutes until it is 6 hours old, then \
                 marks it FAILED: it can only be pulled then."
            ),
        )
    }
}

/// The wait after each failed attempt. After the last, Pay gives up.
const PAY_SCHEDULE: [(Duration, &str); 5] = [
    (Duration::from_secs(60), "60 seconds"),
    (Duration::from_secs(5 * 60), "5 minutes"),
    (Duration::from_secs(60 * 60), "1 hour"),
    (Duration::from_secs(24 * 60 * 60), "1 day"),
    (Duration::from_secs(2 * 24 * 60 * 60), "2 days"),
];

fn govuk_pay(outcome: ExchangeOutcome, attempt: DeliveryAttempt) -> (NextAction, String) {
    match outcome {
        // The client repeats a request, then decodes the response, then follows a redirect.
        ExchangeOutcome::Answered {
            status: status @ (429 | 503),
            retry_after,
            ..
        } if attempt.copy == 1 => repost(status, retry_after.filter(|wait| !wait.is_zero())),
        ExchangeOutcome::Answered {
            unknown_encoding: true,
            ..
        } => pay_failure(outcome, attempt),
        ExchangeOutcome::Answered {
            status: 200 | 201 | 202 | 204 | 205 | 206,
            ..
        } => (
            NextAction::Acknowledged,
            "Pay marks it SUCCESSFUL and never sends it again.".to_owned(),
        ),
        ExchangeOutcome::Answered {
            status: status @ (301..=303),
            location: true,
            ..
        } => follow_without_body("Pay", status, "SUCCESSFUL"),
        ExchangeOutcome::Answered {
            status: status @ (307 | 308),
            location: true,
            ..
        } => follow_whole("Pay", status),
        other => pay_failure(other, attempt),
    }
}

fn repost(status: u16, retry_after: Option<Duration>) -> (NextAction, String) {
    match retry_after {
        None => (
            NextAction::Repost(Duration::from_secs(1)),
            format!(
                "Pay's client posts it once more after 1 second, because of the {status}; \
                 only then does the attempt count."
            ),
        ),
        Some(wait) => (
            NextAction::Repost(wait),
            format!(
                "Pay's client sleeps {} seconds, because the {status} has a Retry-After, and posts \
                 it once more; one of Pay's threads waits meanwhile. Leave Retry-After out.",
                wait.as_secs()
            ),
        ),
    }
}

fn pay_failure(outcome: ExchangeOutcome, attempt: DeliveryAttempt) -> (NextAction, String) {
    let why = failure(
        "Pay",
        outcome,
        "200, 201, 202, 204, 205 and 206",
        "3 seconds",
    );
    let failures = usize::try_from(attempt.number.saturating_sub(1)).unwrap_or(usize::MAX);
    match PAY_SCHEDULE.get(failures) {
        Some((wait, words)) => (
            NextAction::Retry(*wait),
            format!("{why} The next attempt, of 6 in all, comes after {words}."),
        ),
        None => (
            NextAction::GiveUp,
            format!(
                "{why} That was the last of 6 attempts: Pay marks it FAILED and sends no alert."
            ),
        ),
    }
}

fn follow_without_body(sender: &str, status: u16, mark: &str) -> (NextAction, String) {
    (
        NextAction::FollowWithoutBody,
        format!(
            "{sender} follows the {status} with a GET that has no body; if that succeeds, the \
             message is marked {mark} and lost. Never redirect a callback."
        ),
    )
}

fn follow_whole(sender: &str, status: u16) -> (NextAction, String) {
    (
        NextAction::FollowWhole,
        format!(
            "{sender} repeats the whole POST at the new URL, because of the {status}, and uses the \
             response from there. Never redirect a callback."
        ),
    )
}

fn failure(sender: &str, outcome: ExchangeOutcome, success: &str, limit: &str) -> String {
    match outcome {
        ExchangeOutcome::Answered {
            status,
            unknown_encoding: true,
            ..
        } => format!(
            "{sender}'s client cannot decode the body of this {status}, and counts a failure: send \
             no Content-Encoding."
        ),
        ExchangeOutcome::Answered {
            status: status @ 100..200,
            ..
        } => format!(
            "{sender} takes this {status} for the final answer, and counts a failure: send no \
             interim response."
        ),
        ExchangeOutcome::Answered {
            status: status @ 300..400,
            ..
        } => {
            format!("{sender} does not follow this {status}, and counts it as a failure.")
        }
        ExchangeOutcome::Answered { status, .. } => {
            format!("{sender} counts {status} as a failure: only {success} count as success.")
        }
        ExchangeOutcome::Unreachable => {
            format!("{sender} could not connect, and counts a failure.")
        }
        ExchangeOutcome::Closed => {
            format!("The connection closed without an answer, and {sender} counts a failure.")
        }
        ExchangeOutcome::Reset => {
            format!("The connection was reset, and {sender} counts a failure.")
        }
        ExchangeOutcome::BodyCutShort => {
            format!("The body of the response was cut short, and {sender} counts a failure.")
        }
        ExchangeOutcome::TooManyRedirects => {
            format!("{sender} follows no more redirects, and counts a failure.")
        }
        ExchangeOutcome::TimedOut => {
            format!("{sender} waits no longer than {limit}, and counts a failure.")
        }
        ExchangeOutcome::Garbled => {
            format!("{sender} could not read the response, and counts a failure.")
        }
    }
}

#[cfg(test)]
mod tests;
