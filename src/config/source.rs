//! The senders: `[sources.NAME]`.

use super::{
    document_reader::{TableReader, TomlItem, all},
    error::{ConfigError, Located},
    pull::{self, PullConfig},
    reference,
    secrets::{self, PullSecrets, RequiredSecret, UnusableSecretError},
    suggest,
};
use crate::{
    domain::SourceName,
    secrets::{SecretRef, SecretSources},
    senders::SenderKind,
};

/// One configured sender, its secrets still references.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name; it is served at `/{name}`.
    pub name: SourceName,
    /// Whose protocol it speaks.
    pub kind: SenderKind,
    /// Whether it takes live payments, so that a test secret must not open it. GOV.UK Pay only.
    pub live: bool,
    /// Where its active secrets are; empty while there is none yet.
    pub secrets: Vec<Located<SecretRef>>,
    /// The named destination of its notifications, if not the default one.
    pub destination: Option<String>,
    /// How to ask the sender for what never came.
    pub pull: Option<PullConfig>,
}

impl SourceConfig {
    /// Where what a pull needs is; nothing if there is no pull.
    pub fn pull_references(&self) -> impl Iterator<Item = &SecretRef> {
        self.pull.iter().flat_map(PullConfig::references)
    }

    /// Fetches and judges what a pull needs: all of it, or everything that is wrong with it. `None` if there is no pull.
    pub fn pull_secrets(
        &self,
        outside: &SecretSources<'_>,
    ) -> Result<Option<PullSecrets>, Vec<UnusableSecretError>> {
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
            .map(|reference| RequiredSecret::Signing { reference, live }),
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
    let item = table.need("kind", "write kind = \"hmrc\" or kind = \"govuk-pay\"")?;
    item.word(&SenderKind::ALL.map(SenderKind::as_str))
        .and_then(SenderKind::parse)
}

fn live(table: &mut TableReader<'_, '_>, kind: Option<SenderKind>) -> bool {
    let Some(item) = table.take("live") else {
        return false;
    };
    if kind == Some(SenderKind::Hmrc) {
        item.complain("is for govuk-pay only: remove it, since HMRC's secrets don't say whether they are live");
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

/// A secret proves a sender only if it opens one source. HMRC gives one to an application, however
/// many boxes it has, so HMRC's sources may share it among themselves.
fn shared(sources: &[&SourceConfig]) -> Vec<ConfigError> {
    let mut problems = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let others = sources[..index]
            .iter()
            .filter(|other| (source.kind, other.kind) != (SenderKind::Hmrc, SenderKind::Hmrc));
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
