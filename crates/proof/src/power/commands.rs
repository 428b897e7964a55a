//! Power losses in commands that copy, replace or change the inbox, and in the demo.

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::atomic::AtomicU64};

use serde_json::Value;

use super::{
    folder_content::FolderContent,
    interposer::{DiskFaults, SyncInterposer},
    journal::{DiskJournal, DiskOperation},
    messages::{BodyLengths, post_all},
    served::{CONFIGURATION, PillarboxProgram, RunningServe, describe, finish},
};
use crate::simulate::SplitMix64;

/// A command under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AttackedCommand {
    Backup,
    Restore,
    /// A restore over an inbox with a log, as after a crash.
    RestoreAfterCrash,
    Erase,
    /// `serve` in an empty folder, where it creates its secrets and its inbox.
    Demo,
}

/// The keys of an inbox.
type RowKeys = BTreeSet<String>;

/// A recorded run of a command.
pub(super) struct RecordedCommand {
    pub(super) command: AttackedCommand,
    pub(super) base: FolderContent,
    pub(super) journal: DiskJournal,
    /// The index of the record at which the command reported success.
    done: usize,
    /// The keys in the inbox before the command.
    old: RowKeys,
    /// The keys in the backup.
    backup: RowKeys,
    /// The keys that the demo acknowledged.
    new: RowKeys,
}

impl AttackedCommand {
    pub(super) const ALL: [Self; 5] = [
        Self::Restore,
        Self::Demo,
        Self::Backup,
        Self::Erase,
        Self::RestoreAfterCrash,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backup => "inbox backup",
            Self::Restore => "inbox restore",
            Self::RestoreAfterCrash => "inbox restore after a crash",
            Self::Erase => "discard --erase",
            Self::Demo => "the demo",
        }
    }
}

