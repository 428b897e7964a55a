//! Grades responses by their meaning to the sender. No I/O.

use super::{
    super::Sender,
    report::Grade,
    run::ProbeAssessment,
    timed_response::{TimedResponse, summary},
};

/// Whether the sender marks the notification delivered.
pub(super) fn is_delivered(sender: Sender, status: u16) -> bool {
    match sender {
        Sender::Hmrc => status == 200,
        Sender::GovukPay => matches!(status, 200 | 201 | 202 | 204..=206),
    }
}

/// Grades the response to a single genuine notification: 200 passes, another status that Pay
/// accepts is a warning, and anything else fails.
pub(super) fn exactly_200(sender: Sender, status: Option<u16>) -> Grade {
    match status {
        Some(200) => Grade::Passed,
        Some(status) if is_delivered(sender, status) => Grade::Warning,
        _ => Grade::Failed,
    }
}

/// Grades the responses to genuine notifications, compared with the usual status. A wrong status
/// that never varies has a finding already.
pub(super) fn accepted(
    sender: Sender,
    usual: u16,
    replies: &[(&str, TimedResponse)],
) -> ProbeAssessment {
    let is_accepted = |status| is_delivered(sender, status) || status == usual;
    let grade = |status: Option<u16>| match status {
        Some(status) if is_accepted(status) => Grade::Passed,
        _ => Grade::Failed,
    };
    worst(replies, grade)
}

/// The worst grade of several responses, with a summary.
pub(super) fn worst(
    replies: &[(&str, TimedResponse)],
    grade: impl Fn(Option<u16>) -> Grade,
) -> ProbeAssessment {
    let grades = replies.iter().map(|(_, reply)| grade(reply.status()));
    ProbeAssessment::new(grades.max().unwrap_or(Grade::Passed), summary(replies))
}

/// Who can send a forgery that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForgeryExposure {
    /// Anyone, without the secret.
    Anyone,
    /// Only a client with a correct signature, in a format that no sender uses.
    SecretHolders,
}

/// Grades the response to a request that must be refused with 4xx. A 5xx refuses it too, but looks
/// like a fault of the receiver.
pub(super) fn refused(exposure: ForgeryExposure, status: Option<u16>) -> Grade {
    match (status, exposure) {
        (Some(400..500), _) => Grade::Passed,
        (Some(500..), _) | (Some(200..300), ForgeryExposure::SecretHolders) => Grade::Warning,
        _ => Grade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{ExchangeError, ReceiverResponse},
        *,
    };

    fn reply(status: u16) -> TimedResponse {
        TimedResponse::of(Ok(ReceiverResponse::new(status, &[], "")))
    }

    #[test]
    fn only_200_passes_and_pay_accepts_five_other_statuses() {
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
    fn later_notifications_pass_with_a_success_or_the_usual_status() {
        for (sender, usual, statuses, expected) in [
            (Sender::Hmrc, 200, [200, 200], Grade::Passed),
            (Sender::Hmrc, 200, [200, 204], Grade::Failed),
            (Sender::Hmrc, 204, [204, 204], Grade::Passed),
            (Sender::GovukPay, 200, [201, 200], Grade::Passed),
            (Sender::GovukPay, 203, [203, 200], Grade::Passed),
            (Sender::GovukPay, 200, [200, 413], Grade::Failed),
        ] {
            let [first, second] = statuses.map(reply);
            let replies = [("1 KB", first), ("2 MB", second)];
            assert_eq!(
                accepted(sender, usual, &replies).grade,
                expected,
                "{statuses:?}"
            );
        }
        let silence = [("it", TimedResponse::of(Err(ExchangeError::Closed)))];
        assert_eq!(accepted(Sender::Hmrc, 200, &silence).grade, Grade::Failed);
    }

    #[test]
    fn a_forgery_must_be_refused_with_4xx() {
        for (status, anyone, known) in [
            (Some(400), Grade::Passed, Grade::Passed),
            (Some(404), Grade::Passed, Grade::Passed),
            (Some(200), Grade::Failed, Grade::Warning),
            (Some(204), Grade::Failed, Grade::Warning),
            (Some(302), Grade::Failed, Grade::Failed),
            (Some(500), Grade::Warning, Grade::Warning),
            (Some(503), Grade::Warning, Grade::Warning),
            (None, Grade::Failed, Grade::Failed),
        ] {
            let grades = [ForgeryExposure::Anyone, ForgeryExposure::SecretHolders]
                .map(|exposure| refused(exposure, status));
            assert_eq!(grades, [anyone, known], "{status:?}");
        }
    }

    #[test]
    fn a_summary_combines_equal_responses() {
        let replies = [
            ("one", reply(401)),
            ("two", reply(401)),
            ("three", reply(500)),
        ];
        assert_eq!(summary(&replies[..1]), "401");
        assert_eq!(summary(&replies[..2]), "401 to both");
        assert_eq!(summary(&replies), "one: 401; two: 401; three: 500");
    }
}
