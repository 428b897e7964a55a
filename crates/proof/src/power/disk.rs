//! Computes the possible contents of a disk after a power loss, from the journal of a process.
//!
//! A file's content and its name are separate: a flush of a file makes its content durable, and a
//! flush of its folder makes the names in it durable. All changes that were flushed before the cut
//! survive. Of the others any part may survive: none, all, a prefix, any selection in any order, or
//! single sectors of a write. After a failed flush, this also applies to the changes that it should
//! have flushed, even if a later flush succeeds.
//!
//! The model assumes, as SQLite does by default, that a write does not damage adjacent bytes, and
//! that a rename is atomic.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    folder_content::FolderContent,
    journal::{DiskJournal, DiskOperation},
    survival::UnsyncedSurvival,
};
use crate::simulate::SplitMix64;

/// A disk's false flushes, which show that the checks detect lost data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskLie {
    /// All flushes are real.
    Honest,
    /// No flush is real.
    All,
    /// Flushes of folders have no effect.
    Folders,
    /// Flushes of the write-ahead log have no effect.
    Log,
    /// Flushes of the inbox file have no effect, so changes that were moved from the log are lost.
    File,
}

impl DiskLie {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "folders" => Self::Folders,
            "log" => Self::Log,
            "file" => Self::File,
            _ => return None,
        })
    }

    /// Whether a flush of this path has no effect.
    fn hides(self, path: &Path, is_folder: bool) -> bool {
        let ends_in = |end: &str| path.to_string_lossy().ends_with(end);
        match self {
            Self::Honest => false,
            Self::All => true,
            Self::Folders => is_folder,
            Self::Log => ends_in("-wal"),
            Self::File => ends_in(".db"),
        }
    }
}

/// A change of a file's content, or of its name.
struct DiskChange<K> {
    /// The index of its record.
    at: usize,
    kind: K,
    /// The index of the record from which the change is durable.
    durable: Option<usize>,
    /// Whether a flush of the change failed, so that no later flush includes it.
    is_abandoned: bool,
}

impl<K> DiskChange<K> {
    fn new(at: usize, kind: K) -> Self {
        Self {
            at,
            kind,
            durable: None,
            is_abandoned: false,
        }
    }

    /// Applies a flush that took these records.
    fn flush(&mut self, records: &Range<usize>, failed: bool) {
        if self.at < records.start && self.durable.is_none() && !self.is_abandoned {
            self.durable = (!failed).then_some(records.end);
            self.is_abandoned = failed;
        }
    }

    fn is_durable(&self, cut: usize) -> bool {
        self.durable.is_some_and(|durable| durable <= cut)
    }
}

enum ContentChange {
    Write { offset: u64, content: Range<usize> },
    Truncate(u64),
}

enum NameChange {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
    Folder(PathBuf),
}

impl NameChange {
    /// The folders whose entries change.
    fn folders(&self) -> Vec<&Path> {
        let paths: &[&PathBuf] = match self {
            Self::Rename(from, to, _) => &[from, to],
            Self::Set(path, _) | Self::Remove(path) | Self::Folder(path) => &[path],
        };
        paths.iter().filter_map(|path| path.parent()).collect()
    }
}

/// A file without its names.
#[derive(Default)]
struct DiskFile {
    base: Vec<u8>,
    changes: Vec<DiskChange<ContentChange>>,
}

/// All changes of a folder, and their flushes.
pub(super) struct RecordedDisk<'a> {
    journal: &'a DiskJournal,
    base_names: BTreeMap<PathBuf, usize>,
    base_folders: BTreeSet<PathBuf>,
    files: Vec<DiskFile>,
    names: Vec<DiskChange<NameChange>>,
}

/// The file or folder of a number in the journal.
enum OpenedPath {
    File(usize, PathBuf),
    Folder(PathBuf),
}

/// The state of a disk while the operations of its journal are applied.
struct JournalReplay<'a> {
    disk: RecordedDisk<'a>,
    /// The current names.
    live: BTreeMap<PathBuf, usize>,
    opened: BTreeMap<u32, OpenedPath>,
    lie: DiskLie,
}

