//! What came of one source: a run's outcome -> what is said and counted of it. Pure.

use std::time::Duration;

use crate::{
    config::{SourceConfig, UnusableSecretError},
    domain::Timestamp,
    reconcile::{ReconcileStats, RunEnd, RunFindings, RunOutcome},
    senders::SenderKind,
};

/// How a source's part in an invocation ended.
pub(super) enum RunResult {
    /// As its run says.
    Ran(RunOutcome),
    /// Before it began, for want of what it would have to show.
    NoCredentials(Vec<UnusableSecretError>),
    /// In the middle, since the function would have been stopped.
    CutOff,
}

/// One source in one invocation.
#[derive(Clone, Debug)]
pub(in crate::lambda) struct ReconcileRecord {
    /// The source.
    pub(in crate::lambda) source: String,
    /// How it ended, in one word.
    pub(in crate::lambda) ended: &'static str,
    /// Why somebody has to do something before any of it can be done.
    pub(in crate::lambda) failed: Option<String>,
    /// What happened.
    pub(in crate::lambda) numbers: ReconcileStats,
    /// How much went wrong.
    pub(super) failures: usize,
    /// How many events of payments were found missing now; `None` for a sender that isn't asked about those.
    pub(super) newly_missing: Option<usize>,
    /// How old the oldest notification is that HMRC holds and we have not acknowledged, zero for none; `None` if that
    /// is not known.
    pub(super) oldest: Option<Duration>,
    /// How long nothing was pushed; `None` if nothing ever was.
    pub(super) silent: Option<Duration>,
}

impl ReconcileRecord {
    /// The row of `source`, which was last `heard` then.
    pub(super) fn new(
        source: &SourceConfig,
        end: &RunResult,
        newly_missing: usize,
        heard: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let (numbers, failed) = match end {
            RunResult::Ran(outcome) => (outcome.numbers(), failed(&outcome.ended)),
            RunResult::NoCredentials(unusable) => (ReconcileStats::default(), Some(all(unusable))),
            RunResult::CutOff => (ReconcileStats::default(), None),
        };
        let whole = usize::from(failed.is_some() || matches!(end, RunResult::CutOff));
        Self {
            source: source.name.to_string(),
            ended: word(end),
            failed,
            numbers,
            failures: whole + numbers.troubles,
            newly_missing: (source.kind == SenderKind::GovukPay).then_some(newly_missing),
            oldest: oldest(end, now),
            silent: heard.map(|heard| now.since(heard)),
        }
    }
}

/// Why none of it could be done. Boxes that could not be emptied are counted one by one.
fn failed(ended: &RunEnd) -> Option<String> {
    let is_of_all = ended.is_failure() && !matches!(ended, RunEnd::Incomplete);
    is_of_all.then(|| ended.to_string())
}

fn all(unusable: &[UnusableSecretError]) -> String {
    unusable
        .iter()
        .map(|one| one.problem.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}

fn word(end: &RunResult) -> &'static str {
    let outcome = match end {
        RunResult::Ran(outcome) => outcome,
        RunResult::NoCredentials(_) => return "no_credentials",
        RunResult::CutOff => return "cut_off",
    };
    match outcome.ended {
        RunEnd::Whole => "whole",
        RunEnd::Incomplete => "incomplete",
        RunEnd::NotDue(_) => "not_due",
        RunEnd::Busy => "busy",
        RunEnd::Overtaken => "overtaken",
        RunEnd::Deadline => "deadline",
        RunEnd::Stopped => "stopped",
        RunEnd::Inbox(_) => "inbox",
        RunEnd::Hmrc(_) | RunEnd::GovukPay(_) => "sender",
    }
}

