//! Tests of the disk model, and of the interposer with a small program.

use std::{collections::BTreeSet, fs, process::Command};

use super::{
    disk::{DiskLie, RecordedDisk},
    folder_content::FolderContent,
    interposer::{DiskFaults, IS_SUPPORTED, SyncInterposer},
    journal::{DiskJournal, DiskOperation},
    survival::UnsyncedSurvival,
};
use crate::simulate::SplitMix64;

const FILE: u32 = 7;
const FOLDER: u32 = 9;

fn write(offset: u64) -> DiskOperation {
    DiskOperation::Write {
        file: FILE,
        offset,
        content: 0..0,
    }
}

fn created(path: &str) -> DiskOperation {
    DiskOperation::Created {
        file: FILE,
        path: path.into(),
    }
}

fn existing(file: u32, path: &str) -> DiskOperation {
    DiskOperation::Existing {
        file,
        path: path.into(),
    }
}

fn flushed(file: u32, began: usize) -> DiskOperation {
    DiskOperation::Flushed {
        file,
        began,
        failed: false,
    }
}

fn base(files: &[(&str, &str)]) -> FolderContent {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).into(), text.as_bytes().to_owned()));
    FolderContent {
        files: files.collect(),
        folders: BTreeSet::new(),
    }
}

/// The content of a disk after all operations and a power loss.
fn surviving(
    start: &FolderContent,
    operations: &[(DiskOperation, &[u8])],
    lie: DiskLie,
    survival: UnsyncedSurvival,
) -> FolderContent {
    let journal = DiskJournal::of(operations);
    let disk = RecordedDisk::new(start, &journal, lie).unwrap();
    disk.image(operations.len(), survival, &mut SplitMix64::of(1, 1))
}

#[test]
fn a_write_is_durable_after_a_flush_that_began_later() {
    let start = base(&[("a", "....")]);
    let operations: [(DiskOperation, &[u8]); 5] = [
        (existing(FILE, "a"), b""),
        (write(0), b"1"),
        (DiskOperation::Flush { file: FILE }, b""),
        (write(1), b"2"),
        (flushed(FILE, 2), b""),
    ];
    let journal = DiskJournal::of(&operations);
    let disk = RecordedDisk::new(&start, &journal, DiskLie::Honest).unwrap();
    let mut random = SplitMix64::of(1, 1);
    let mut nothing = |cut| disk.image(cut, UnsyncedSurvival::Nothing, &mut random);
    assert_eq!(nothing(3), base(&[("a", "....")]));
    assert_eq!(nothing(4), base(&[("a", "1...")]));
    for (lie, text) in [
        (DiskLie::All, "...."),
        (DiskLie::Log, "1..."),
        (DiskLie::File, "1..."),
    ] {
        assert_eq!(
            surviving(&start, &operations, lie, UnsyncedSurvival::Nothing),
            base(&[("a", text)])
        );
    }
    let everything = surviving(
        &start,
        &operations,
        DiskLie::All,
        UnsyncedSurvival::Everything,
    );
    assert_eq!(everything, base(&[("a", "12..")]));
}

#[test]
fn a_later_flush_does_not_include_the_writes_of_a_failed_flush() {
    let failed = DiskOperation::Flushed {
        file: FILE,
        began: 2,
        failed: true,
    };
    let operations: [(DiskOperation, &[u8]); 6] = [
        (existing(FILE, "a"), b""),
        (write(0), b"1"),
        (failed, b""),
        (write(1), b"2"),
        (DiskOperation::Flush { file: FILE }, b""),
        (flushed(FILE, 4), b""),
    ];
    let kept = surviving(
        &base(&[("a", "....")]),
        &operations,
        DiskLie::Honest,
        UnsyncedSurvival::Nothing,
    );
    assert_eq!(kept, base(&[("a", ".2..")]));
}

#[test]
fn only_a_flush_of_the_folder_makes_a_name_durable() {
    let named: [(DiskOperation, &[u8]); 5] = [
        (created("new"), b""),
        (write(0), b"1"),
        (DiskOperation::Flush { file: FILE }, b""),
        (flushed(FILE, 2), b""),
        (existing(FOLDER, ""), b""),
    ];
    let start = base(&[]);
    assert_eq!(
        surviving(&start, &named, DiskLie::Honest, UnsyncedSurvival::Nothing),
        start
    );
    let flushed_folder = [&named[..], &[(flushed(FOLDER, 5), &b""[..])]].concat();
    let kept = surviving(
        &start,
        &flushed_folder,
        DiskLie::Honest,
        UnsyncedSurvival::Nothing,
    );
    assert_eq!(kept, base(&[("new", "1")]));
    assert_eq!(
        surviving(
            &start,
            &flushed_folder,
            DiskLie::Folders,
            UnsyncedSurvival::Nothing
        ),
        start
    );
}

