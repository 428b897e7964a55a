//! What an answer is worth to the sender it was given to. Pure.

use super::{
    super::Sender,
    reply::{Reply, summary},
    report::Grade,
    run::Judgement,
};

/// Whether the sender marks the notification delivered.
pub(super) fn is_delivered(sender: Sender, status: u16) -> bool {
    match sender {
        Sender::Hmrc => status == 200,
        Sender::GovukPay => matches!(status, 200 | 201 | 202 | 204..=206),
    }
}

/// Judges the answer to a true notification by itself: 200 is right; what only Pay takes for it is
/// worth a look; anything else is a failure.
pub(super) fn exactly_200(sender: Sender, status: Option<u16>) -> Grade {
    match status {
        Some(200) => Grade::Passed,
        Some(status) if is_delivered(sender, status) => Grade::Warning,
        _ => Grade::Failed,
    }
}

/// Judges the answers to true notifications beside those that came before: a status that is always
/// the same has a finding of its own already.
pub(super) fn taken<'a>(
    sender: Sender,
    usual: u16,
    replies: impl IntoIterator<Item = (&'a str, &'a Reply)> + Clone,
) -> Judgement {
    let is_taken = |status| is_delivered(sender, status) || status == usual;
    let all = replies
        .clone()
        .into_iter()
        .all(|(_, reply)| reply.status().is_some_and(is_taken));
    Judgement::new(
        if all { Grade::Passed } else { Grade::Failed },
        summary(replies),
    )
}

/// What it means that a forgery is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Somebody without the secret gets in.
    ToAnybody,
    /// Only somebody who has a right signature does, in a spelling that no sender uses.
    ToKnown,
}

/// Judges the answers to requests that must be refused: by 4xx. A 5xx keeps the forgery out as well,
/// but looks like a failure of one's own, and often is one.
pub(super) fn refused(open: Open, status: Option<u16>) -> Grade {
    match (status, open) {
        (Some(400..500), _) => Grade::Passed,
        (Some(500..), _) | (Some(200..300), Open::ToKnown) => Grade::Warning,
        _ => Grade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::super::{Answer, ExchangeError},
        *,
    };

    fn reply(status: u16) -> Reply {
        let answer = Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            truncated: false,
        };
        Reply {
            answer: Ok(answer),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_200_will_do_and_pay_takes_five_others_for_it() {
        let (passed, warning, failed) = (Grade::Passed, Grade::Warning, Grade::Failed);
        for (status, hmrc, pay) in [
            (Some(200), passed, passed),
            (Some(201), failed, warning),
            (Some(202), failed, warning),
            (Some(203), failed, failed),
            (Some(204), failed, warning),
            (Some(205), failed, warning),
            (Some(206), failed, warning),
            (Some(207), failed, failed),
            (Some(226), failed, failed),
            (Some(302), failed, failed),
            (Some(409), failed, failed),
            (Some(500), failed, failed),
            (None, failed, failed),
        ] {
            assert_eq!(exactly_200(Sender::Hmrc, status), hmrc, "{status:?}");
            assert_eq!(exactly_200(Sender::GovukPay, status), pay, "{status:?}");
        }
    }

    #[test]
    fn what_follows_is_taken_if_the_sender_says_so_or_it_is_answered_as_ever() {
        for (sender, usual, statuses, expected) in [
            (Sender::Hmrc, 200, [200, 200], Grade::Passed),
            (Sender::Hmrc, 200, [200, 204], Grade::Failed),
            (Sender::Hmrc, 204, [204, 204], Grade::Passed),
            (Sender::GovukPay, 200, [201, 200], Grade::Passed),
            (Sender::GovukPay, 203, [203, 200], Grade::Passed),
            (Sender::GovukPay, 200, [200, 413], Grade::Failed),
        ] {
            let replies = statuses.map(reply);
            let named = ["1 KB", "2 MB"].into_iter().zip(&replies);
            assert_eq!(taken(sender, usual, named).grade, expected, "{statuses:?}");
        }
        let silence = Reply {
            answer: Err(ExchangeError::Closed),
            took: Duration::ZERO,
        };
        assert_eq!(
            taken(Sender::Hmrc, 200, [("it", &silence)]).grade,
            Grade::Failed
        );
    }

    #[test]
    fn a_forgery_is_refused_by_4xx() {
        for (status, anybody, known) in [
            (Some(400), Grade::Passed, Grade::Passed),
            (Some(404), Grade::Passed, Grade::Passed),
            (Some(200), Grade::Failed, Grade::Warning),
            (Some(204), Grade::Failed, Grade::Warning),
            (Some(302), Grade::Failed, Grade::Failed),
            (Some(500), Grade::Warning, Grade::Warning),
            (Some(503), Grade::Warning, Grade::Warning),
            (None, Grade::Failed, Grade::Failed),
        ] {
            assert_eq!(refused(Open::ToAnybody, status), anybody, "{status:?}");
            assert_eq!(refused(Open::ToKnown, status), known, "{status:?}");
        }
    }

    #[test]
    fn a_summary_says_once_what_is_the_same() {
        let replies = [401, 401, 500].map(reply);
        let named = |count| {
            ["one", "two", "three"]
                .into_iter()
                .zip(&replies)
                .take(count)
        };
        assert_eq!(summary(named(1)), "401");
        assert_eq!(summary(named(2)), "401 to both");
        assert_eq!(summary(named(3)), "one: 401; two: 401; three: 500");
    }
}