impl<'a> JournalReplay<'a> {
    fn new(base: &FolderContent, journal: &'a DiskJournal, lie: DiskLie) -> Self {
        let file = |content: &Vec<u8>| DiskFile {
            base: content.clone(),
            changes: Vec::new(),
        };
        let base_names: BTreeMap<_, _> = base.files.keys().cloned().zip(0..).collect();
        Self {
            live: base_names.clone(),
            opened: BTreeMap::new(),
            lie,
            disk: RecordedDisk {
                journal,
                base_names,
                base_folders: base.folders.clone(),
                files: base.files.values().map(file).collect(),
                names: Vec::new(),
            },
        }
    }

    fn apply(&mut self, at: usize, operation: &DiskOperation) -> Result<(), String> {
        match operation {
            DiskOperation::Existing { file, path } => self.open(*file, path),
            DiskOperation::Created { file, path } => self.create(at, *file, path),
            DiskOperation::Write {
                file,
                offset,
                content,
            } => {
                let (offset, content) = (*offset, content.clone());
                self.change(at, *file, ContentChange::Write { offset, content })?;
            }
            DiskOperation::Truncate { file, length } => {
                self.change(at, *file, ContentChange::Truncate(*length))?;
            }
            DiskOperation::Flushed {
                file,
                began,
                failed,
            } => self.flush(*file, *began..at, *failed),
            DiskOperation::Link { .. }
            | DiskOperation::Rename { .. }
            | DiskOperation::Unlink { .. }
            | DiskOperation::Folder { .. } => {
                let change = name_change(operation, &self.live)?;
                self.rename(at, change);
            }
            DiskOperation::Unsupported { call } => {
                return Err(format!("the process calls {call}, which is not supported"));
            }
            DiskOperation::Flush { .. }
            | DiskOperation::Answer { .. }
            | DiskOperation::Output { .. }
            | DiskOperation::Report => {}
        }
        Ok(())
    }

    /// Opens a file or folder that exists.
    fn open(&mut self, file: u32, path: &Path) {
        let path = path.to_owned();
        let opened = match self.live.get(&path) {
            Some(inode) => OpenedPath::File(*inode, path),
            None => OpenedPath::Folder(path),
        };
        self.opened.insert(file, opened);
    }

    fn create(&mut self, at: usize, file: u32, path: &Path) {
        let inode = self.disk.files.len();
        self.disk.files.push(DiskFile::default());
        let opened = OpenedPath::File(inode, path.to_owned());
        self.opened.insert(file, opened);
        self.rename(at, NameChange::Set(path.to_owned(), inode));
    }

    fn rename(&mut self, at: usize, change: NameChange) {
        apply_name(&change, &mut self.live, &mut BTreeSet::new());
        self.disk.names.push(DiskChange::new(at, change));
    }

    fn change(&mut self, at: usize, file: u32, change: ContentChange) -> Result<(), String> {
        let Some(OpenedPath::File(inode, _)) = self.opened.get(&file) else {
            return Err("the journal changes a file that it did not open".to_owned());
        };
        let changes = &mut self.disk.files[*inode].changes;
        changes.push(DiskChange::new(at, change));
        Ok(())
    }

    /// Applies a flush that took these records.
    fn flush(&mut self, file: u32, records: Range<usize>, failed: bool) {
        match self.opened.get(&file) {
            Some(OpenedPath::File(inode, path)) if !self.lie.hides(path, false) => {
                for change in &mut self.disk.files[*inode].changes {
                    change.flush(&records, failed);
                }
            }
            Some(OpenedPath::Folder(path)) if !self.lie.hides(path, true) => {
                for change in &mut self.disk.names {
                    if change.kind.folders().contains(&path.as_path()) {
                        change.flush(&records, failed);
                    }
                }
            }
            _ => {}
        }
    }
}

impl<'a> RecordedDisk<'a> {
    /// A disk on which `base` was durable when the journal began.
    pub(super) fn new(
        base: &FolderContent,
        journal: &'a DiskJournal,
        lie: DiskLie,
    ) -> Result<Self, String> {
        let mut replay = JournalReplay::new(base, journal, lie);
        for (at, operation) in journal.operations.iter().enumerate() {
            replay.apply(at, operation)?;
        }
        Ok(replay.disk)
    }

