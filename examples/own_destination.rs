//! A server with a custom destination: here, a folder with one file for each event.
//!
//! `cargo run --example own_destination` takes the arguments and the configuration of
//! `pillarbox serve`, the demo included; then, in another terminal, `cargo run -q -- send pay`.

use std::{fs, io, path::PathBuf, process::ExitCode};

use pillarbox::{DeliveryError, Destination, Event, Key};
use pillarbox_cli::serve_to;

/// The destination. In your program it can be an API, a queue or a table.
struct Folder(PathBuf);

impl Destination for Folder {
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

impl Folder {
    /// Writes the whole file or nothing. A key contains only `A-Z a-z 0-9 . _ - % ~` and one colon,
    /// so it is a valid file name.
    fn write(&self, key: &Key, json: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let draft = self.0.join(format!(".{key}"));
        fs::write(&draft, json)?;
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(&draft, self.0.join(format!("{key}.json")))
    }
}

fn main() -> ExitCode {
    serve_to(Folder("events".into()))
}
