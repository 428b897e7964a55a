//! The counts of lanes, and the violations in their histories.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use tokio::task::JoinSet;

use super::{point::KillCounts, recorder::HistoryRecorder};
use crate::{
    checker::check,
    history::{RecordedEvent, TimedRecord},
};

/// The counts and violations of a lane.
#[derive(Default)]
pub(crate) struct LaneOutcome {
    pub(crate) counts: KillCounts,
    pub(crate) freezes: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) messages: u64,
    pub(crate) posts: u64,
    pub(crate) unanswered: u64,
    pub(crate) copies: u64,
    /// The number of answers after more than 2.5 s.
    pub(crate) slow: u64,
}

impl LaneOutcome {
    /// Checks a complete history.
    pub(crate) fn judge(&mut self, what: &str, recorder: &HistoryRecorder) {
        let (history, problems) = recorder.take_history();
        let (mut answers, mut accepted) = (0, BTreeMap::new());
        for record in &history.records {
            match &record.event {
                RecordedEvent::Created { .. } => self.messages += 1,
                RecordedEvent::Posted { .. } => self.posts += 1,
                RecordedEvent::Answered { .. } => answers += 1,
                RecordedEvent::Accepted { key, .. } => *accepted.entry(key).or_insert(0) += 1,
                _ => {}
            }
        }
        self.unanswered += history.records.iter().filter(is_post).count() as u64 - answers;
        self.slow += recorder.slow.load(Ordering::Relaxed);
        self.copies += accepted.values().map(|times| times - 1).sum::<u64>();
        let broken = check(&history);
        let shown = broken.iter().map(ToString::to_string).chain(problems);
        self.violations
            .extend(shown.map(|text| format!("{what}: {text}")));
        if let Some(key) = broken.first().and_then(|violation| key_in(&violation.text)) {
            println!("the events of the first violation in {what}:");
            let about = |record: &&TimedRecord| record.to_string().contains(key);
            for record in history.records.iter().filter(about).take(60) {
                println!("    {record}");
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.counts.merge(other.counts);
        self.freezes += other.freezes;
        self.violations.extend(other.violations);
        self.messages += other.messages;
        self.posts += other.posts;
        self.unanswered += other.unanswered;
        self.copies += other.copies;
        self.slow += other.slow;
    }

    /// Merges the outcomes of all tasks. A task that panicked is a violation.
    pub(crate) async fn merge_all(&mut self, mut tasks: JoinSet<Self>) {
        while let Some(task) = tasks.join_next().await {
            match task {
                Ok(outcome) => self.merge(outcome),
                Err(error) => self.violations.push(format!("a task ended: {error}")),
            }
        }
    }

    /// Prints the violations and how to repeat the run. Returns whether there are none.
    pub(crate) fn report(&self, line: &str) -> bool {
        for violation in self.violations.iter().take(20) {
            println!("VIOLATION {violation}");
        }
        if !self.violations.is_empty() {
            println!("{} violations; repeat: {line}", self.violations.len());
        }
        self.violations.is_empty()
    }
}

fn is_post(record: &&TimedRecord) -> bool {
    matches!(record.event, RecordedEvent::Posted { .. })
}

/// The id of the message in the text of a violation.
fn key_in(text: &str) -> Option<&str> {
    let word = text
        .split(' ')
        .find(|word| word.starts_with("hmrc:") || word.starts_with("pay:"))?;
    word.split_once(':')
        .map(|(_, id)| id.trim_end_matches([',', ':']))
}
