//! The counts of all power losses.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{
    folder_content::FolderContent, journal::DiskOperation, recording::RecordedRun,
    recovery::RecoveredInbox, survival::UnsyncedSurvival,
};
use crate::checker::Violation;

/// The counts of one call.
#[derive(Default)]
pub(super) struct PowerTotals {
    counts: BTreeMap<&'static str, u64>,
    survivals: BTreeMap<&'static str, u64>,
    commands: BTreeMap<&'static str, u64>,
    instants: BTreeSet<(u64, usize)>,
    images: HashSet<u64>,
    runs: u64,
    pub(super) found_lies: u64,
    pub(super) violations: usize,
}

impl PowerTotals {
    fn count(&mut self, what: &'static str, number: u64) {
        *self.counts.entry(what).or_default() += number;
    }

    /// Counts a run of `serve`.
    pub(super) fn add_run(&mut self, run: &RecordedRun) {
        self.runs += 1;
        self.count(run.plan.name, 1);
        for operation in &run.journal.operations {
            let what = match operation {
                DiskOperation::Write { .. } => "writes",
                DiskOperation::Flushed { failed: false, .. } => "flushes",
                DiskOperation::Flushed { failed: true, .. } => "flushes that failed",
                DiskOperation::Answer { status: 200, .. } => "answers 200",
                DiskOperation::Answer { status: 503, .. } => "answers 503",
                DiskOperation::Answer { .. } => "other answers",
                _ => continue,
            };
            self.count(what, 1);
        }
    }

    /// Counts a power loss of `serve`.
    pub(super) fn add_cut(
        &mut self,
        run: &RecordedRun,
        at: usize,
        survival: UnsyncedSurvival,
        image: &FolderContent,
        outcome: &Result<RecoveredInbox, Vec<Violation>>,
    ) {
        self.instants.insert((self.runs, at));
        *self.survivals.entry(survival.name()).or_default() += 1;
        let mut hasher = DefaultHasher::new();
        for (path, content) in &image.files {
            if !path.to_string_lossy().ends_with("-shm") {
                (path, content).hash(&mut hasher);
            }
        }
        self.images.insert(hasher.finish());
        self.count("cuts", 1);
        if let Some(DiskOperation::Answer { status: 200, .. }) = run.journal.operations.get(at) {
            self.count("cuts at a 200", 1);
        }
        match outcome {
            Ok(recovered) => {
                self.count("acknowledged", recovered.acknowledged as u64);
                self.count("rows found", recovered.found as u64);
                self.count("open rows delivered", recovered.open as u64);
                self.count("sent again", recovered.sent_again as u64);
            }
            Err(violations) => self.violations += violations.len(),
        }
    }

    /// Counts a power loss in a command.
    pub(super) fn add_command(&mut self, name: &'static str, is_kept: bool) {
        *self.commands.entry(name).or_default() += 1;
        self.violations += usize::from(!is_kept);
    }

    pub(super) fn print(&self, took: Duration) {
        let count = |what: &str| self.counts.get(what).copied().unwrap_or(0);
        let seconds = took.as_secs_f64();
        println!(
            "{} power losses in {seconds:.1} s, at {} different instants, {} after an answer 200",
            count("cuts"),
            self.instants.len(),
            count("cuts at a 200"),
        );
        println!(
            "  {} different disks, each started by the shipped serve; unflushed changes that they \
             kept: {}",
            self.images.len(),
            list(&self.survivals)
        );
        println!(
            "  {} messages acknowledged before a cut, {} rows found after it, {} of them open and \
             then delivered, {} requests sent again",
            count("acknowledged"),
            count("rows found"),
            count("open rows delivered"),
            count("sent again"),
        );
        self.print_runs();
        if !self.commands.is_empty() {
            println!("  power losses in commands: {}", list(&self.commands));
        }
        println!(
            "  {} disks that lied, as a control, and were detected",
            self.found_lies
        );
        println!("{} violations", self.violations);
    }

    fn print_runs(&self) {
        let count = |what: &str| self.counts.get(what).copied().unwrap_or(0);
        let runs = ["usual", "long bodies", "failing flushes", "full disk"];
        let runs: BTreeMap<&str, u64> = runs.into_iter().map(|name| (name, count(name))).collect();
        println!(
            "  {} runs of serve ({}): {} writes, {} flushes, {} failed flushes, {} answers 200, {} \
             answers 503, {} other answers",
            self.runs,
            list(&runs),
            count("writes"),
            count("flushes"),
            count("flushes that failed"),
            count("answers 200"),
            count("answers 503"),
            count("other answers"),
        );
    }
}

fn list(counts: &BTreeMap<&str, u64>) -> String {
    let counts: Vec<String> = counts
        .iter()
        .map(|(name, number)| format!("{name}: {number}"))
        .collect();
    counts.join(", ")
}
