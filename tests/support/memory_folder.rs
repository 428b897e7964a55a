//! Folders for inboxes that a test fills with thousands of rows.

use std::path::Path;

use rustix::fs::statvfs;
use tempfile::TempDir;

/// Enough for the inboxes of all tests that run at the same time.
const REQUIRED_BYTES: u64 = 1 << 30;

/// A temporary folder, in memory where the system has space for it. An inbox flushes each row, and
/// on a disk that takes most of the time of such a test.
#[must_use]
pub fn memory_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let has_space = statvfs(memory)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) >= REQUIRED_BYTES);
    let folder = match has_space {
        true => TempDir::new_in(memory).or_else(|_| TempDir::new()),
        false => TempDir::new(),
    };
    folder.expect("a temporary folder can be made")
}
