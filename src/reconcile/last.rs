//! How the last run of a source ended, kept in a entry, so that whoever asks later is told without
//! asking the sender.

use serde::{Deserialize, Serialize};

use super::{RunEnd, RunOutcome};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{InboxError, KvEntry, KvKey, ReconcileInbox},
};

/// The last run that looked at anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended, in milliseconds since 1970.
    at: i64,
    /// Why it ended, in words.
    pub ended: String,
    /// Whether something went wrong in it, so that somebody has to look.
    pub failed: bool,
    /// What it recorded that push had missed.
    pub recorded: usize,
    /// Events of payments that never came.
    pub missing: usize,
    /// What it could not empty or read.
    #[serde(rename = "troubles")]
    pub errors: usize,
    /// When the oldest notification was created that it left unacknowledged, in milliseconds since
    /// 1970.
    oldest: Option<i64>,
}

impl LastRun {
    /// What is kept of an outcome.
    pub fn new(outcome: &RunOutcome, at: Timestamp) -> Self {
        let stats = outcome.stats();
        Self {
            at: at.as_millis(),
            ended: outcome.ended.to_string(),
            failed: outcome.ended.is_failure(),
            recorded: stats.recorded,
            missing: stats.missing,
            errors: stats.errors,
            oldest: stats.oldest.map(Timestamp::as_millis),
        }
    }

    /// When it ended.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }

    /// When the oldest notification was created that it left unacknowledged.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.oldest.map(Timestamp::from_millis)
    }
}

/// How the last run of `source` ended; `None` if there was none that this program can read.
pub async fn last_run(
    inbox: &impl ReconcileInbox,
    source: &SourceName,
) -> Result<Option<LastRun>, InboxError> {
    let entry = inbox.kv_get(&name(source)).await?;
    Ok(entry.and_then(|entry| serde_json::from_str(&entry.text).ok()))
}

/// Keeps how a run ended, if it looked at anything. Of two that end at once, either may stand.
pub(super) async fn keep(
    inbox: &impl ReconcileInbox,
    clock: &dyn Clock,
    source: &SourceName,
    outcome: &RunOutcome,
) -> Result<(), InboxError> {
    if matches!(outcome.ended, RunEnd::NotDue(_)) {
        return Ok(());
    }
    let text = serde_json::to_string(&LastRun::new(outcome, clock.now()))
        .expect("stats and texts have a form in JSON");
    let seen = inbox
        .kv_get(&name(source))
        .await?
        .map(|entry| entry.version);
    inbox
        .compare_and_swap(
            &name(source),
            seen,
            &KvEntry {
                version: clock.random(),
                text,
            },
        )
        .await?;
    Ok(())
}

fn name(source: &SourceName) -> KvKey {
    KvKey::new("last", source.as_str())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{RunFindings, govuk_pay, hmrc, test_support::ReconcileRig},
        *,
    };

    #[tokio::test]
    async fn the_last_run_is_kept_and_the_one_before_is_forgotten() {
        let (rig, source) = (ReconcileRig::new(), SourceName::new("hmrc").unwrap());
        assert_eq!(last_run(&rig.inbox, &source).await.unwrap(), None);
        for ended in [RunEnd::Deadline, RunEnd::Hmrc(hmrc::HmrcError::Credentials)] {
            let outcome = RunOutcome {
                ended,
                found: RunFindings::Hmrc(Vec::new()),
            };
            keep(&rig.inbox, &rig.clock, &source, &outcome)
                .await
                .unwrap();
            let last = last_run(&rig.inbox, &source).await.unwrap().unwrap();
            assert_eq!(last, LastRun::new(&outcome, rig.clock.now()));
            assert_eq!(last.failed, matches!(outcome.ended, RunEnd::Hmrc(_)));
        }
    }

    #[tokio::test]
    async fn a_run_that_was_not_due_has_looked_at_nothing_and_leaves_the_last_one_to_be_read() {
        let (rig, source) = (ReconcileRig::new(), SourceName::new("pay").unwrap());
        let outcome = |ended| RunOutcome {
            ended,
            found: RunFindings::GovukPay(govuk_pay::PaymentsReport::default()),
        };
        keep(&rig.inbox, &rig.clock, &source, &outcome(RunEnd::Completed))
            .await
            .unwrap();
        keep(
            &rig.inbox,
            &rig.clock,
            &source,
            &outcome(RunEnd::NotDue(rig.clock.now())),
        )
        .await
        .unwrap();
        assert_eq!(
            last_run(&rig.inbox, &source).await.unwrap().unwrap().ended,
            RunEnd::Completed.to_string()
        );
    }
}
