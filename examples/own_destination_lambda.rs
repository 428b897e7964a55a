//! A Lambda with a custom destination: here, a folder of a mounted file system, with one file for
//! each event.
//!
//! Name the binary `bootstrap` in your own package, and deploy it in place of the shipped one. It
//! has the same roles, variables and configuration. `examples/own_destination.rs` is the same for a
//! server.

use std::{env, fs, io, path::PathBuf, process::ExitCode};

use pillarbox::{DeliveryError, Destination, Event, Key, lambda::main_to};

/// The destination. In your program it can be an API, a queue or a table.
struct MountedFolder(PathBuf);

impl Destination for MountedFolder {
    /// `Ok` means that the event is delivered permanently. After a crash Pillarbox can deliver an
    /// event again, always with the same key and bytes; this destination then replaces its file.
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        self.write(key, event.json())
            .map_err(|error| match error.kind() {
                // Another attempt would fail in the same way, so the event is dead until a person
                // replays it.
                io::ErrorKind::InvalidFilename => DeliveryError::Refused(error.to_string()),
                // Any other error can be temporary. Pillarbox retries for three days.
                _ => DeliveryError::Unavailable(error.to_string()),
            })
    }
}

impl MountedFolder {
    /// Writes the whole file or nothing.
    fn write(&self, key: &Key, json: &[u8]) -> io::Result<()> {
        let draft = self.0.join(format!(".{key}"));
        fs::write(&draft, json)?;
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(&draft, self.0.join(format!("{key}.json")))
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of this example only")]
fn main() -> ExitCode {
    let folder = env::var_os("EVENTS_FOLDER").unwrap_or_else(|| "/mnt/events".into());
    main_to(MountedFolder(folder.into()))
}