    /// A possible content of the disk after a power loss at record `cut`.
    pub(super) fn image(
        &self,
        cut: usize,
        survival: UnsyncedSurvival,
        random: &mut SplitMix64,
    ) -> FolderContent {
        let (mut names, mut folders) = (self.base_names.clone(), self.base_folders.clone());
        for change in self.names.iter().take_while(|change| change.at <= cut) {
            if change.is_durable(cut) || survival.keeps(change.at, random) {
                apply_name(&change.kind, &mut names, &mut folders);
            }
        }
        let mut content = FolderContent {
            files: BTreeMap::new(),
            folders: folders.clone(),
        };
        for (path, inode) in names {
            let has_folder = path
                .ancestors()
                .skip(1)
                .filter(|folder| !folder.as_os_str().is_empty())
                .all(|folder| folders.contains(folder));
            if has_folder && !is_memory(&path) {
                let bytes = self.content(&self.files[inode], cut, survival, random);
                content.files.insert(path, bytes);
            }
        }
        add_shared_memory(&mut content, random);
        content
    }

    fn content(
        &self,
        file: &DiskFile,
        cut: usize,
        survival: UnsyncedSurvival,
        random: &mut SplitMix64,
    ) -> Vec<u8> {
        let mut bytes = file.base.clone();
        for change in file.changes.iter().take_while(|change| change.at <= cut) {
            let is_durable = change.is_durable(cut);
            match &change.kind {
                ContentChange::Truncate(length) => {
                    if is_durable || survival.keeps(change.at, random) {
                        bytes.resize(in_memory(*length), 0);
                    }
                }
                ContentChange::Write { offset, content } => {
                    let written = self.journal.content(content);
                    let whole = *offset..offset + written.len() as u64;
                    let parts = if is_durable {
                        vec![whole]
                    } else {
                        survival.kept_parts(change.at, whole, random)
                    };
                    for part in parts {
                        let (start, end) = (in_memory(part.start), in_memory(part.end));
                        if bytes.len() < end {
                            bytes.resize(end, 0);
                        }
                        let from = start - in_memory(*offset);
                        bytes[start..end].copy_from_slice(&written[from..from + end - start]);
                    }
                }
            }
        }
        bytes
    }
}

/// The change of a name; `live` has the current names.
fn name_change(
    operation: &DiskOperation,
    live: &BTreeMap<PathBuf, usize>,
) -> Result<NameChange, String> {
    let inode = |path: &Path| live.get(path).copied().ok_or_else(|| unknown(path));
    Ok(match operation {
        DiskOperation::Link { from, to } => NameChange::Set(to.clone(), inode(from)?),
        DiskOperation::Rename { from, to } => {
            NameChange::Rename(from.clone(), to.clone(), inode(from)?)
        }
        DiskOperation::Unlink { path } => NameChange::Remove(path.clone()),
        DiskOperation::Folder { path } => NameChange::Folder(path.clone()),
        other => return Err(format!("{other:?} does not change a name")),
    })
}

/// An offset in a file as an index in memory.
fn in_memory(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn unknown(path: &Path) -> String {
    format!(
        "the journal renames {}, which does not exist",
        path.display()
    )
}

/// Whether the file is shared memory of processes: SQLite's index of the log.
fn is_memory(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-shm")
}

/// Adds shared memory that is absent, zero or random. SQLite must not read it.
fn add_shared_memory(content: &mut FolderContent, random: &mut SplitMix64) {
    let logs: Vec<PathBuf> = content
        .files
        .keys()
        .filter(|path| path.to_string_lossy().ends_with("-wal"))
        .cloned()
        .collect();
    for log in logs {
        let name = log.to_string_lossy().replace("-wal", "-shm");
        let bytes = match random.below(3) {
            0 => continue,
            1 => vec![0; 32 * 1024],
            _ => (0..4096)
                .flat_map(|_| random.next().to_le_bytes())
                .collect(),
        };
        content.files.insert(PathBuf::from(name), bytes);
    }
}

fn apply_name(
    change: &NameChange,
    names: &mut BTreeMap<PathBuf, usize>,
    folders: &mut BTreeSet<PathBuf>,
) {
    match change {
        NameChange::Set(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Rename(from, to, inode) => {
            if names.get(from) == Some(inode) {
                names.remove(from);
            }
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove(path) => {
            names.remove(path);
            folders.remove(path);
        }
        NameChange::Folder(path) => {
            folders.insert(path.clone());
        }
    }
}
