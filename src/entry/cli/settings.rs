//! What a command runs with: the configuration, from wherever it comes.

use std::{fs, path::Path};

use super::{Failure, Global};
use crate::{
    app::{self, AnyInbox},
    config::{Config, Overrides, Problems, Secrets, SourceConfig},
    secret::{Outside, Secret, SecretRef},
};

/// Where the demo keeps everything.
pub(super) const DEMO: &str = ".pillarbox";
/// Where a configuration is looked for that nobody named.
const FILE: &str = "pillarbox.toml";

/// The configuration of one run.
pub(super) struct Settings {
    /// What is configured.
    pub(super) config: Config,
    /// What people know it as.
    pub(super) place: String,
    document: Option<String>,
}

impl Settings {
    /// Reads the configuration; flags and variables beat what it says.
    pub(super) fn load(global: &Global, flags: Overrides) -> Result<Self, Failure> {
        let (document, place) = find(global)?;
        let config = match &document {
            Some(document) => Config::read(document, &place).map_err(wrong)?,
            None => Config::demo(Path::new(DEMO)),
        };
        Self { config, place, document }.beaten_by(flags, global)
    }

    /// The same, and every secret it names; the problems of both come in one list.
    pub(super) fn load_with_secrets(global: &Global, flags: Overrides) -> Result<(Self, Secrets), Failure> {
        let (document, place) = find(global)?;
        let (config, secrets) = match &document {
            Some(document) => Config::read_with_secrets(document, &place, &outside()).map_err(wrong)?,
            None => {
                let config = Config::demo(Path::new(DEMO));
                let secrets = config.secrets(&outside()).map_err(wrong)?;
                (config, secrets)
            }
        };
        Ok((Self { config, place, document }.beaten_by(flags, global)?, secrets))
    }

    fn beaten_by(mut self, flags: Overrides, global: &Global) -> Result<Self, Failure> {
        let flags = Overrides { inbox: global.inbox.clone(), ..flags };
        flags.apply(&mut self.config, &outside()).map_err(wrong)?;
        Ok(self)
    }

    /// Opens the inbox; a local one must be there.
    pub(super) async fn open_inbox(&self) -> Result<AnyInbox, Failure> {
        app::open_inbox(&self.config, &outside()).await.map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Whether nothing is configured.
    pub(super) fn is_demo(&self) -> bool {
        self.document.is_none()
    }

    /// The configured source of this name.
    pub(super) fn source(&self, name: &str) -> Result<&SourceConfig, Failure> {
        let found = self.config.sources.iter().find(|source| source.name.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.config.sources.iter().map(|source| source.name.as_str()).collect();
            Failure::Usage(format!("there is no source `{name}` in {}; it has: {}", self.place, known.join(", ")))
        })
    }
}

fn wrong(problems: Problems) -> Failure {
    Failure::Usage(problems.to_string())
}

/// The document and what it is called; `None` is the demo.
fn find(global: &Global) -> Result<(Option<String>, String), Failure> {
    if let Some(path) = &global.config {
        return read(path);
    }
    if let Some(document) = variable("PILLARBOX_CONFIG").filter(|document| !document.is_empty()) {
        return Ok((Some(document), "PILLARBOX_CONFIG".to_owned()));
    }
    if Path::new(FILE).exists() {
        return read(Path::new(FILE));
    }
    Ok((None, "the demo (there is no pillarbox.toml here)".to_owned()))
}

fn read(path: &Path) -> Result<(Option<String>, String), Failure> {
    let place = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(document) => Ok((Some(document), place)),
        Err(error) => Err(Failure::Usage(format!("{place} can't be read ({error}): check the path"))),
    }
}

/// The real environment and file system.
pub(super) fn outside() -> Outside<'static> {
    Outside { env: &variable, file: &|path: &Path| fs::read_to_string(path) }
}

/// One environment variable; one that is no UTF-8 counts as unset.
#[expect(clippy::disallowed_methods, reason = "the one place that reads variables")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Fetches a secret that the command line or a source names, and judges its shape.
pub(super) fn fetch(reference: &SecretRef) -> Result<Secret, Failure> {
    let secret = reference.fetch(&outside()).and_then(|secret| secret.judge().map(|()| secret));
    secret.map_err(|problem| Failure::Usage(format!("the secret {reference} {problem}")))
}
