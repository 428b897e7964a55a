//! Makes everything in `events/`: bodies as the senders write them, and the invocations that Lambda
//! gets for them over every front and in every role, signed. `cargo run --example events` makes
//! them for now; `-- 2026-03-02T10:15:31.480Z` for another instant, and always the same for the
//! same one. A second argument names another folder.
//!
//! It leaves other files alone; `tests/it/events.rs` reports them.
//!
//! They are generated, because a signature covers exact bytes: one space added by an editor breaks
//! it. Dates expire, too: a notification older than the acceptance window is held.

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