#[test]
fn a_rename_is_atomic_and_independent_of_the_content() {
    let start = base(&[("old", "before"), ("new", "")]);
    let rename = DiskOperation::Rename {
        from: "old".into(),
        to: "new".into(),
    };
    let operations: [(DiskOperation, &[u8]); 3] = [
        (existing(FILE, "old"), b""),
        (write(0), b"after!"),
        (rename, b""),
    ];
    let kept = |survival| surviving(&start, &operations, DiskLie::Honest, survival);
    assert_eq!(kept(UnsyncedSurvival::Nothing), start);
    assert_eq!(
        kept(UnsyncedSurvival::Everything),
        base(&[("new", "after!")])
    );
    let mut found = BTreeSet::new();
    let journal = DiskJournal::of(&operations);
    let disk = RecordedDisk::new(&start, &journal, DiskLie::Honest).unwrap();
    for seed in 0..64 {
        let image = disk.image(9, UnsyncedSurvival::Some(500), &mut SplitMix64::of(seed, 1));
        found.insert(format!("{:?}", image.files));
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_torn_write_has_whole_sectors_and_leaves_adjacent_bytes_unchanged() {
    let long = vec![b'x'; 1500];
    let operations: [(DiskOperation, &[u8]); 2] = [(created("a"), b""), (write(100), &long)];
    let start = base(&[]);
    let journal = DiskJournal::of(&operations);
    let disk = RecordedDisk::new(&start, &journal, DiskLie::Honest).unwrap();
    let mut found = BTreeSet::new();
    for seed in 0..200 {
        let image = disk.image(
            9,
            UnsyncedSurvival::Torn(512, 500),
            &mut SplitMix64::of(seed, 1),
        );
        let Some(bytes) = image.files.get(std::path::Path::new("a")) else {
            continue; // the name was lost
        };
        let has = |at: usize| bytes.get(at) == Some(&b'x');
        let sectors = [has(100), has(512), has(1024), has(1536)];
        assert_eq!(sectors, [has(511), has(1023), has(1535), has(1599)]);
        assert!(!has(99) && !has(1600));
        found.insert(sectors);
    }
    assert_eq!(found.len(), 16);
}

#[test]
fn the_interposer_records_every_change_in_order() {
    if !IS_SUPPORTED {
        return;
    }
    let folder = std::env::temp_dir().join(format!("pillarbox-unsynced-{}", std::process::id()));
    fs::create_dir_all(folder.join("watched")).unwrap();
    let folder = fs::canonicalize(folder).unwrap();
    let (watched, journal, program) = (
        folder.join("watched"),
        folder.join("journal"),
        folder.join("changes"),
    );
    fs::write(watched.join("old"), "old").unwrap();
    fs::write(folder.join("changes.c"), include_str!("changes.c")).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .arg("-o")
        .arg(&program)
        .arg(folder.join("changes.c"));
    assert!(compiler.status().unwrap().success());
    let interposer = SyncInterposer::build(&folder).unwrap();
    let mut changes = Command::new(&program);
    interposer.attach(
        changes.current_dir(&watched),
        &watched,
        &journal,
        DiskFaults::default(),
    );
    assert!(changes.output().unwrap().status.success());
    let bytes = fs::read(&journal).unwrap();
    fs::remove_dir_all(&folder).unwrap();

    let read = DiskJournal::read(bytes, &watched).unwrap();
    let recorded: Vec<String> = read
        .operations
        .iter()
        .map(|one| described(&read, one))
        .collect();
    let expected = [
        "created 3 a",
        "write 3 0 one",
        "write 3 8 two",
        "truncate 3 9",
        "flush 3",
        "flushed 3 4",
        "folder b",
        "rename a b/c",
        "link b/c d",
        "unlink old",
        "existing 4 b",
        "write 3 9 !",
        "flush 4",
        "flushed 4 12",
        "truncate 3 0",
        "output done",
    ];
    assert_eq!(recorded, expected);
    let disk = RecordedDisk::new(&base(&[("old", "old")]), &read, DiskLie::Honest).unwrap();
    let image = |survival| disk.image(99, survival, &mut SplitMix64::of(1, 1)).files;
    assert_eq!(
        image(UnsyncedSurvival::Everything),
        base(&[("b/c", ""), ("d", "")]).files
    );
    assert_eq!(
        image(UnsyncedSurvival::Nothing),
        base(&[("old", "old")]).files
    );
}

/// A short description of an operation.
fn described(journal: &DiskJournal, operation: &DiskOperation) -> String {
    let text = |content| String::from_utf8_lossy(journal.content(content)).into_owned();
    match operation {
        DiskOperation::Existing { file, path } => format!("existing {file} {}", path.display()),
        DiskOperation::Created { file, path } => format!("created {file} {}", path.display()),
        DiskOperation::Write {
            file,
            offset,
            content,
        } => format!("write {file} {offset} {}", text(content)),
        DiskOperation::Truncate { file, length } => format!("truncate {file} {length}"),
        DiskOperation::Flush { file } => format!("flush {file}"),
        DiskOperation::Flushed { file, began, .. } => format!("flushed {file} {began}"),
        DiskOperation::Link { from, to } => format!("link {} {}", from.display(), to.display()),
        DiskOperation::Rename { from, to } => format!("rename {} {}", from.display(), to.display()),
        DiskOperation::Unlink { path } => format!("unlink {}", path.display()),
        DiskOperation::Folder { path } => format!("folder {}", path.display()),
        DiskOperation::Answer { port, status } => format!("answer {port} {status}"),
        DiskOperation::Output { content } => format!("output {}", text(content)),
        DiskOperation::Report => "report".to_owned(),
        DiskOperation::Unsupported { call } => format!("unsupported {call}"),
    }
}
