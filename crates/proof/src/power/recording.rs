//! Records one run of `serve` under the interposer, and chooses the instants of the power cuts.

use std::{collections::BTreeMap, fs, path::Path, sync::atomic::AtomicU64, time::Duration};

use super::{
    folder_content::FolderContent,
    interposer::{DiskFaults, SyncInterposer},
    journal::{DiskJournal, DiskOperation},
    messages::{BodyLengths, CONNECTIONS, PostOutcome, PostedMessage, post_all},
    observed_history::ObservedHistory,
    served::{PillarboxProgram, RunningServe, describe},
};
use crate::simulate::SplitMix64;

/// The plan of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordingPlan {
    pub(super) name: &'static str,
    pub(super) lengths: BodyLengths,
    pub(super) posts: u64,
    pub(super) disk_faults: DiskFaults,
    /// Whether `serve` is stopped with SIGTERM at the end, so that a cut may also occur then.
    pub(super) stops: bool,
}

impl RecordingPlan {
    /// The plan of the run with this number. The kinds of disk alternate.
    pub(super) fn draw(random: &mut SplitMix64, run: u64) -> Self {
        let mut disk_faults = DiskFaults {
            seed: random.next() >> 1,
            flush_micros: random.pick(&[200, 1_000, 3_000]),
            ..DiskFaults::default()
        };
        let (mut name, mut lengths, mut posts) = ("usual", BodyLengths::Usual, 150);
        match run % 5 {
            1 => (name, lengths, posts) = ("long bodies", BodyLengths::Long, 260),
            2 => (name, disk_faults.failed_flushes) = ("failing flushes", 40),
            3 => (name, disk_faults.full_writes) = ("full disk", 6),
            _ => {}
        }
        Self {
            name,
            lengths,
            posts,
            disk_faults,
            stops: random.is(500),
        }
    }
}

/// A complete run.
pub(super) struct RecordedRun {
    pub(super) plan: RecordingPlan,
    pub(super) base: FolderContent,
    pub(super) journal: DiskJournal,
    /// The history before the run.
    pub(super) before: ObservedHistory,
    messages: Vec<PostedMessage>,
    outcomes: Vec<PostOutcome>,
}

/// The part of a run before the cut.
pub(super) struct InterruptedRun {
    /// The history of all posts.
    pub(super) observed: ObservedHistory,
    /// The answered requests, each with its status and time.
    pub(super) answered: Vec<(u32, u16, Duration)>,
    /// The output to the destination.
    pub(super) output: Vec<u8>,
    /// The messages without an answer 200.
    pub(super) unacknowledged: Vec<PostedMessage>,
    /// The number of messages with an answer 200.
    pub(super) acknowledged: usize,
}

impl RecordedRun {
    /// Writes `base` to `folder`, and runs `serve` there.
    pub(super) fn make(
        program: &PillarboxProgram,
        interposer: &SyncInterposer,
        (folder, base, before): (&Path, FolderContent, ObservedHistory),
        (plan, random, contents): (RecordingPlan, &mut SplitMix64, &AtomicU64),
    ) -> Result<Self, String> {
        base.write(folder)
            .map_err(|error| describe(folder, &error))?;
        let folder = fs::canonicalize(folder).map_err(|error| describe(folder, &error))?;
        let (journal, output) = (
            folder.with_extension("journal"),
            folder.with_extension("run"),
        );
        let mut command = program.serve_command(&folder);
        interposer.attach(&mut command, &folder, &journal, plan.disk_faults);
        let serve = RunningServe::start(&mut command, &output)?;
        let url = serve.url("pay")?;
        let (messages, outcomes) = post_all(&url, random, plan.lengths, plan.posts, contents);
        if plan.stops {
            let stopped = serve.stop();
            // With a failing disk, `serve` may exit with an error.
            if !plan.disk_faults.is_failing() {
                stopped?;
            }
        } else {
            drop(serve);
        }
        let bytes = fs::read(&journal).map_err(|error| describe(&journal, &error))?;
        let journal = DiskJournal::read(bytes, &folder)?;
        let run = Self {
            plan,
            base,
            journal,
            before,
            messages,
            outcomes,
        };
        run.require_journal()?;
        Ok(run)
    }

