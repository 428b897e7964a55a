//! A Pillarbox with code of your own at its end: here, a folder with one file an event.
//!
//! `cargo run --example own_destination` takes the arguments and the configuration of
//! `pillarbox serve`, the demo included; then, in another terminal, `cargo run -q -- send pay`.

use std::{fs, io, path::PathBuf, process::ExitCode};

use pillarbox::{DeliveryError, Destination, Event, Key};
use pillarbox_cli::serve_to;

/// Somewhere events can go: in your program an API, a queue, or a table.
struct Folder(PathBuf);

impl Destination for Folder {
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

impl Folder {
    /// Writes the whole file or none. A key holds nothing but `A-Z a-z 0-9 . _ - % ~` and one
    /// colon.
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
