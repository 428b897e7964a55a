//! Many power losses: runs of `serve` and of commands, each cut at many instants.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
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
    recording::{RecordedRun, RecordingPlan},
    recovery::{RecoveredInbox, recover, violation},
    served::{CONFIGURATION, PillarboxProgram},
    story::PowerStory,
    survival::UnsyncedSurvival,
    totals::PowerTotals,
};
use crate::{checker::Violation, simulate::SplitMix64};

/// How often the power is lost in one run, each time in a copy of its disk.
const CUTS_A_RUN: u64 = 20;
/// One run in so many is that of a command.
const COMMAND_EVERY: u64 = 6;
/// How many violations end a campaign.
const MAX_VIOLATIONS: usize = 5;
/// How often the power is lost on one inbox in a row.
const MAX_GENERATIONS: u32 = 3;
/// How many disks of each lie are tried before anything else.
const LYING_DISKS: usize = 2;

/// What loses its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CampaignPart {
    Everything,
    Serve,
    Commands,
}

impl CampaignPart {
    /// The number of the command in a run; `None` if that is one of `serve`.
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
    /// What the disk does besides what it says.
    pub(super) lie: DiskLie,
    pub(super) part: CampaignPart,
    /// How many disks are recovered at once.
    pub(super) threads: usize,
    /// The number of the next content.
    contents: AtomicU64,
    /// The number of the next image that is kept.
    kept: AtomicU64,
    totals: Mutex<PowerTotals>,
}

/// An inbox between two runs.
#[derive(Clone)]
struct IdleInbox {
    content: FolderContent,
    story: PowerStory,
    generation: u32,
}

/// One power loss, to be made.
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
            story: PowerStory::default(),
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
            kept: AtomicU64::new(0),
            totals: Mutex::new(PowerTotals::default()),
        }
    }

    /// Loses the power `times` times, unless there is no time left.
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

    /// Runs `serve` on an inbox, and cuts its power at random instants. Returns one that survived.
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
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(
        &self,
        random: &mut SplitMix64,
        plan: RecordingPlan,
        idle: &IdleInbox,
        run: u64,
    ) -> Result<RecordedRun, String> {
        let folder = self.folder.join(format!("run-{run}"));
        let start = (folder.as_path(), idle.content.clone(), idle.story.clone());
        let recorded = RecordedRun::make(
            &self.program,
            &self.interposer,
            start,
            (plan, random, &self.contents),
        );
        remove(&folder);
        recorded
    }

    /// Cuts the power at each instant, several at once. Returns an inbox that survived, for the
    /// next run.
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
                *survivor.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
        });
        Ok(survivor
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn in_parallel(&self, cuts: Vec<PowerCut>, work: impl Fn(PowerCut) + Sync) {
        let left = Mutex::new(cuts);
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
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

    /// Cuts the power once, counts it, and reports what is broken.
    fn cut(
        &self,
        recorded: &RecordedRun,
        disk: &RecordedDisk<'_>,
        cut: PowerCut,
        is_wanted: bool,
    ) -> Option<IdleInbox> {
        let image = disk.image(cut.at, cut.survival, &mut SplitMix64::of(cut.random, 0));
        let folder = self.folder.join(format!("cut-{}", cut.number));
        let outcome = self.judge(recorded, cut, &image, &folder);
        self.totals()
            .add_cut(recorded, cut.at, cut.survival, &image, &outcome);
        let survivor = match &outcome {
            Ok(recovered) if is_wanted => {
                FolderContent::read(&folder).ok().map(|content| IdleInbox {
                    content,
                    story: recovered.story.clone(),
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

    fn judge(
        &self,
        recorded: &RecordedRun,
        cut: PowerCut,
        image: &FolderContent,
        folder: &Path,
    ) -> Result<RecoveredInbox, Vec<Violation>> {
        recover(&self.program, folder, image, recorded.story(cut.at))
    }

    /// Prints what is broken, and keeps the disk on which it can be seen again.
    fn report(&self, cut: PowerCut, image: &FolderContent, violations: &[Violation]) {
        for violation in violations.iter().take(MAX_VIOLATIONS) {
            println!("VIOLATION {violation}");
        }
        let kept = self.kept.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("kept-{kept}"));
        let place = match image.write(&folder) {
            Ok(()) => format!("kept in {}", folder.display()),
            Err(error) => error.to_string(),
        };
        let PowerCut {
            number,
            at,
            survival,
            ..
        } = cut;
        println!(
            "  power loss {number}, after record {at}, with what was not flushed: {survival:?}\n  \
             the disk: {place}; run the program there with the secrets of this test"
        );
    }

    /// Shows that a disk that does not flush what it says is found out.
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
                let story = recorded.story(at);
                let outcome = recover(&self.program, &folder, &image, story);
                remove(&folder);
                let is_found = outcome.is_err_and(|found| found.iter().any(|one| one.rule == "I1"));
                if !is_found {
                    return Err(format!("a disk that lies ({lie:?}) is not found out"));
                }
                self.totals().found_lies += 1;
            }
        }
        Ok(())
    }
}

/// Removes a folder and the files that are named after it.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder); // a leftover is removed with the whole folder
    for extension in ["journal", "stdout", "stderr"] {
        let _ = fs::remove_file(folder.with_extension(extension));
    }
}