impl RecordedCommand {
    /// Creates an inbox in `folder`, and runs the command on it.
    pub(super) fn make(
        program: &PillarboxProgram,
        interposer: &SyncInterposer,
        (command, folder): (AttackedCommand, &Path),
        (random, contents): (&mut SplitMix64, &AtomicU64),
    ) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| describe(folder, &error))?;
        let folder = &fs::canonicalize(folder).map_err(|error| describe(folder, &error))?;
        let mut recorded = Self {
            command,
            base: FolderContent::default(),
            journal: DiskJournal::default(),
            done: 0,
            old: RowKeys::new(),
            backup: RowKeys::new(),
            new: RowKeys::new(),
        };
        if command != AttackedCommand::Demo {
            recorded.prepare(program, folder, random, contents)?;
        }
        recorded.base = FolderContent::read(folder).map_err(|error| describe(folder, &error))?;
        let disk_faults = DiskFaults {
            seed: random.next() >> 1,
            flush_micros: 200,
            ..DiskFaults::default()
        };
        let journal = folder.with_extension("journal");
        let attach =
            |command: &mut Command| interposer.attach(command, folder, &journal, disk_faults);
        recorded.run(program, folder, attach)?;
        let bytes = fs::read(&journal).map_err(|error| describe(&journal, &error))?;
        recorded.journal = DiskJournal::read(bytes, folder)?;
        let is_report = |operation: &DiskOperation| match command {
            AttackedCommand::Demo => matches!(operation, DiskOperation::Answer { status: 200, .. }),
            _ => matches!(
                operation,
                DiskOperation::Output { .. } | DiskOperation::Report
            ),
        };
        let done = recorded.journal.operations.iter().rposition(is_report);
        recorded.done = done.ok_or_else(|| format!("{} reports nothing", command.name()))?;
        Ok(recorded)
    }

    /// Runs the command to its end, or the demo until it has acknowledged one notification.
    fn run(
        &mut self,
        program: &PillarboxProgram,
        folder: &Path,
        attach: impl Fn(&mut Command),
    ) -> Result<(), String> {
        if self.command == AttackedCommand::Demo {
            let mut serve = program.serve_command(folder);
            attach(&mut serve);
            let serve = RunningServe::start(&mut serve, &folder.with_extension("run"))?;
            let url = serve.url("pay")?;
            require(program, folder, &["send", "pay", "--to", url.as_str()])?;
            self.new = keys(program, folder, &[])?;
            return Ok(());
        }
        let mut attacked = program.command(folder, &arguments(self.command, &self.old));
        attach(&mut attacked);
        let run = finish(&mut attacked)?;
        match run.code {
            0 => Ok(()),
            code => Err(format!(
                "{} ended with {code}: {}",
                self.command.name(),
                run.stderr
            )),
        }
    }

    /// Creates an inbox, a backup of it, and rows after the backup.
    fn prepare(
        &mut self,
        program: &PillarboxProgram,
        folder: &Path,
        random: &mut SplitMix64,
        contents: &AtomicU64,
    ) -> Result<(), String> {
        let configuration = folder.join("pillarbox.toml");
        fs::write(&configuration, CONFIGURATION).map_err(|error| describe(folder, &error))?;
        let output = folder.with_extension("prepared");
        let mut fill = || {
            let serve = RunningServe::start(&mut program.serve_command(folder), &output)?;
            post_all(&serve.url("pay")?, random, BodyLengths::Usual, 12, contents);
            Ok::<_, String>(serve)
        };
        fill()?.stop()?;
        require(program, folder, &["inbox", "backup", "backup.db"])?;
        self.backup = keys(program, folder, &[])?;
        let serve = fill()?;
        if self.command != AttackedCommand::RestoreAfterCrash {
            serve.stop()?;
        }
        self.old = keys(program, folder, &[])?;
        Ok(())
    }

    /// The index of a record after which the power is cut. One cut in three is after the report of
    /// success.
    pub(super) fn draw_cut(&self, random: &mut SplitMix64) -> usize {
        let all = self.journal.operations.len() as u64;
        if random.is(333) {
            return random.between(self.done as u64, all) as usize;
        }
        random.below(all) as usize
    }

    /// Checks the folder after a cut against the promise of the command.
    pub(super) fn judge(
        &self,
        program: &PillarboxProgram,
        folder: &Path,
        cut: usize,
    ) -> Result<(), String> {
        let is_done = cut >= self.done;
        match self.command {
            AttackedCommand::Backup => self.judge_backup(program, folder, is_done),
            AttackedCommand::Restore | AttackedCommand::RestoreAfterCrash => {
                self.judge_restore(program, folder, is_done)
            }
            AttackedCommand::Erase => self.judge_erase(program, folder, is_done),
            AttackedCommand::Demo => self.judge_demo(program, folder, is_done),
        }
    }

    fn judge_backup(
        &self,
        program: &PillarboxProgram,
        folder: &Path,
        is_done: bool,
    ) -> Result<(), String> {
        require_same_keys(&keys(program, folder, &[])?, &self.old, "the inbox")?;
        sound(program, folder, &[])?;
        let length = fs::metadata(folder.join("copy.db")).map_or(0, |found| found.len());
        match length {
            0 if is_done => Err("the backup was reported but does not exist".to_owned()),
            0 => Ok(()),
            _ => {
                let copy = ["--inbox", "sqlite:copy.db"];
                require_same_keys(&keys(program, folder, &copy)?, &self.old, "the backup")?;
                sound(program, folder, &copy)
            }
        }
    }

    fn judge_restore(
        &self,
        program: &PillarboxProgram,
        folder: &Path,
        is_done: bool,
    ) -> Result<(), String> {
        match keys(program, folder, &[]) {
            Ok(found) if found == self.backup => {}
            Ok(_) if is_done => return Err("the restored inbox is not in place".to_owned()),
            Ok(found) => require_same_keys(&found, &self.old, "the inbox that was not replaced")?,
            Err(refused) if !is_done && refused.contains("belongs to another file") => {}
            Err(refused) => return Err(refused),
        }
        if !is_done {
            require(program, folder, &["inbox", "restore", "backup.db"])?;
        }
        require_same_keys(
            &keys(program, folder, &[])?,
            &self.backup,
            "the restored inbox",
        )?;
        sound(program, folder, &[])?;
        let content = FolderContent::read(folder).map_err(|error| describe(folder, &error))?;
        let names = content
            .files
            .keys()
            .map(|path| path.to_string_lossy().into_owned());
        let mut asides = names.filter(|name| {
            name.contains(".before-restore") && !name.ends_with("-wal") && !name.ends_with("-shm")
        });
        let is_old = |name: String| {
            let inbox = format!("sqlite:{name}");
            keys(program, folder, &["--inbox", &inbox]).is_ok_and(|found| found == self.old)
        };
        match asides.any(is_old) {
            true => Ok(()),
            false => Err("the old inbox is not kept next to the new one".to_owned()),
        }
    }

    fn judge_erase(
        &self,
        program: &PillarboxProgram,
        folder: &Path,
        is_done: bool,
    ) -> Result<(), String> {
        let erased = || {
            let run = program.run(folder, &["verify", "--stored", "--json"])?;
            let last = run.stdout.lines().last().unwrap_or_default();
            let counts: Value = serde_json::from_str(last).unwrap_or_default();
            let count = |name: &str| counts["summary"][name].as_u64();
            match (count("erased"), count("broken")) {
                (Some(erased), Some(0)) => Ok(erased),
                _ => Err(format!("verify --stored: {}{}", run.stdout, run.stderr)),
            }
        };
        require_same_keys(&keys(program, folder, &[])?, &self.old, "the inbox")?;
        let before = erased()?;
        let serve = RunningServe::start(
            &mut program.serve_command(folder),
            &folder.with_extension("recovered"),
        )?;
        serve.stop()?;
        let after = erased()?;
        sound(program, folder, &[])?;
        if before != after || is_done && after != 1 {
            return Err(format!(
                "{before} rows are erased, and {after} after a start of serve"
            ));
        }
        Ok(())
    }

    fn judge_demo(
        &self,
        program: &PillarboxProgram,
        folder: &Path,
        is_done: bool,
    ) -> Result<(), String> {
        let serve = RunningServe::start(
            &mut program.serve_command(folder),
            &folder.with_extension("recovered"),
        )?;
        let found = keys(program, folder, &[])?;
        if is_done {
            require_same_keys(&found, &self.new, "the demo's inbox")?;
            require(program, folder, &["verify", "--stored"])?;
        }
        serve.stop()
    }
}

