//! What came of one source: a run's outcome -> what is said and counted of it. Pure.

use std::time::Duration;

use crate::{
    config::{SourceConfig, Unusable},
    notification::Timestamp,
    reconcile::{Ended, Found, Numbers, Outcome},
    source::Kind,
};

/// How a source's part in an invocation ended.
pub(super) enum End {
    /// As its run says.
    Ran(Outcome),
    /// Before it began, for want of what it would have to show.
    NoCredentials(Vec<Unusable>),
    /// In the middle, since the function would have been stopped.
    CutOff,
}

/// One source in one invocation.
#[derive(Clone, Debug)]
pub(in crate::entry::lambda) struct Row {
    /// The source.
    pub(in crate::entry::lambda) source: String,
    /// How it ended, in one word.
    pub(in crate::entry::lambda) ended: &'static str,
    /// Why somebody has to do something before any of it can be done.
    pub(in crate::entry::lambda) failed: Option<String>,
    /// What happened.
    pub(in crate::entry::lambda) numbers: Numbers,
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

impl Row {
    /// The row of `source`, which was last `heard` then.
    pub(super) fn new(
        source: &SourceConfig,
        end: &End,
        newly_missing: usize,
        heard: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let (numbers, failed) = match end {
            End::Ran(outcome) => (outcome.numbers(), failed(&outcome.ended)),
            End::NoCredentials(unusable) => (Numbers::default(), Some(all(unusable))),
            End::CutOff => (Numbers::default(), None),
        };
        let whole = usize::from(failed.is_some() || matches!(end, End::CutOff));
        Self {
            source: source.name.to_string(),
            ended: word(end),
            failed,
            numbers,
            failures: whole + numbers.troubles,
            newly_missing: (source.kind == Kind::GovukPay).then_some(newly_missing),
            oldest: oldest(end, now),
            silent: heard.map(|heard| now.since(heard)),
        }
    }
}

/// Why none of it could be done. Boxes that could not be emptied are counted one by one.
fn failed(ended: &Ended) -> Option<String> {
    let is_of_all = ended.is_failure() && !matches!(ended, Ended::Incomplete);
    is_of_all.then(|| ended.to_string())
}

fn all(unusable: &[Unusable]) -> String {
    unusable.iter().map(|one| one.problem.to_string()).collect::<Vec<_>>().join("; ")
}

fn word(end: &End) -> &'static str {
    let outcome = match end {
        End::Ran(outcome) => outcome,
        End::NoCredentials(_) => return "no_credentials",
        End::CutOff => return "cut_off",
    };
    match outcome.ended {
        Ended::Whole => "whole",
        Ended::Incomplete => "incomplete",
        Ended::NotDue(_) => "not_due",
        Ended::Busy => "busy",
        Ended::Overtaken => "overtaken",
        Ended::Deadline => "deadline",
        Ended::Stopped => "stopped",
        Ended::Inbox(_) => "inbox",
        Ended::Hmrc(_) | Ended::GovukPay(_) => "sender",
    }
}

fn oldest(end: &End, now: Timestamp) -> Option<Duration> {
    let End::Ran(Outcome { ended, found: Found::Hmrc(boxes) }) = end else { return None };
    let ages = boxes.iter().filter_map(|report| report.oldest_age(now));
    // There are none left only if every box was looked at to its end.
    let is_known = matches!(ended, Ended::Whole);
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
        source::example::NOW,
    };

    /// The row of a run of HMRC's boxes, or of Pay's payments.
    fn row(ended: Ended, found: Found) -> Row {
        let kind = if matches!(found, Found::Hmrc(_)) { "hmrc" } else { "govuk-pay" };
        let document = format!("[sources.s]\nkind = \"{kind}\"\nsecrets = []\n");
        let config = Config::read(&document, "p").unwrap();
        let heard = Some(NOW.minus(Duration::from_secs(60)));
        Row::new(&config.sources[0], &End::Ran(Outcome { ended, found }), 0, heard, NOW)
    }

    fn boxed(oldest: Option<u64>, trouble: Option<hmrc::Fault>) -> BoxReport {
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
        let unknown = || Some(hmrc::Fault::UnknownBox);
        for (ended, boxes, expected) in [
            (Ended::Whole, vec![boxed(None, None)], Some(0)),
            (Ended::Whole, vec![boxed(None, None), boxed(Some(5), None), boxed(Some(3), None)], Some(5)),
            (Ended::Incomplete, vec![boxed(None, None), boxed(None, unknown())], None),
            (Ended::Incomplete, vec![boxed(Some(5), None), boxed(None, unknown())], Some(5)),
            (Ended::Deadline, vec![boxed(None, None)], None),
            (Ended::Deadline, vec![boxed(Some(5), None)], Some(5)),
            (Ended::Busy, vec![], None),
        ] {
            let said = format!("{ended} {boxes:?}");
            assert_eq!(row(ended, Found::Hmrc(boxes)).oldest, expected.map(Duration::from_secs), "{said}");
        }
    }

    #[test]
    fn what_needs_somebody_is_a_failure_and_every_trouble_is_one_more() {
        let credentials = hmrc::Fault::Credentials;
        let away = || InboxError::Unavailable("away".to_owned());
        for (ended, boxes, word, failed, failures) in [
            (Ended::Whole, vec![boxed(None, None)], "whole", false, 0),
            (Ended::Incomplete, vec![boxed(None, Some(hmrc::Fault::UnknownBox))], "incomplete", false, 1),
            (Ended::Busy, vec![], "busy", false, 0),
            (Ended::NotDue(NOW), vec![], "not_due", false, 0),
            (Ended::Overtaken, vec![], "overtaken", false, 0),
            (Ended::Deadline, vec![], "deadline", false, 0),
            (Ended::Inbox(away()), vec![boxed(None, Some(hmrc::Fault::Maintenance))], "inbox", true, 2),
            (Ended::Hmrc(credentials), vec![boxed(None, None)], "sender", true, 1),
        ] {
            let row = row(ended, Found::Hmrc(boxes));
            assert_eq!((row.ended, row.failed.is_some(), row.failures), (word, failed, failures));
            assert_eq!((row.newly_missing, row.silent), (None, Some(Duration::from_secs(60))));
        }
        let pay = row(Ended::Whole, Found::GovukPay(govuk_pay::Report { unreadable: 2, ..Default::default() }));
        assert_eq!((pay.failures, pay.newly_missing, pay.oldest), (2, Some(0), None));
    }
}
