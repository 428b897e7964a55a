//! What lanes did, and whether their histories kept the promise.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{point::KillCounts, recorder::HistoryRecorder};
use crate::{
    checker::check,
    history::{RecordedEvent, TimedRecord},
};

/// What a lane did.
#[derive(Default)]
pub(crate) struct LaneOutcome {
    pub(crate) counts: KillCounts,
    pub(crate) freezes: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) messages: u64,
    pub(crate) posts: u64,
    pub(crate) unanswered: u64,
    pub(crate) copies: u64,
    /// Answers after more than 2.5 s by the clock.
    pub(crate) slow: u64,
}

impl LaneOutcome {
    /// Judges a history that has ended.
    pub(crate) fn judge(&mut self, what: &str, recorder: &HistoryRecorder) {
        let (history, problems) = recorder.take();
        let (mut answers, mut accepted) = (0, BTreeMap::new());
        for moment in &history.moments {
            match &moment.what {
                RecordedEvent::Created { .. } => self.messages += 1,
                RecordedEvent::Posted { .. } => self.posts += 1,
                RecordedEvent::Answered { .. } => answers += 1,
                RecordedEvent::Accepted { key, .. } => *accepted.entry(key).or_insert(0) += 1,
                _ => {}
            }
        }
        self.unanswered += history.moments.iter().filter(is_post).count() as u64 - answers;
        self.slow += recorder.slow.load(Ordering::Relaxed);
        self.copies += accepted.values().map(|times| times - 1).sum::<u64>();
        let broken = check(&history);
        let shown = broken.iter().map(ToString::to_string).chain(problems);
        self.violations
            .extend(shown.map(|text| format!("{what}: {text}")));
        if let Some(key) = broken.first().and_then(|violation| key_in(&violation.text)) {
            println!("what happened to the first that {what} broke a rule with:");
            let about = |moment: &&TimedRecord| moment.to_string().contains(key);
            for moment in history.moments.iter().filter(about).take(60) {
                println!("    {moment}");
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
}

fn is_post(moment: &&TimedRecord) -> bool {
    matches!(moment.what, RecordedEvent::Posted { .. })
}

/// The id of the message that a violation is about.
fn key_in(text: &str) -> Option<&str> {
    let word = text
        .split(' ')
        .find(|word| word.starts_with("hmrc:") || word.starts_with("pay:"))?;
    word.split_once(':')
        .map(|(_, id)| id.trim_end_matches([',', ':']))
}

impl LaneOutcome {
    /// Prints what went wrong, and how to do it again. Whether nothing did.
    pub(crate) fn report(&self, line: &str) -> bool {
        for violation in self.violations.iter().take(20) {
            println!("VIOLATION {violation}");
        }
        if !self.violations.is_empty() {
            println!("{} violations; again: {line}", self.violations.len());
        }
        self.violations.is_empty()
    }
}
