use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn moved(status: u16) -> ExchangeOutcome {
    ExchangeOutcome::Answered {
        status,
        location: true,
        retry_after: None,
        unknown_encoding: false,
    }
}

fn undecodable(status: u16) -> ExchangeOutcome {
    ExchangeOutcome::Answered {
        status,
        location: true,
        retry_after: None,
        unknown_encoding: true,
    }
}

fn unavailable(retry_after: Option<Duration>) -> ExchangeOutcome {
    ExchangeOutcome::Answered {
        status: 503,
        location: false,
        retry_after,
        unknown_encoding: false,
    }
}

fn next(sender: Sender, outcome: ExchangeOutcome, number: u32, copy: u32) -> NextAction {
    let decision = decide(sender, outcome, DeliveryAttempt { number, copy });
    assert!(decision.sentence.ends_with('.'), "{}", decision.sentence);
    decision.next
}

#[test]
fn hmrc_accepts_only_200() {
    let again = NextAction::Retry(5 * MINUTE);
    for (outcome, expected) in [
        (ExchangeOutcome::status(200), NextAction::Acknowledged),
        (ExchangeOutcome::status(201), again),
        (ExchangeOutcome::status(202), again),
        (ExchangeOutcome::status(204), again),
        (ExchangeOutcome::status(400), again),
        (ExchangeOutcome::status(401), again),
        (ExchangeOutcome::status(409), again),
        (ExchangeOutcome::status(410), again),
        (unavailable(None), again),
        (unavailable(Some(MINUTE)), again),
        (ExchangeOutcome::status(301), again),
        (ExchangeOutcome::status(304), again),
        (moved(301), NextAction::FollowWithoutBody),
        (moved(302), NextAction::FollowWithoutBody),
        (moved(303), NextAction::FollowWithoutBody),
        (moved(307), NextAction::FollowWhole),
        (moved(308), NextAction::FollowWhole),
        (ExchangeOutcome::Unreachable, again),
        (ExchangeOutcome::TimedOut, again),
        (ExchangeOutcome::Garbled, again),
        (ExchangeOutcome::status(103), again),
        (ExchangeOutcome::Reset, again),
        (ExchangeOutcome::TooManyRedirects, again),
        (ExchangeOutcome::Closed, NextAction::Repost(Duration::ZERO)),
        (
            ExchangeOutcome::BodyCutShort,
            NextAction::Repost(Duration::ZERO),
        ),
    ] {
        assert_eq!(next(Sender::Hmrc, outcome, 1, 1), expected, "{outcome:?}");
    }
}

#[test]
fn hmrc_sends_six_copies_over_closing_connections_then_waits() {
    for copy in 1..=5 {
        assert_eq!(
            next(Sender::Hmrc, ExchangeOutcome::Closed, 1, copy),
            NextAction::Repost(Duration::ZERO)
        );
    }
    assert_eq!(
        next(Sender::Hmrc, ExchangeOutcome::Closed, 1, 6),
        NextAction::Retry(5 * MINUTE)
    );
    assert_eq!(
        next(Sender::Hmrc, ExchangeOutcome::Closed, 73, 6),
        NextAction::GiveUp
    );
}

#[test]
fn hmrc_pushes_for_six_hours() {
    let mut spent = Duration::ZERO;
    let mut attempt = DeliveryAttempt::FIRST;
    loop {
        let next = next(
            Sender::Hmrc,
            ExchangeOutcome::status(500),
            attempt.number,
            attempt.copy,
        );
        if let NextAction::Retry(wait) = next {
            spent += wait;
        }
        match attempt.following(next) {
            Some(later) => attempt = later,
            None => break assert_eq!(next, NextAction::GiveUp),
        }
    }
    assert_eq!((spent, attempt.number), (360 * MINUTE, 73));
}

#[test]
fn pay_accepts_six_statuses() {
    let again = NextAction::Retry(MINUTE);
    for (outcome, expected) in [
        (ExchangeOutcome::status(200), NextAction::Acknowledged),
        (ExchangeOutcome::status(201), NextAction::Acknowledged),
        (ExchangeOutcome::status(202), NextAction::Acknowledged),
        (ExchangeOutcome::status(203), again),
        (ExchangeOutcome::status(204), NextAction::Acknowledged),
        (ExchangeOutcome::status(205), NextAction::Acknowledged),
        (ExchangeOutcome::status(206), NextAction::Acknowledged),
        (ExchangeOutcome::status(207), again),
        (ExchangeOutcome::status(208), again),
        (ExchangeOutcome::status(226), again),
        (ExchangeOutcome::status(299), again),
        (ExchangeOutcome::status(302), again),
        (ExchangeOutcome::status(404), again),
        (ExchangeOutcome::status(422), again),
        (ExchangeOutcome::status(500), again),
        (moved(301), NextAction::FollowWithoutBody),
        (moved(302), NextAction::FollowWithoutBody),
        (moved(303), NextAction::FollowWithoutBody),
        (moved(307), NextAction::FollowWhole),
        (moved(308), NextAction::FollowWhole),
        (ExchangeOutcome::Unreachable, again),
        (ExchangeOutcome::Closed, again),
        (ExchangeOutcome::Reset, again),
        (ExchangeOutcome::BodyCutShort, again),
        (ExchangeOutcome::TooManyRedirects, again),
        (ExchangeOutcome::TimedOut, again),
        (ExchangeOutcome::Garbled, again),
        (undecodable(200), again),
        (undecodable(302), again),
        (undecodable(503), NextAction::Repost(Duration::from_secs(1))),
    ] {
        assert_eq!(
            next(Sender::GovukPay, outcome, 1, 1),
            expected,
            "{outcome:?}"
        );
    }
}

#[test]
fn pay_posts_once_more_after_429_or_503() {
    for (outcome, wait) in [
        (ExchangeOutcome::status(429), Duration::from_secs(1)),
        (unavailable(None), Duration::from_secs(1)),
        (unavailable(Some(Duration::ZERO)), Duration::from_secs(1)),
        (unavailable(Some(8 * MINUTE)), 8 * MINUTE),
    ] {
        assert_eq!(
            next(Sender::GovukPay, outcome, 2, 1),
            NextAction::Repost(wait)
        );
        assert_eq!(
            next(Sender::GovukPay, outcome, 2, 2),
            NextAction::Retry(5 * MINUTE)
        );
    }
}

#[test]
fn pay_gives_up_after_its_sixth_attempt() {
    let waits = [1, 5, 60, 24 * 60, 2 * 24 * 60].map(|minutes| NextAction::Retry(minutes * MINUTE));
    for (number, expected) in (1..)
        .zip(waits)
        .chain([(6, NextAction::GiveUp), (7, NextAction::GiveUp)])
    {
        assert_eq!(
            next(Sender::GovukPay, ExchangeOutcome::status(500), number, 1),
            expected
        );
    }
    assert_eq!(
        next(Sender::GovukPay, ExchangeOutcome::status(503), 6, 1),
        NextAction::Repost(Duration::from_secs(1))
    );
}
