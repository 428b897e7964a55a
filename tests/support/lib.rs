//! Shared by the tests: servers and functions under test, senders, AWS and its fronts on loopback,
//! invalid requests of every kind, and clients that check every answer.

#![allow(
    clippy::new_without_default,
    clippy::len_without_is_empty,
    reason = "only tests call it"
)]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "helpers of tests: a panic is a failed test, and a name that needs a comment has one"
)]

pub mod canaries;
pub mod client;
pub mod cloud;
pub mod cloudformation;
pub mod cloudwatch;
pub mod documented_log;
pub mod dynamodb;
pub mod echo;
pub mod endpoint;
pub mod fault_proxy;
pub mod faulty;
pub mod fronts;
pub mod function;
pub mod hmrc_box;
pub mod http_request;
pub mod log_buffer;
pub mod loopback;
pub mod manual_clock;
pub mod memory_folder;
pub mod message;
pub mod ministack;
pub mod posted;
pub mod process;
pub mod pump;
pub mod request;
pub mod runbook;
pub mod runtime_api;
pub mod sample_events;
pub mod server;
pub mod shipped;
pub mod silent;
pub mod sqlite_copy;
pub mod strangers;
pub mod table;
pub mod vectors;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A file or folder of this repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The folder of the binaries, if this program is not a test.
static BINARIES: OnceLock<PathBuf> = OnceLock::new();

/// Makes [`binary`] select binaries in `folder`. Only the first call counts.
pub fn use_binaries_in(folder: PathBuf) {
    let _ = BINARIES.set(folder);
}

/// The path of a binary of this package. Cargo builds it with the tests, in their parent folder.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let above_test = || {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().to_owned()
    };
    BINARIES
        .get()
        .cloned()
        .unwrap_or_else(above_test)
        .join(name)
}
