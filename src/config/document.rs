//! One document, read from its first key to its last, whatever is wrong on the way.

use super::{
    Config, addresses, destination,
    document_reader::{DocumentReader, TableReader},
    error::{ConfigError, ConfigErrors},
    inbox,
    secrets::RequiredSecret,
    source, windows,
};
use crate::secrets::SecretSources;

/// What one pass over a document found.
pub(super) struct ParsedDocument {
    config: Option<Config>,
    problems: Vec<ConfigError>,
    wanted: Vec<RequiredSecret>,
}

/// Reads `document`, which people know as `place`.
pub(super) fn read(document: &str, place: &str) -> ParsedDocument {
    let walk = DocumentReader::new(place, document);
    let mut wanted = Vec::new();
    let config = walk
        .root(document)
        .and_then(|root| config(root, &mut wanted));
    ParsedDocument {
        config,
        problems: walk.into_problems(),
        wanted,
    }
}

impl ParsedDocument {
    /// Adds what is wrong with the values of the secrets, if something is wrong already.
    ///
    /// A sound document is left alone: its secrets are judged when they are fetched to be used.
    pub(super) fn judge_secrets(mut self, outside: &SecretSources<'_>) -> Self {
        if !self.problems.is_empty() {
            self.problems.extend(
                self.wanted
                    .iter()
                    .filter_map(|wanted| wanted.problem(outside)),
            );
        }
        self
    }

    /// The configuration, if nothing was wrong.
    pub(super) fn finish(self) -> Result<Config, ConfigErrors> {
        match self.config {
            Some(config) => ConfigErrors::or(self.problems, config),
            None => Err(ConfigErrors::new(self.problems)),
        }
    }
}

/// Every part is read before the first that couldn't be ends it.
fn config(mut root: TableReader<'_, '_>, wanted: &mut Vec<RequiredSecret>) -> Option<Config> {
    let addresses = addresses::read(&mut root);
    let windows = windows::read(&mut root);
    let inbox = inbox::read(&mut root);
    let destinations = destination::read(&mut root, wanted);
    let sources = source::read(&mut root, &destinations.names, wanted);
    root.finish();
    let (listen, console) = addresses?;
    Some(Config {
        listen,
        console,
        retention: windows?.retention(),
        acceptance: windows?.acceptance(),
        sources: sources?,
        inbox: inbox?,
        destination: destinations.default?,
        destinations: destinations.named,
    })
}
