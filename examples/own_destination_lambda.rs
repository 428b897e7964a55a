//! A Lambda with code of your own at its end: here, a folder of a file system that the function
//! mounts, with one file an event.
//!
//! Name the binary `bootstrap` in a package of your own, and deploy it in place of the shipped one:
//! it has the same roles, variables and configuration. `examples/own_destination.rs` is the same
//! for a server.

use std::{env, fs, io, path::PathBuf, process::ExitCode};

use pillarbox::{DeliveryError, Destination, Event, Key, lambda::main_to};

/// Somewhere events can go: in your program an API, a queue, or a table.
struct MountedFolder(PathBuf);

impl Destination for MountedFolder {
    /// `Ok` means that the event has arrived, for good. An event can come again after a crash,
    /// always under the same key and with the same bytes: here, its file is simply written again.
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        self.write(key, event.json())
            .map_err(|error| match error.kind() {
                // Another attempt would fail just the same: it goes to the dead, until a person
                // replays it.
                io::ErrorKind::InvalidFilename => DeliveryError::Refused(error.to_string()),
                // Everything else may pass: tried again, for three days.
                _ => DeliveryError::Unavailable(error.to_string()),
            })
    }
}

impl MountedFolder {
    /// Writes the whole file or none.
    fn write(&self, key: &Key, json: &[u8]) -> io::Result<()> {
        let draft = self.0.join(format!(".{key}"));
        fs::write(&draft, json)?;
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(&draft, self.0.join(format!("{key}.json")))
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of this program alone")]
fn main() -> ExitCode {
    let folder = env::var_os("EVENTS_FOLDER").unwrap_or_else(|| "/mnt/events".into());
    main_to(MountedFolder(folder.into()))
}