fn oldest(end: &RunResult, now: Timestamp) -> Option<Duration> {
    let RunResult::Ran(RunOutcome {
        ended,
        found: RunFindings::Hmrc(boxes),
    }) = end
    else {
        return None;
    };
    let ages = boxes.iter().filter_map(|report| report.oldest_age(now));
    // There are none left only if every box was looked at to its end.
    let is_known = matches!(ended, RunEnd::Whole);
    ages.max().or(is_known.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        inbox::InboxError,
        reconcile::{
            govuk_pay,
            hmrc::{self, BoxReport},
        },
        senders::example::NOW,
    };

    /// The row of a run of HMRC's boxes, or of Pay's payments.
    fn row(ended: RunEnd, found: RunFindings) -> ReconcileRecord {
        let kind = if matches!(found, RunFindings::Hmrc(_)) {
            "hmrc"
        } else {
            "govuk-pay"
        };
        let document = format!("[sources.s]\nkind = \"{kind}\"\nsecrets = []\n");
        let config = Config::read(&document, "p").unwrap();
        let heard = Some(NOW.minus(Duration::from_secs(60)));
        ReconcileRecord::new(
            &config.sources[0],
            &RunResult::Ran(RunOutcome { ended, found }),
            0,
            heard,
            NOW,
        )
    }

    fn boxed(oldest: Option<u64>, trouble: Option<hmrc::HmrcError>) -> BoxReport {
        BoxReport {
            box_id: "b".to_owned(),
            listed: 0,
            missed: 0,
            duplicates: 0,
            held: 0,
            acknowledged: 0,
            stuck: 0,
            oldest: oldest.map(|age| NOW.minus(Duration::from_secs(age))),
            refused: None,
            trouble,
            place: None,
        }
    }

    #[test]
    fn how_old_the_oldest_is_stands_only_where_it_is_known() {
        let unknown = || Some(hmrc::HmrcError::UnknownBox);
        for (ended, boxes, expected) in [
            (RunEnd::Whole, vec![boxed(None, None)], Some(0)),
            (
                RunEnd::Whole,
                vec![
                    boxed(None, None),
                    boxed(Some(5), None),
                    boxed(Some(3), None),
                ],
                Some(5),
            ),
            (
                RunEnd::Incomplete,
                vec![boxed(None, None), boxed(None, unknown())],
                None,
            ),
            (
                RunEnd::Incomplete,
                vec![boxed(Some(5), None), boxed(None, unknown())],
                Some(5),
            ),
            (RunEnd::Deadline, vec![boxed(None, None)], None),
            (RunEnd::Deadline, vec![boxed(Some(5), None)], Some(5)),
            (RunEnd::Busy, vec![], None),
        ] {
            let said = format!("{ended} {boxes:?}");
            assert_eq!(
                row(ended, RunFindings::Hmrc(boxes)).oldest,
                expected.map(Duration::from_secs),
                "{said}"
            );
        }
    }

    #[test]
    fn what_needs_somebody_is_a_failure_and_every_trouble_is_one_more() {
        let credentials = hmrc::HmrcError::Credentials;
        let away = || InboxError::Unavailable("away".to_owned());
        for (ended, boxes, word, failed, failures) in [
            (RunEnd::Whole, vec![boxed(None, None)], "whole", false, 0),
            (
                RunEnd::Incomplete,
                vec![boxed(None, Some(hmrc::HmrcError::UnknownBox))],
                "incomplete",
                false,
                1,
            ),
            (RunEnd::Busy, vec![], "busy", false, 0),
            (RunEnd::NotDue(NOW), vec![], "not_due", false, 0),
            (RunEnd::Overtaken, vec![], "overtaken", false, 0),
            (RunEnd::Deadline, vec![], "deadline", false, 0),
            (
                RunEnd::Inbox(away()),
                vec![boxed(None, Some(hmrc::HmrcError::Maintenance))],
                "inbox",
                true,
                2,
            ),
            (
                RunEnd::Hmrc(credentials),
                vec![boxed(None, None)],
                "sender",
                true,
                1,
            ),
        ] {
            let row = row(ended, RunFindings::Hmrc(boxes));
            assert_eq!(
                (row.ended, row.failed.is_some(), row.failures),
                (word, failed, failures)
            );
            assert_eq!(
                (row.newly_missing, row.silent),
                (None, Some(Duration::from_secs(60)))
            );
        }
        let pay = row(
            RunEnd::Whole,
            RunFindings::GovukPay(govuk_pay::PaymentsReport {
                unreadable: 2,
                ..Default::default()
            }),
        );
        assert_eq!(
            (pay.failures, pay.newly_missing, pay.oldest),
            (2, Some(0), None)
        );
    }
}
