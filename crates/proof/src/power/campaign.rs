//! A series of power losses: runs of `serve` and of commands, each with several cuts.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::time::Instant;

use super::{
    commands::{AttackedCommand, RecordedCommand},
    disk::{DiskLie, RecordedDisk},
    folder_content::FolderContent,
    interposer::SyncInterposer,
    observed_history::ObservedHistory,
    recording::{RecordedRun, RecordingPlan},
    recovery::{recover, violation},
    served::{CONFIGURATION, PillarboxProgram},
    survival::UnsyncedSurvival,
    totals::PowerTotals,
};
use crate::{
    checker::Violation,
    simulate::SplitMix64,
    sync::{into_inner, lock},
};

/// The number of power losses in one run, each with its own copy of the disk.
const CUTS_A_RUN: u64 = 20;
/// One run in this number is a run of a command.
const COMMAND_EVERY: u64 = 6;
/// The number of violations after which a campaign ends.
const MAX_VIOLATIONS: usize = 5;
/// The largest number of power losses in a row on one inbox.
const MAX_GENERATIONS: u32 = 3;
/// The number of disks with each lie, tried first.
const LYING_DISKS: usize = 2;

/// The programs that lose their power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CampaignPart {
    Everything,
    Serve,
    Commands,
}

impl CampaignPart {
    /// The number of the command in a run; `None` if it is a run of `serve`.
    fn command(self, run: u64) -> Option<u64> {
        match self {
            Self::Everything if run % COMMAND_EVERY < COMMAND_EVERY - 1 => None,
            Self::Everything => Some(run / COMMAND_EVERY),
            Self::Serve => None,
            Self::Commands => Some(run),
        }
    }
}

/// All power losses of one call.
pub(super) struct LossCampaign {
    program: PillarboxProgram,
    interposer: SyncInterposer,
    folder: PathBuf,
    pub(super) lie: DiskLie,
    pub(super) part: CampaignPart,
    /// The number of disks that are recovered in parallel.
    pub(super) threads: usize,
    /// The number of the next message content.
    contents: AtomicU64,
    /// The number of the next stored disk image.
    stored_images: AtomicU64,
    totals: Mutex<PowerTotals>,
}

/// An inbox between two runs.
#[derive(Clone)]
struct IdleInbox {
    content: FolderContent,
    observed: ObservedHistory,
    generation: u32,
}

/// A planned power loss.
#[derive(Clone, Copy)]
struct PowerCut {
    number: u64,
    at: usize,
    survival: UnsyncedSurvival,
    random: u64,
}

impl PowerCut {
    fn draw(number: u64, at: usize, random: &mut SplitMix64) -> Self {
        Self {
            number,
            at,
            survival: UnsyncedSurvival::draw(random, at),
            random: random.next(),
        }
    }
}

impl IdleInbox {
    fn new() -> Self {
        let configuration = (PathBuf::from("pillarbox.toml"), CONFIGURATION.into());
        Self {
            content: FolderContent {
                files: [configuration].into(),
                ..FolderContent::default()
            },
            observed: ObservedHistory::default(),
            generation: 0,
        }
    }
}

impl LossCampaign {
    pub(super) fn new(
        program: PillarboxProgram,
        interposer: SyncInterposer,
        folder: PathBuf,
    ) -> Self {
        Self {
            program,
            interposer,
            folder,
            lie: DiskLie::Honest,
            part: CampaignPart::Everything,
            threads: 1,
            contents: AtomicU64::new(0),
            stored_images: AtomicU64::new(0),
            totals: Mutex::new(PowerTotals::default()),
        }
    }

