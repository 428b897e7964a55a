//! The sources: `[sources.NAME]`.

use super::{
    destination,
    document_reader::{TableReader, TomlItem, all_or_none},
    error::{ConfigError, LocatedValue},
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

/// One configured source, with references in place of secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceConfig {
    /// The name. The source is served at `/{name}`.
    pub name: SourceName,
    /// The kind of its sender.
    pub kind: SenderKind,
    /// Whether the source receives live payments, so that test secrets are refused. Only for
    /// senders whose secrets show whether they are for tests.
    pub live: bool,
    /// The references to its active secrets; empty until there is one.
    pub secrets: Vec<LocatedValue<SecretRef>>,
    /// The name of its destination; `None` for the default destination.
    pub destination: Option<String>,
    /// Whether the sender pushes to this source. If not, the source is only reconciled, and has no
    /// path.
    pub webhook: bool,
    /// The events that its webhook subscribes to; empty for a sender that pushes everything.
    pub events: Vec<&'static str>,
    /// The access to the sender's API, if configured.
    pub pull: Option<PullConfig>,
}

impl SourceConfig {
    /// The references to the credentials of the sender's API; none if `pull` is not configured.
    pub fn pull_references(&self) -> impl Iterator<Item = &SecretRef> {
        let credentials = self.pull.iter().flat_map(|pull| &pull.credentials);
        credentials.map(|reference| &reference.value)
    }

    /// Fetches and checks the credentials of the sender's API, in the order that the sender's
    /// folder defines. Returns all of them, or every error. `None` if `pull` is not configured.
    pub fn pull_secrets(
        &self,
        secret_sources: &SecretSources<'_>,
    ) -> Result<Option<Vec<Secret>>, Vec<UnusableSecretError>> {
        secrets::pull(self, secret_sources)
    }
}

/// Reads `[sources]`. `destinations` are the names that a source may refer to.
pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    destinations: &[String],
    required: &mut Vec<RequiredSecret>,
) -> Option<Vec<SourceConfig>> {
    let entries = match root.take("sources") {
        None => Vec::new(),
        Some(item) => item.table()?.entries(),
    };
    if entries.is_empty() {
        root.report("has no sources: add [sources.NAME] with its kind and secrets");
    }
    let read: Vec<_> = entries
        .into_iter()
        .map(|(name, item)| read_source(&name, item, destinations, required))
        .collect();
    find_shared_secrets(&read.iter().flatten().collect::<Vec<_>>())
        .into_iter()
        .for_each(|problem| root.report_error(problem));
    read.into_iter().collect()
}

fn read_source(
    name: &str,
    item: TomlItem<'_, '_>,
    destinations: &[String],
    required: &mut Vec<RequiredSecret>,
) -> Option<SourceConfig> {
    let name = source_name(name, &item);
    let mut table = item.table()?;
    let kind = kind(&mut table);
    let live = live(&mut table, kind);
    let webhook = table.take("webhook");
    let webhook = webhook.is_none_or(|item| item.flag().unwrap_or(true));
    let secrets = if webhook {
        secrets(&mut table)
    } else {
        without_webhook(&mut table)
    };
    let events = kind.and_then(|kind| events(&mut table, kind, webhook));
    let signing = |reference: &LocatedValue<SecretRef>| RequiredSecret::Signing {
        reference: reference.clone(),
        kind,
        live,
    };
    required.extend(secrets.iter().flatten().map(signing));
    let reader = table.reader();
    let destination = table
        .take("destination")
        .and_then(|item| reader.tolerate(|| destination::name(&item, destinations)));
    let pull = table.take("pull");
    let has_pull = pull.is_some();
    let pull = pull.and_then(|item| reader.tolerate(|| pull::read(item, kind)));
    if !webhook && !has_pull {
        let name = name.as_ref().map_or("NAME", SourceName::as_str);
        table.report(format_args!(
            "has webhook = false, so it needs [sources.{name}.pull]"
        ));
    }
    table.finish();
    Some(SourceConfig {
        name: name?,
        kind: kind?,
        live,
        secrets: secrets?,
        destination,
        webhook,
        events: events?,
        pull,
    })
}

fn source_name(name: &str, item: &TomlItem<'_, '_>) -> Option<SourceName> {
    let read = SourceName::new(name);
    if read.is_none() {
        item.report("is not a valid source name: begin with a-z, then up to 31 of a-z, 0-9 and -");
    }
    read
}

/// A source without a webhook verifies nothing.
fn without_webhook(table: &mut TableReader<'_, '_>) -> Option<Vec<LocatedValue<SecretRef>>> {
    if let Some(item) = table.take("secrets") {
        item.report("verifies what a webhook posts: remove it, or webhook = false");
    }
    Some(Vec::new())
}

/// Reads the events that a webhook subscribes to: all of them, unless `events` lists some.
fn events(
    table: &mut TableReader<'_, '_>,
    kind: SenderKind,
    webhook: bool,
) -> Option<Vec<&'static str>> {
    let known = kind.config.webhook_events;
    let Some(item) = table.take("events") else {
        return Some(known.to_vec());
    };
    if known.is_empty() {
        item.report(format_args!(
            "is not supported: {} pushes everything; remove it",
            kind.title
        ));
        return None;
    }
    if !webhook {
        item.report("lists what a webhook subscribes to: remove it, or webhook = false");
        return None;
    }
    let must = "must be a list of the events that are ticked: write [\"card_payment_captured\"]";
    let list = item.list(must)?;
    if list.is_empty() {
        item.report(must);
        return None;
    }
    all_or_none(list.iter().map(|item| item.word(known)))
}

fn kind(table: &mut TableReader<'_, '_>) -> Option<SenderKind> {
    let names: Vec<_> = SenderKind::ALL.iter().map(|kind| kind.name).collect();
    let lines: Vec<_> = names
        .iter()
        .map(|name| format!("kind = \"{name}\""))
        .collect();
    let lines = suggest::choice(lines.iter().map(String::as_str));
    let item = table.require("kind", &format!("write {lines}"))?;
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
        item.report(format_args!(
            "is for {} only: remove it, since {}'s secrets don't say whether they are live",
            suggest::choice(with_test_secrets.map(|kind| kind.name)),
            kind.title
        ));
    }
    item.flag().unwrap_or(false)
}

fn secrets(table: &mut TableReader<'_, '_>) -> Option<Vec<LocatedValue<SecretRef>>> {
    let how = "write secrets = [\"env:NAME\"], or secrets = [] while there is none yet";
    let list = table
        .require("secrets", how)?
        .list("must be a list: write [\"env:NAME\"]")?;
    let secrets = all_or_none(list.into_iter().map(reference::read))?;
    for (index, secret) in secrets.iter().enumerate() {
        if secrets[..index]
            .iter()
            .any(|earlier| earlier.value == secret.value)
        {
            table.report_error(secret.problem("is listed twice: remove one of the two"));
        }
    }
    Some(secrets)
}

/// Reports secrets that two sources share, because a secret identifies a sender only if one source
/// uses it. Sources of a sender that issues one secret for several may share it.
fn find_shared_secrets(sources: &[&SourceConfig]) -> Vec<ConfigError> {
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
                    "is also a secret of sources.{}: each source needs its own",
                    other.name
                );
                problems.push(secret.problem(what));
            }
        }
    }
    problems
}
