//! Generates the files of `events/`: bodies as the senders write them, signed, and the invocations
//! of Lambda for them, of every front and in every role. `cargo run --example events` dates them
//! now, `-- 2026-03-02T10:15:31.480Z` at another instant; the same instant gives the same files. A
//! second argument names another folder.
//!
//! It does not remove other files; `tests/it/events.rs` reports them.
//!
//! The files are generated because a signature covers exact bytes, and a space added by an editor
//! would break it. They also expire: a notification older than the acceptance window is held.

#[path = "../../tests/support/fronts.rs"]
mod fronts;
mod made;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use pillarbox::domain::{Clock, SystemClock, Timestamp};

fn main() -> io::Result<()> {
    let argument = env::args().nth(1);
    let at = match &argument {
        None => SystemClock.now(),
        Some(text) => Timestamp::parse(text)
            .ok_or_else(|| io::Error::other("write an instant: 2026-03-02T10:15:31.480Z"))?,
    };
    let folder = env::args().nth(2).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events"),
        PathBuf::from,
    );
    for (name, content) in made::everything(at) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(path, content)?;
    }
    Ok(())
}
