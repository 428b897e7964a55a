//! The senders: `[sources.NAME]`.

use super::{
    document_reader::{TableReader, TomlItem, all},
    error::{ConfigError, Located},
    pull::{self, PullConfig},
    reference,
    secrets::{self, RequiredSecret},
    suggest,
};
use crate::{
    domain::SourceName,
    secrets::{Secret, SecretRef, SecretSources, UnusableSecretError},
    senders::SenderKind,
};

/// One configured sender, its secrets still references.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceConfig {
    /// Its name; it is served at `/{name}`.
    pub name: SourceName,
    /// Whose protocol it speaks.
    pub kind: SenderKind,
    /// Whether it takes live payments, so that a test secret must not open it. Only for a sender
    /// whose secrets say whether they are for tests.
    pub live: bool,
    /// References to its active secrets; empty while there is none yet.
    pub secrets: Vec<Located<SecretRef>>,
    /// The named destination of its notifications, if not the default one.
    pub destination: Option<String>,
    /// How to read the sender's API, if that is configured.
    pub pull: Option<PullConfig>,
}

impl SourceConfig {
    /// References to the credentials of its API; none if `pull` is not configured.
    pub fn pull_references(&self) -> impl Iterator<Item = &SecretRef> {
        let credentials = self.pull.iter().flat_map(|pull| &pull.credentials);
        credentials.map(|reference| &reference.value)
    }

    /// Fetches and judges the credentials of its API, in the order in which the sender's folder
    /// names them: all of them, or everything that is wrong with them. `None` if `pull` is not
    /// configured.
    pub fn pull_secrets(
        &self,
        outside: &SecretSources<'_>,
    ) -> Result<Option<Vec<Secret>>, Vec<UnusableSecretError>> {
        secrets::pull(self, outside)
    }
}

/// Reads `[sources]`, whose sources may hand on to `destinations`.
pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    destinations: &[String],
    wanted: &mut Vec<RequiredSecret>,
) -> Option<Vec<SourceConfig>> {
    let entries = match root.take("sources") {
        None => Vec::new(),
        Some(item) => item.table()?.entries(),
    };
    if entries.is_empty() {
        root.complain("names no source: add [sources.NAME] with its kind and secrets");
    }
    let read: Vec<_> = entries
        .into_iter()
        .map(|(name, item)| one(&name, item, destinations, wanted))
        .collect();
    shared(&read.iter().flatten().collect::<Vec<_>>())
        .into_iter()
        .for_each(|problem| root.report(problem));
    read.into_iter().collect()
}

fn one(
    name: &str,
    item: TomlItem<'_, '_>,
    destinations: &[String],
    wanted: &mut Vec<RequiredSecret>,
) -> Option<SourceConfig> {
    let name = SourceName::new(name);
    if name.is_none() {
        item.complain("is no name for a source: begin with a-z, then up to 31 of a-z, 0-9 and -");
    }
    let mut table = item.table()?;
    let kind = kind(&mut table);
    let live = live(&mut table, kind);
    let secrets = secrets(&mut table);
    wanted.extend(
        secrets
            .iter()
            .flatten()
            .cloned()
            .map(|reference| RequiredSecret::Signing {
                reference,
                kind,
                live,
            }),
    );
    let destination = table
        .take("destination")
        .map(|item| destination(&item, destinations));
    let pull = table.take("pull").map(|item| pull::read(item, kind));
    table.finish();
    Some(SourceConfig {
        name: name?,
        kind: kind?,
        live,
        secrets: secrets?,
        destination: destination.map_or(Some(None), |read| read.map(Some))?,
        pull: pull.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn kind(table: &mut TableReader<'_, '_>) -> Option<SenderKind> {
    let names: Vec<_> = SenderKind::ALL.iter().map(|kind| kind.name).collect();
    let lines: Vec<_> = names
        .iter()
        .map(|name| format!("kind = \"{name}\""))
        .collect();
    let lines = suggest::choice(lines.iter().map(String::as_str));
    let item = table.need("kind", &format!("write {lines}"))?;
    item.word(&names).and_then(SenderKind::parse)
}

fn live(table: &mut TableReader<'_, '_>, kind: Option<SenderKind>) -> bool {
    let Some(item) = table.take("live") else {
        return false;
    };
    if let Some(kind) = kind
        && kind.config.secret.test_prefix.is_none()
    {
        let with_test_secrets = SenderKind::ALL
            .iter()
            .filter(|kind| kind.config.secret.test_prefix.is_some());
        item.complain(format_args!(
            "is for {} only: remove it, since {}'s secrets don't say whether they are live",
            suggest::choice(with_test_secrets.map(|kind| kind.name)),
            kind.title
        ));
    }
    item.flag().unwrap_or(false)
}

fn secrets(table: &mut TableReader<'_, '_>) -> Option<Vec<Located<SecretRef>>> {
    let how = "write secrets = [\"env:NAME\"], or secrets = [] while there is none yet";
    let list = table
        .need("secrets", how)?
        .list("must be a list: write [\"env:NAME\"]")?;
    let secrets = all(list.into_iter().map(reference::read))?;
    for (index, secret) in secrets.iter().enumerate() {
        if secrets[..index]
            .iter()
            .any(|earlier| earlier.value == secret.value)
        {
            table.report(secret.problem("is named twice: remove one of the two"));
        }
    }
    Some(secrets)
}

/// A secret proves a sender only if it opens one source. Sources of a sender that gives one secret
/// to several may share it among themselves.
fn shared(sources: &[&SourceConfig]) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let others = sources[..index]
            .iter()
            .filter(|other| other.kind != source.kind || !source.kind.config.shares_secrets);
        for (other, secret) in
            others.flat_map(|other| source.secrets.iter().map(move |secret| (other, secret)))
        {
            if other
                .secrets
                .iter()
                .any(|earlier| earlier.value == secret.value)
            {
                let what = format_args!(
                    "is a secret of sources.{} too: each needs its own",
                    other.name
                );
                problems.push(secret.problem(what));
            }
        }
    }
    problems
}

fn destination(item: &TomlItem<'_, '_>, names: &[String]) -> Option<String> {
    let name = item.text("must be the name of a destination in quotes")?;
    if names.contains(&name) {
        return Some(name);
    }
    let names = names.iter().map(String::as_str);
    let known = suggest::choice(names.clone());
    item.complain(match suggest::nearest(&name, names) {
        Some(meant) => format!("names no destination: did you mean \"{meant}\"?"),
        None if known.is_empty() => {
            "names no destination: add [destinations.NAME], or remove this key".to_owned()
        }
        None => format!("names no destination: write one of those that are there, {known}"),
    });
    None
}
