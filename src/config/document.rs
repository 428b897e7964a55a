//! Reads a whole document and collects every error in it.

use super::{
    Config, DestinationConfig, addresses, destination,
    document_reader::{DocumentReader, TableReader},
    error::{ConfigError, ConfigErrors},
    inbox, route,
    secrets::RequiredSecret,
    source, windows,
};
use crate::secrets::SecretSources;

/// The result of reading a document.
pub(super) struct ParsedDocument {
    config: Option<Config>,
    problems: Vec<ConfigError>,
    /// The errors of parts that receiving does not need.
    tolerable: Vec<ConfigError>,
    required: Vec<RequiredSecret>,
}

/// Reads `document`; `name` is its name in error messages.
pub(super) fn read(document: &str, name: &str) -> ParsedDocument {
    let reader = DocumentReader::new(name, document);
    let mut required = Vec::new();
    let config = reader
        .root(document)
        .and_then(|root| config(root, &mut required));
    let (problems, tolerable) = reader.into_problems();
    ParsedDocument {
        config,
        problems,
        tolerable,
        required,
    }
}

impl ParsedDocument {
    /// If the document has errors, adds the errors of its secrets, so that one list holds both.
    ///
    /// The secrets of a valid document are checked when they are fetched for use.
    pub(super) fn check_secrets(mut self, secret_sources: &SecretSources<'_>) -> Self {
        if !self.problems.is_empty() || !self.tolerable.is_empty() {
            self.problems.extend(
                self.required
                    .iter()
                    .filter_map(|required| required.problem(secret_sources)),
            );
        }
        self
    }

    /// The configuration, or every error.
    pub(super) fn finish(mut self) -> Result<Config, ConfigErrors> {
        self.problems.append(&mut self.tolerable);
        self.finish_to_receive().map(|(config, _)| config)
    }

    /// The configuration and the errors that receiving tolerates, or every error.
    pub(super) fn finish_to_receive(
        mut self,
    ) -> Result<(Config, Option<ConfigErrors>), ConfigErrors> {
        match self.config {
            Some(config) if self.problems.is_empty() => {
                let tolerated =
                    (!self.tolerable.is_empty()).then(|| ConfigErrors::new(self.tolerable));
                Ok((config, tolerated))
            }
            _ => {
                self.problems.append(&mut self.tolerable);
                Err(ConfigErrors::new(self.problems))
            }
        }
    }
}

/// Reads every part before returning, so that the errors of all parts are found.
///
/// Receiving needs the sources and the inbox. Every other part has a value even if it could not be
/// read, and its errors are tolerable.
fn config(mut root: TableReader<'_, '_>, required: &mut Vec<RequiredSecret>) -> Option<Config> {
    let reader = root.reader();
    let addresses = reader.tolerate(|| addresses::read(&mut root));
    let windows = reader.tolerate(|| windows::read(&mut root));
    let inbox = inbox::read(&mut root);
    let destinations = reader.tolerate(|| destination::read(&mut root, required));
    let sources = source::read(&mut root, &destinations.names, required);
    let routes =
        reader.tolerate(|| route::read(&mut root, sources.as_deref(), &destinations.names));
    let outbound_proxy = reader.tolerate(|| root.take("outbound_proxy")?.flag());
    reader.tolerate(|| root.finish());
    let (listen, console) =
        addresses.unwrap_or_else(|| (addresses::default_listen(), addresses::default_console()));
    Some(Config {
        listen,
        console,
        retention: windows.retention(),
        acceptance: windows.acceptance(),
        sources: sources?,
        inbox: inbox?,
        destination: destinations.default.unwrap_or(DestinationConfig::Log),
        destinations: destinations.named,
        routes,
        outbound_proxy: outbound_proxy.unwrap_or(false),
    })
}
