//! Reads a whole document and collects every error in it.

use super::{
    Config, addresses, destination,
    document_reader::{DocumentReader, TableReader},
    error::{ConfigError, ConfigErrors},
    inbox,
    secrets::RequiredSecret,
    source, windows,
};
use crate::secrets::SecretSources;

/// The result of reading a document.
pub(super) struct ParsedDocument {
    config: Option<Config>,
    problems: Vec<ConfigError>,
    wanted: Vec<RequiredSecret>,
}

/// Reads `document`; `place` is its name in error messages.
pub(super) fn read(document: &str, place: &str) -> ParsedDocument {
    let reader = DocumentReader::new(place, document);
    let mut wanted = Vec::new();
    let config = reader
        .root(document)
        .and_then(|root| config(root, &mut wanted));
    ParsedDocument {
        config,
        problems: reader.into_problems(),
        wanted,
    }
}

impl ParsedDocument {
    /// If the document has errors, adds the errors of its secrets, so that one list holds both.
    ///
    /// The secrets of a valid document are checked when they are fetched for use.
    pub(super) fn check_secrets(mut self, outside: &SecretSources<'_>) -> Self {
        if !self.problems.is_empty() {
            self.problems.extend(
                self.wanted
                    .iter()
                    .filter_map(|wanted| wanted.problem(outside)),
            );
        }
        self
    }

    /// The configuration, or every error.
    pub(super) fn finish(self) -> Result<Config, ConfigErrors> {
        match self.config {
            Some(config) => ConfigErrors::or(self.problems, config),
            None => Err(ConfigErrors::new(self.problems)),
        }
    }
}

/// Reads every part before returning, so that the errors of all parts are found.
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
