//! Power losses: `proof power`.
//!
//! The shipped `serve` runs under an interposer that writes down every change of its folder, every
//! flush and every answer, in order (`unsynced.c`). Any prefix of that journal is what had happened
//! when the power was lost at some instant. From the prefix a disk is made that has what was
//! flushed, and of the rest any part (`disk.rs`). Then the shipped `serve` starts on that disk,
//! without the interposer, and the checker decides.

mod disk;
mod interposer;
mod journal;
mod messages;
mod recording;
mod recovery;
mod served;
mod story;
#[cfg(test)]
mod tests;
mod totals;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::{arguments::Arguments, checker::Violation, simulate::Random};
use disk::{DiskLie, FolderContent, RecordedDisk, Survival};
use interposer::{IS_SUPPORTED, Interposer};
use recording::{RecordedRun, RunPlan};
use recovery::{RecoveredInbox, recover};
use served::{CONFIGURATION, PillarboxProgram, describe};
use story::PowerStory;
use totals::PowerTotals;

/// How often the power is lost in one run of `serve`, each time in a copy of its disk.
const CUTS_A_RUN: u64 = 20;
/// How many violations end the command.
const MAX_VIOLATIONS: usize = 5;
/// How often the power is lost on one inbox in a row.
const MAX_GENERATIONS: u32 = 3;
/// How many disks that lie are tried before anything else.
const LYING_DISKS: usize = 3;

/// `proof power`.
pub(crate) fn command(arguments: &Arguments) -> Result<bool, String> {
    arguments.only(&[
        "times",
        "seed",
        "minutes",
        "threads",
        "lie",
        "pillarbox",
        "folder",
    ])?;
    let times: u64 = arguments.number("times", 200)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let minutes: u64 = arguments.number("minutes", 24 * 60)?;
    let available = thread::available_parallelism().map_or(2, usize::from);
    let threads: usize = arguments.number("threads", available)?;
    let lie = match arguments.text("lie") {
        None => DiskLie::Honest,
        Some(name) => DiskLie::parse(name).ok_or("--lie takes all, folders, log or file")?,
    };
    if !IS_SUPPORTED {
        return Err("power is left out: it needs Linux with 64 bits and the GNU C library".into());
    }
    println!("proof power --times {times} --seed {seed}");
    let folder = arguments.text("folder").map_or_else(
        || env::temp_dir().join(format!("pillarbox-power-{}", process::id())),
        PathBuf::from,
    );
    let campaign = Campaign {
        program: program(arguments)?,
        interposer: Interposer::build(&folder.join("interposer"))?,
        folder,
        lie,
        threads,
        contents: AtomicU64::new(0),
        kept: AtomicU64::new(0),
        totals: Mutex::new(PowerTotals::default()),
    };
    let deadline = Instant::now() + Duration::from_secs(minutes * 60);
    let began = Instant::now();
    campaign.run(times, seed, deadline)?;
    let totals = campaign
        .totals
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    totals.print(began.elapsed());
    if totals.violations == 0 {
        fs::remove_dir_all(&campaign.folder).map_err(|error| error.to_string())?;
    }
    Ok(totals.violations == 0)
}