    /// Makes `times` power losses, unless the deadline passes before.
    pub(super) fn run(&self, times: u64, seed: u64, deadline: Instant) -> Result<(), String> {
        let mut idle = IdleInbox::new();
        for first in (0..times).step_by(CUTS_A_RUN as usize) {
            if Instant::now() > deadline || self.totals().violations >= MAX_VIOLATIONS {
                break;
            }
            let run = first / CUTS_A_RUN;
            let cuts = first..times.min(first + CUTS_A_RUN);
            let mut random = SplitMix64::of(seed, run);
            if let Some(command) = self.part.command(run) {
                let command = command as usize % AttackedCommand::ALL.len();
                self.attack(AttackedCommand::ALL[command], cuts, &mut random)?;
            } else {
                idle = self.attack_serve(run, cuts, idle, &mut random)?;
            }
        }
        Ok(())
    }

    /// Runs `serve` on an inbox, and cuts its power at random instants. Returns an inbox that
    /// survived.
    fn attack_serve(
        &self,
        run: u64,
        cuts: Range<u64>,
        idle: IdleInbox,
        random: &mut SplitMix64,
    ) -> Result<IdleInbox, String> {
        let plan = RecordingPlan::draw(random, run);
        let recorded = self.record(random, plan, &idle, run)?;
        self.totals().add_run(&recorded);
        if run == 0 && self.lie == DiskLie::Honest {
            self.test_with_lies(&recorded, random)?;
        }
        let cuts = cuts.map(|number| {
            let at = recorded.draw_cut(random);
            PowerCut::draw(number, at, random)
        });
        let survivor = self.cut_all(&recorded, cuts.collect())?;
        Ok(match survivor {
            Some(survivor) if idle.generation + 1 < MAX_GENERATIONS => IdleInbox {
                generation: idle.generation + 1,
                ..survivor
            },
            _ => IdleInbox::new(),
        })
    }

    /// Runs a command, and cuts its power at random instants.
    fn attack(
        &self,
        command: AttackedCommand,
        cuts: Range<u64>,
        random: &mut SplitMix64,
    ) -> Result<(), String> {
        let folder = self.folder.join("command");
        let recorded = RecordedCommand::make(
            &self.program,
            &self.interposer,
            (command, &folder),
            (random, &self.contents),
        );
        remove(&folder);
        let recorded = recorded?;
        let cuts = cuts.map(|number| {
            let at = recorded.draw_cut(random);
            PowerCut::draw(number, at, random)
        });
        let disk = RecordedDisk::new(&recorded.base, &recorded.journal, self.lie)?;
        self.in_parallel(cuts.collect(), |cut| {
            let image = disk.image(cut.at, cut.survival, &mut SplitMix64::of(cut.random, 0));
            let folder = self.folder.join(format!("cut-{}", cut.number));
            let judged = image.write(&folder).map_err(|error| error.to_string());
            let judged = judged.and_then(|()| recorded.judge(&self.program, &folder, cut.at));
            self.totals().add_command(command.name(), judged.is_ok());
            if let Err(text) = judged {
                let text = format!("{}: {text}", command.name());
                self.report(cut, &image, &[violation("command", text)]);
            }
            remove(&folder);
        });
        Ok(())
    }

