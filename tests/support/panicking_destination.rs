//! A receiver whose destination panics with the event in its message.

use std::process::ExitCode;

use pillarbox::{DeliveryError, Destination, Event, Key};

struct PanickingDestination;

impl Destination for PanickingDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        panic!("{key}: {}", String::from_utf8_lossy(event.json()));
    }
}

fn main() -> ExitCode {
    pillarbox_cli::serve_to(PanickingDestination)
}
