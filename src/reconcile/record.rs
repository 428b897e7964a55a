//! The result of a run -> its [`ReconcileRecord`]. Pure.

use std::time::Duration;

use super::{ReconcileStats, RunEnd, RunFindings, RunOutcome};
use crate::{
    config::{SourceConfig, UnusableSecretError},
    domain::Timestamp,
    telemetry::ReconcileRecord,
};

/// How the run of one source ended.
pub(super) enum RunResult {
    /// The run returned an outcome.
    Ran(RunOutcome),
    /// The run did not begin, because its credentials cannot be used.
    NoCredentials(Vec<UnusableSecretError>),
    /// The platform's time was up in the middle of the run.
    CutOff,
}

/// The record of a run of `source`.
pub(super) fn record(
    source: &SourceConfig,
    result: &RunResult,
    newly_missing: usize,
    last_received: Option<Timestamp>,
    now: Timestamp,
) -> ReconcileRecord {
    let (stats, reason) = match result {
        RunResult::Ran(outcome) => (outcome.stats(), failure_of_all(&outcome.ended)),
        RunResult::NoCredentials(unusable) => (ReconcileStats::default(), Some(join(unusable))),
        RunResult::CutOff => (ReconcileStats::default(), None),
    };
    let is_failure = reason.is_some() || matches!(result, RunResult::CutOff);
    ReconcileRecord {
        request_id: None,
        source: source.name.to_string(),
        ended: word(result),
        reason,
        seen: stats.seen,
        recorded: stats.recorded,
        missed_by_push: if source.webhook { stats.recorded } else { 0 },
        duplicates: stats.duplicates,
        held: stats.held,
        acknowledged: stats.acknowledged,
        missing: stats.missing,
        newly_missing: names_missing(source).then_some(newly_missing),
        errors: usize::from(is_failure) + stats.errors,
        oldest_unacknowledged: oldest_unacknowledged(result, now),
        silent: last_received.map(|last_received| now.since(last_received)),
    }
}

/// Whether the events of a source can be missing: its sender's API does not say which of them were
/// pushed, so each has a time by which it is due.
fn names_missing(source: &SourceConfig) -> bool {
    let pull = source.kind.config.pull.as_ref();
    pull.is_some_and(|pull| pull.after.is_some())
}

/// The failure that stopped the whole run. Boxes that could not be emptied are counted one by one.
fn failure_of_all(end: &RunEnd) -> Option<String> {
    let is_of_all = end.is_failure() && !matches!(end, RunEnd::Incomplete);
    is_of_all.then(|| end.to_string())
}

fn join(unusable: &[UnusableSecretError]) -> String {
    let problems: Vec<String> = unusable.iter().map(|one| one.problem.to_string()).collect();
    problems.join("; ")
}

fn word(result: &RunResult) -> &'static str {
    let outcome = match result {
        RunResult::Ran(outcome) => outcome,
        RunResult::NoCredentials(_) => return "no_credentials",
        RunResult::CutOff => return "cut_off",
    };
    match outcome.ended {
        RunEnd::Completed => "completed",
        RunEnd::Incomplete => "incomplete",
        RunEnd::NotDue(_) => "not_due",
        RunEnd::AlreadyRunning(_) => "already_running",
        RunEnd::LockLost => "lock_lost",
        RunEnd::Deadline => "deadline",
        RunEnd::Stopped => "stopped",
        RunEnd::Inbox(_) => "inbox",
        RunEnd::Hmrc(_) | RunEnd::GovukPay(_) => "sender",
    }
}

fn oldest_unacknowledged(result: &RunResult, now: Timestamp) -> Option<Duration> {
    let RunResult::Ran(RunOutcome {
        ended,
        found: RunFindings::Hmrc(boxes),
    }) = result
    else {
        return None;
    };
    let ages = boxes.iter().filter_map(|report| report.oldest_age(now));
    // Only a run that listed every box to its end shows that none are left.
    let is_known = matches!(ended, RunEnd::Completed);
    ages.max().or(is_known.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::{
        RunEnd::{AlreadyRunning, Completed, Deadline, Hmrc, Inbox, Incomplete, LockLost, NotDue},
        *,
    };
    use crate::{
        config::Config,
        inbox::{HeldLock, InboxError},
        reconcile::{
            govuk_pay,
            hmrc::{BoxReport, HmrcError},
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
        let last_push = Some(NOW.minus(Duration::from_secs(60)));
        record(
            &config.sources[0],
            &RunResult::Ran(RunOutcome { ended, found }),
            0,
            last_push,
            NOW,
        )
    }

    fn boxed(oldest: Option<u64>, error: Option<HmrcError>) -> BoxReport {
        BoxReport {
            oldest: oldest.map(|age| NOW.minus(Duration::from_secs(age))),
            error,
            ..BoxReport::new("b")
        }
    }

    #[test]
    fn the_age_of_the_oldest_is_recorded_only_if_it_is_known() {
        let unknown = || Some(HmrcError::UnknownBox);
        for (ended, boxes, expected) in [
            (Completed, vec![boxed(None, None)], Some(0)),
            (
                Completed,
                vec![
                    boxed(None, None),
                    boxed(Some(5), None),
                    boxed(Some(3), None),
                ],
                Some(5),
            ),
            (
                Incomplete,
                vec![boxed(None, None), boxed(None, unknown())],
                None,
            ),
            (
                Incomplete,
                vec![boxed(Some(5), None), boxed(None, unknown())],
                Some(5),
            ),
            (Deadline, vec![boxed(None, None)], None),
            (Deadline, vec![boxed(Some(5), None)], Some(5)),
            (AlreadyRunning(HeldLock::default()), vec![], None),
        ] {
            let case = format!("{ended} {boxes:?}");
            assert_eq!(
                row(ended, RunFindings::Hmrc(boxes)).oldest_unacknowledged,
                expected.map(Duration::from_secs),
                "{case}"
            );
        }
    }

    #[test]
    fn failures_of_the_run_and_of_its_parts_are_counted() {
        let credentials = HmrcError::Credentials;
        let unavailable = || InboxError::Unavailable("unavailable".to_owned());
        for (ended, boxes, word, failed, failures) in [
            (Completed, vec![boxed(None, None)], "completed", false, 0),
            (
                Incomplete,
                vec![boxed(None, Some(HmrcError::UnknownBox))],
                "incomplete",
                false,
                1,
            ),
            (
                AlreadyRunning(HeldLock::default()),
                vec![],
                "already_running",
                false,
                0,
            ),
            (NotDue(NOW), vec![], "not_due", false, 0),
            (LockLost, vec![], "lock_lost", false, 0),
            (Deadline, vec![], "deadline", false, 0),
            (
                Inbox(unavailable()),
                vec![boxed(None, Some(HmrcError::Maintenance))],
                "inbox",
                true,
                2,
            ),
            (
                Hmrc(credentials),
                vec![boxed(None, None)],
                "sender",
                true,
                1,
            ),
        ] {
            let row = row(ended, RunFindings::Hmrc(boxes));
            assert_eq!(
                (row.ended, row.reason.is_some(), row.errors),
                (word, failed, failures)
            );
            assert_eq!(
                (row.newly_missing, row.silent),
                (None, Some(Duration::from_secs(60)))
            );
        }
        let pay = row(
            Completed,
            RunFindings::GovukPay(govuk_pay::PaymentsReport {
                unreadable: 2,
                ..Default::default()
            }),
        );
        assert_eq!(
            (pay.errors, pay.newly_missing, pay.oldest_unacknowledged),
            (2, Some(0), None)
        );
    }
}