/// The program under attack: the one that was named, or the one that Cargo builds.
fn program(arguments: &Arguments) -> Result<PillarboxProgram, String> {
    if let Some(path) = arguments.text("pillarbox") {
        let path = fs::canonicalize(path).map_err(|error| describe(Path::new(path), &error))?;
        return Ok(PillarboxProgram(path));
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let target = own
        .ancestors()
        .nth(2)
        .ok_or("the target folder is not known")?;
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--quiet",
            "--package",
            "pillarbox-cli",
            "--bin",
            "pillarbox",
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    let built = cargo.status().map_err(|error| error.to_string())?;
    if !built.success() {
        return Err("pillarbox is not built".to_owned());
    }
    Ok(PillarboxProgram(target.join("debug/pillarbox")))
}

/// All power losses of one call.
struct Campaign {
    program: PillarboxProgram,
    interposer: Interposer,
    folder: PathBuf,
    lie: DiskLie,
    threads: usize,
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
    survival: Survival,
    random: u64,
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

impl Campaign {
    fn run(&self, times: u64, seed: u64, deadline: Instant) -> Result<(), String> {
        let mut idle = IdleInbox::new();
        for (run, first) in (0..times).step_by(CUTS_A_RUN as usize).enumerate() {
            if Instant::now() > deadline || self.totals().violations >= MAX_VIOLATIONS {
                break;
            }
            let mut random = Random::of(seed, run as u64);
            let plan = RunPlan::draw(&mut random, run as u64);
            let recorded = self.record(&mut random, plan, &idle, run)?;
            self.totals().add_run(&recorded);
            if run == 0 && self.lie == DiskLie::Honest {
                self.test_with_lies(&recorded, &mut random)?;
            }
            let cuts = first..times.min(first + CUTS_A_RUN);
            let cuts = cuts
                .map(|number| self.draw_cut(&recorded, number, &mut random))
                .collect();
            let survivor = self.cut_all(&recorded, cuts)?;
            idle = match survivor {
                Some(survivor) if idle.generation + 1 < MAX_GENERATIONS => IdleInbox {
                    generation: idle.generation + 1,
                    ..survivor
                },
                _ => IdleInbox::new(),
            };
        }
        Ok(())
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, PowerTotals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(
        &self,
        random: &mut Random,
        plan: RunPlan,
        idle: &IdleInbox,
        run: usize,
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

    fn draw_cut(&self, recorded: &RecordedRun, number: u64, random: &mut Random) -> PowerCut {
        let at = recorded.draw_cut(random);
        PowerCut {
            number,
            at,
            survival: Survival::draw(random, at),
            random: random.next(),
        }
    }

    /// Cuts the power at each instant, several at once. Returns an inbox that survived, for the
    /// next run.
    fn cut_all(
        &self,
        recorded: &RecordedRun,
        mut cuts: Vec<PowerCut>,
    ) -> Result<Option<IdleInbox>, String> {
        cuts.reverse();
        let last = cuts.first().map(|cut| cut.number);
        let (left, survivor) = (Mutex::new(cuts), Mutex::new(None));
        let disk = RecordedDisk::new(&recorded.base, &recorded.journal, self.lie)?;
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    while let Some(cut) = next() {
                        let found = self.cut(recorded, &disk, cut, last == Some(cut.number));
                        if found.is_some() {
                            *survivor.lock().unwrap_or_else(PoisonError::into_inner) = found;
                        }
                    }
                });
            }
        });
        Ok(survivor
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Cuts the power once, counts it, and reports what is broken.
    fn cut(
        &self,
        recorded: &RecordedRun,
        disk: &RecordedDisk<'_>,
        cut: PowerCut,
        is_wanted: bool,
    ) -> Option<IdleInbox> {
        let image = disk.image(cut.at, cut.survival, &mut Random::of(cut.random, 0));
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
                self.report(recorded, cut, &image, violations);
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
    fn report(
        &self,
        recorded: &RecordedRun,
        cut: PowerCut,
        image: &FolderContent,
        violations: &[Violation],
    ) {
        for violation in violations.iter().take(MAX_VIOLATIONS) {
            println!("VIOLATION {violation}");
        }
        let kept = self.kept.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("kept-{kept}"));
        let written = image.write(&folder);
        println!(
            "  cut {} after record {} of {}, disk: {}, kept of what was not flushed: {:?}\n  \
             the disk is kept in {}: run `pillarbox serve` there ({})",
            cut.number,
            cut.at,
            recorded.journal.operations.len(),
            recorded.plan.name,
            cut.survival,
            folder.display(),
            written.map_or_else(
                |error| error.to_string(),
                |()| "with both secrets".to_owned()
            ),
        );
    }

    /// Shows that a disk that does not flush what it says is found out.
    fn test_with_lies(&self, recorded: &RecordedRun, random: &mut Random) -> Result<(), String> {
        for lie in [DiskLie::All, DiskLie::Folders] {
            let disk = RecordedDisk::new(&recorded.base, &recorded.journal, lie)?;
            for number in 0..LYING_DISKS {
                let at = recorded
                    .draw_answer(random)
                    .ok_or("no request was answered")?;
                let image = disk.image(at, Survival::Nothing, random);
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