    pub(super) fn totals(&self) -> MutexGuard<'_, PowerTotals> {
        lock(&self.totals)
    }

    fn record(
        &self,
        random: &mut SplitMix64,
        plan: RecordingPlan,
        idle: &IdleInbox,
        run: u64,
    ) -> Result<RecordedRun, String> {
        let folder = self.folder.join(format!("run-{run}"));
        let start = (
            folder.as_path(),
            idle.content.clone(),
            idle.observed.clone(),
        );
        let recorded = RecordedRun::make(
            &self.program,
            &self.interposer,
            start,
            (plan, random, &self.contents),
        );
        remove(&folder);
        recorded
    }

    /// Makes all cuts, several in parallel. Returns an inbox that survived, for the next run.
    fn cut_all(
        &self,
        recorded: &RecordedRun,
        cuts: Vec<PowerCut>,
    ) -> Result<Option<IdleInbox>, String> {
        let last = cuts.last().map(|cut| cut.number);
        let survivor = Mutex::new(None);
        let disk = RecordedDisk::new(&recorded.base, &recorded.journal, self.lie)?;
        self.in_parallel(cuts, |cut| {
            let found = self.cut(recorded, &disk, cut, last == Some(cut.number));
            if found.is_some() {
                *lock(&survivor) = found;
            }
        });
        Ok(into_inner(survivor))
    }

    fn in_parallel(&self, cuts: Vec<PowerCut>, work: impl Fn(PowerCut) + Sync) {
        let remaining = Mutex::new(cuts);
        let next = || lock(&remaining).pop();
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(cut) = next() {
                        work(cut);
                    }
                });
            }
        });
    }

    /// Makes one cut, counts it, and reports its violations.
    fn cut(
        &self,
        recorded: &RecordedRun,
        disk: &RecordedDisk<'_>,
        cut: PowerCut,
        is_wanted: bool,
    ) -> Option<IdleInbox> {
        let image = disk.image(cut.at, cut.survival, &mut SplitMix64::of(cut.random, 0));
        let folder = self.folder.join(format!("cut-{}", cut.number));
        let outcome = recover(
            &self.program,
            &folder,
            &image,
            recorded.interrupt_at(cut.at),
        );
        self.totals()
            .add_cut(recorded, cut.at, cut.survival, &image, &outcome);
        let survivor = match &outcome {
            Ok(recovered) if is_wanted => {
                FolderContent::read(&folder).ok().map(|content| IdleInbox {
                    content,
                    observed: recovered.observed.clone(),
                    generation: 0,
                })
            }
            Ok(_) => None,
            Err(violations) => {
                println!("on a disk with {}:", recorded.plan.name);
                self.report(cut, &image, violations);
                None
            }
        };
        remove(&folder);
        survivor
    }

    /// Prints the violations, and stores the disk, so that they can be reproduced.
    fn report(&self, cut: PowerCut, image: &FolderContent, violations: &[Violation]) {
        for violation in violations.iter().take(MAX_VIOLATIONS) {
            println!("VIOLATION {violation}");
        }
        let number = self.stored_images.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("kept-{number}"));
        let location = match image.write(&folder) {
            Ok(()) => format!("stored in {}", folder.display()),
            Err(error) => error.to_string(),
        };
        let PowerCut {
            number,
            at,
            survival,
            ..
        } = cut;
        println!(
            "  power loss {number}, after record {at}; of the unflushed changes it keeps \
             {survival:?}\n  the disk is {location}; run the program there with the secrets of \
             this test"
        );
    }

    /// Requires that disks with false flushes are detected.
    fn test_with_lies(
        &self,
        recorded: &RecordedRun,
        random: &mut SplitMix64,
    ) -> Result<(), String> {
        for lie in [DiskLie::All, DiskLie::Folders] {
            let disk = RecordedDisk::new(&recorded.base, &recorded.journal, lie)?;
            for number in 0..LYING_DISKS {
                let at = recorded
                    .draw_answer(random)
                    .ok_or("no request was answered")?;
                let image = disk.image(at, UnsyncedSurvival::Nothing, random);
                let folder = self.folder.join(format!("lie-{number}"));
                let interrupted = recorded.interrupt_at(at);
                let outcome = recover(&self.program, &folder, &image, interrupted);
                remove(&folder);
                let is_found = outcome.is_err_and(|found| found.iter().any(|one| one.rule == "I1"));
                if !is_found {
                    return Err(format!("a disk that lies ({lie:?}) is not detected"));
                }
                self.totals().found_lies += 1;
            }
        }
        Ok(())
    }
}

/// Removes a folder and the files with its name.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder); // a leftover is removed with the parent folder
    for extension in ["journal", "stdout", "stderr"] {
        let _ = fs::remove_file(folder.with_extension(extension));
    }
}