/// The arguments of a command. `discard` erases the first key.
fn arguments(command: AttackedCommand, keys: &RowKeys) -> Vec<&str> {
    match command {
        AttackedCommand::Backup => vec!["inbox", "backup", "copy.db"],
        AttackedCommand::Restore | AttackedCommand::RestoreAfterCrash => {
            vec!["inbox", "restore", "backup.db"]
        }
        AttackedCommand::Erase => {
            let first = keys.iter().take(1).map(String::as_str);
            ["discard", "--erase"].into_iter().chain(first).collect()
        }
        AttackedCommand::Demo => vec!["serve"],
    }
}

fn keys(program: &PillarboxProgram, folder: &Path, filters: &[&str]) -> Result<RowKeys, String> {
    let lines = program.list(folder, filters)?;
    let key = |line: &Value| line["key"].as_str().map(str::to_owned);
    Ok(lines.iter().filter_map(key).collect())
}

fn require_same_keys(found: &RowKeys, expected: &RowKeys, what: &str) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let missing = expected.difference(found).count();
    let more = found.difference(expected).count();
    Err(format!(
        "{what} lacks {missing} notifications, and has {more} others"
    ))
}

fn require(program: &PillarboxProgram, folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let run = program.run(folder, arguments)?;
    match run.code {
        0 => Ok(()),
        code => Err(format!(
            "{arguments:?} ended with {code}: {}{}",
            run.stdout, run.stderr
        )),
    }
}

/// Requires that the file passes SQLite's integrity check, and every row its own check.
fn sound(program: &PillarboxProgram, folder: &Path, inbox: &[&str]) -> Result<(), String> {
    let run = program.run(folder, &[&["doctor"], inbox].concat())?;
    if !run.stdout.contains("is sound (integrity_check)") {
        return Err(format!("doctor: {}{}", run.stdout, run.stderr));
    }
    require(program, folder, &[&["verify", "--stored"], inbox].concat())
}