    /// Fails if the journal does not match the run, because the interposer had no effect, as with a
    /// statically linked program.
    fn require_journal(&self) -> Result<(), String> {
        let answered = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.status.is_some())
            .count();
        let recorded = self
            .answers(usize::MAX)
            .values()
            .map(Vec::len)
            .sum::<usize>();
        let writes = self.journal.operations.iter();
        let writes = writes
            .filter(|operation| matches!(operation, DiskOperation::Write { .. }))
            .count();
        if answered == 0 {
            return Err("serve answered no request".to_owned());
        }
        // On each connection, a killed process may have sent one answer without recording it.
        if recorded + CONNECTIONS < answered || writes < answered / 64 {
            return Err(format!(
                "the journal has {recorded} of {answered} answers, and {writes} writes: the \
                 interposer does not observe the program, which may be linked statically"
            ));
        }
        Ok(())
    }

    /// The statuses sent to each port up to record `cut`, in order.
    fn answers(&self, cut: usize) -> BTreeMap<u16, Vec<u16>> {
        let mut answers: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for operation in self.journal.operations.iter().take(cut.saturating_add(1)) {
            if let DiskOperation::Answer { port, status } = operation {
                answers.entry(*port).or_default().push(*status);
            }
        }
        answers
    }

    /// The index of a random record of an answer 200.
    pub(super) fn draw_answer(&self, random: &mut SplitMix64) -> Option<usize> {
        let is_acknowledgement = |operation: &DiskOperation| {
            matches!(operation, DiskOperation::Answer { status: 200, .. })
        };
        self.draw(random, is_acknowledgement)
    }

    fn draw(
        &self,
        random: &mut SplitMix64,
        wanted: impl Fn(&DiskOperation) -> bool,
    ) -> Option<usize> {
        let operations = self.journal.operations.iter().enumerate();
        let wanted = operations.filter(|(_, operation)| wanted(operation));
        let indices: Vec<usize> = wanted.map(|(at, _)| at).collect();
        let index = random.index(indices.len());
        indices.get(index).copied()
    }

    /// The index of a random record after which the power is cut. Half of the cuts are after an
    /// answer 200.
    pub(super) fn draw_cut(&self, random: &mut SplitMix64) -> usize {
        let all = self.journal.operations.len() as u64;
        let is_flush = |operation: &DiskOperation| matches!(operation, DiskOperation::Flush { .. });
        let chosen = match random.below(100) {
            0..50 => self.draw_answer(random),
            50..60 => Some(random.below(60.min(all)) as usize),
            60..75 => self.draw(random, is_flush),
            75..80 => self.draw(random, is_change_of_name),
            _ => None,
        };
        chosen.unwrap_or_else(|| random.below(all) as usize)
    }

    /// The history until the cut, as observed by senders and destination.
    pub(super) fn interrupt_at(&self, cut: usize) -> InterruptedRun {
        let mut observed = self.before.clone();
        if self.plan.disk_faults.is_failing() {
            observed.fault_injected("failing disk");
        }
        self.messages
            .iter()
            .for_each(|message| observed.created(message));
        let answers = self.answers(cut);
        let mut acknowledged = vec![false; self.messages.len()];
        let mut answered = Vec::new();
        for outcome in &self.outcomes {
            let post = observed.posted(&self.messages[outcome.message]);
            let (port, number) = outcome.answer;
            if let Some(status) = answers.get(&port).and_then(|sent| sent.get(number)) {
                acknowledged[outcome.message] |= *status == 200;
                answered.push((post, *status, outcome.took));
            }
        }
        let output = self.journal.operations.iter().take(cut.saturating_add(1));
        let output = output.filter_map(|operation| match operation {
            DiskOperation::Output { content } => Some(self.journal.content(content)),
            _ => None,
        });
        let output: Vec<u8> = output.flatten().copied().collect();
        let count = acknowledged
            .iter()
            .filter(|acknowledged| **acknowledged)
            .count();
        let unacknowledged = self.messages.iter().zip(acknowledged);
        let unacknowledged = unacknowledged.filter(|(_, acknowledged)| !acknowledged);
        InterruptedRun {
            unacknowledged: unacknowledged.map(|(message, _)| message.clone()).collect(),
            observed,
            answered,
            output,
            acknowledged: count,
        }
    }
}

fn is_change_of_name(operation: &DiskOperation) -> bool {
    matches!(
        operation,
        DiskOperation::Created { .. }
            | DiskOperation::Unlink { .. }
            | DiskOperation::Rename { .. }
            | DiskOperation::Link { .. }
            | DiskOperation::Folder { .. }
    )
}
