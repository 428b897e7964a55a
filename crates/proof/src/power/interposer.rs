//! Compiles the interposer `unsynced.c`, and runs commands under it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The source, embedded so that the program needs no other file.
const SOURCE: &str = include_str!("unsynced.c");

/// The compiled interposer.
pub(super) struct SyncInterposer {
    library: PathBuf,
}

/// The delays and errors of the simulated disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskFaults {
    pub(super) seed: u64,
    /// The longest duration of a flush.
    pub(super) flush_micros: u64,
    /// Failing flushes, in thousandths.
    pub(super) failed_flushes: u64,
    /// Writes that fail because the disk is full, in thousandths.
    pub(super) full_writes: u64,
}

impl DiskFaults {
    /// Whether flushes or writes fail.
    pub(super) fn is_failing(self) -> bool {
        self.failed_flushes + self.full_writes > 0
    }
}

/// Whether the interposer works here: on 64-bit Linux with the GNU C library, whose calls it
/// replaces.
pub(super) const IS_SUPPORTED: bool = cfg!(all(
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64"
));

impl SyncInterposer {
    /// Compiles the interposer in `folder` with the system's C compiler.
    pub(super) fn build(folder: &Path) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("cannot compile the interposer: {error}");
        fs::create_dir_all(folder).map_err(fail)?;
        let (source, library) = (folder.join("unsynced.c"), folder.join("unsynced.so"));
        fs::write(&source, SOURCE).map_err(fail)?;
        let mut compiler = Command::new("cc");
        compiler
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"])
            .args(["-shared", "-fPIC", "-pthread", "-o"])
            .args([&library, &source]);
        let output = compiler.output().map_err(fail)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Self { library })
    }

    /// Makes `command` run under the interposer. `folder` is an absolute path without symbolic
    /// links.
    pub(super) fn attach(
        &self,
        command: &mut Command,
        folder: &Path,
        journal: &Path,
        disk_faults: DiskFaults,
    ) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("UNSYNCED_FOLDER", folder)
            .env("UNSYNCED_JOURNAL", journal)
            .env("UNSYNCED_SEED", disk_faults.seed.to_string())
            .env("UNSYNCED_MICROS", disk_faults.flush_micros.to_string())
            .env("UNSYNCED_EIO", disk_faults.failed_flushes.to_string())
            .env("UNSYNCED_ENOSPC", disk_faults.full_writes.to_string());
    }
}
