//! The result of the last run of a source, stored in the key-value store, so that it can be shown
//! without a call to the sender.

use serde::{Deserialize, Serialize};

use super::{RunEnd, RunOutcome};
use crate::{
    domain::{Clock, SourceName, Timestamp},
    inbox::{InboxError, KvEntry, KvKey, ReconcileInbox},
};

/// The last run that was not skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When the run ended, in milliseconds since 1970.
    at: i64,
    /// Why the run ended.
    pub ended: String,
    /// Whether the run failed.
    pub failed: bool,
    /// The notifications that the run recorded because push had missed them.
    pub recorded: usize,
    /// Events of payments that were not received.
    pub missing: usize,
    /// Boxes that could not be emptied, and payments that could not be read.
    #[serde(rename = "troubles")]
    pub errors: usize,
    /// When the oldest notification that the run left unacknowledged was created, in milliseconds
    /// since 1970.
    oldest: Option<i64>,
}

impl LastRun {
    /// The summary of an outcome.
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

    /// When the oldest notification that the run left unacknowledged was created.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.oldest.map(Timestamp::from_millis)
    }
}

/// Reads the last run of `source`; `None` if there is none, or an unreadable one.
pub async fn last_run(
    inbox: &impl ReconcileInbox,
    source: &SourceName,
) -> Result<Option<LastRun>, InboxError> {
    let entry = inbox.kv_get(&name(source)).await?;
    Ok(entry.and_then(|entry| serde_json::from_str(&entry.text).ok()))
}

/// Stores the summary of a run that was not skipped. If two runs end concurrently, either summary
/// may be stored.
pub(super) async fn save(
    inbox: &impl ReconcileInbox,
    clock: &dyn Clock,
    source: &SourceName,
    outcome: &RunOutcome,
) -> Result<(), InboxError> {
    if matches!(outcome.ended, RunEnd::NotDue(_)) {
        return Ok(());
    }
    let text = serde_json::to_string(&LastRun::new(outcome, clock.now()))
        .expect("stats and texts serialise to JSON");
    let expected_version = inbox
        .kv_get(&name(source))
        .await?
        .map(|entry| entry.version);
    inbox
        .compare_and_swap(
            &name(source),
            expected_version,
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
    async fn the_last_run_replaces_the_one_before() {
        let (rig, source) = (ReconcileRig::new(), SourceName::new("hmrc").unwrap());
        assert_eq!(last_run(&rig.inbox, &source).await.unwrap(), None);
        for ended in [RunEnd::Deadline, RunEnd::Hmrc(hmrc::HmrcError::Credentials)] {
            let outcome = RunOutcome {
                ended,
                found: RunFindings::Hmrc(Vec::new()),
            };
            save(&rig.inbox, &rig.clock, &source, &outcome)
                .await
                .unwrap();
            let last = last_run(&rig.inbox, &source).await.unwrap().unwrap();
            assert_eq!(last, LastRun::new(&outcome, rig.clock.now()));
            assert_eq!(last.failed, matches!(outcome.ended, RunEnd::Hmrc(_)));
        }
    }

    #[tokio::test]
    async fn a_run_that_was_not_due_does_not_replace_the_last_one() {
        let (rig, source) = (ReconcileRig::new(), SourceName::new("pay").unwrap());
        let outcome = |ended| RunOutcome {
            ended,
            found: RunFindings::GovukPay(govuk_pay::PaymentsReport::default()),
        };
        save(&rig.inbox, &rig.clock, &source, &outcome(RunEnd::Completed))
            .await
            .unwrap();
        save(
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
