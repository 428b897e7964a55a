//! Access to a sender's API: `[sources.NAME.pull]`. The sender's folder defines its keys.

use std::time::Duration;

use url::Url;

use super::{
    destination::url,
    document_reader::{TableReader, TomlItem, all_or_none},
    error::LocatedValue,
    reference, span, suggest,
};
use crate::{secrets::SecretRef, senders::SenderKind};

const MIN_EVERY: Duration = Duration::from_secs(60);
const MAX_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_AFTER: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Access to the API of one source's sender.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PullConfig {
    /// The URL of the API: that of the configured environment, unless `base_url` overrides it.
    pub base_url: Url,
    /// The ids of the boxes to reconcile; empty for a sender without boxes.
    pub boxes: Vec<String>,
    /// The credentials, in the order that the sender's folder defines.
    pub credentials: Vec<LocatedValue<SecretRef>>,
    /// How often the API is called; `None` for every scheduled run of the platform.
    pub every: Option<Duration>,
    /// How long the sender has to push an event, for a sender whose API does not list what it has
    /// not pushed.
    pub after: Duration,
}

/// Reads a source's `pull` table. If the source's kind is unknown, it checks only that `pull` is a
/// table.
pub(super) fn read(item: TomlItem<'_, '_>, kind: Option<SenderKind>) -> Option<PullConfig> {
    let mut table = item.table()?;
    let kind = kind?;
    let Some(keys) = &kind.config.pull else {
        table.report(format_args!(
            "is not supported: Pillarbox does not read an API of {}",
            kind.title
        ));
        return None;
    };
    let base_url = base_url(&mut table, keys.environments);
    let boxes = if keys.boxes {
        let item = table.require("boxes", "write boxes = [\"the box's id\"]");
        item.and_then(|item| boxes(&item))
    } else {
        Some(Vec::new())
    };
    let credentials = all_or_none(keys.credentials.iter().map(|key| {
        let item = table.require(key, &format!("write {key} = \"env:NAME\""));
        item.and_then(reference::read)
    }));
    let every = table.take("every").map(|item| {
        let must = "must be a span of a minute to a day: write \"30m\"";
        span::read(&item, must, MIN_EVERY..=MAX_EVERY)
    });
    let after = match keys.after {
        Some(after) => table.take("after").map_or(Some(after), |item| {
            let must = "must be a span of at most 14 days: write \"3h\"";
            span::read(&item, must, Duration::ZERO..=MAX_AFTER)
        }),
        None => Some(Duration::ZERO),
    };
    table.finish();
    Some(PullConfig {
        base_url: base_url?,
        boxes: boxes?,
        credentials: credentials?,
        every: every.map_or(Some(None), |every| every.map(Some))?,
        after: after?,
    })
}

/// `base_url` overrides `environment`, so that a test changes one line of a document. A sender with
/// one environment needs neither.
fn base_url(
    table: &mut TableReader<'_, '_>,
    environments: &[(&'static str, &'static str)],
) -> Option<Url> {
    let given = table.take("base_url").map(url);
    if let [(_, only)] = environments {
        return given.unwrap_or_else(|| Some(fixed(only)));
    }
    let names: Vec<&'static str> = environments.iter().map(|(name, _)| *name).collect();
    let named = table.take("environment").map(|item| item.word(&names));
    match (given, named) {
        (Some(url), _) => url,
        (None, Some(word)) => {
            let (_, url) = environments.iter().find(|(name, _)| Some(*name) == word)?;
            Some(fixed(url))
        }
        (None, None) => {
            let lines = names.iter().map(|name| format!("environment = \"{name}\""));
            let lines: Vec<String> = lines.collect();
            table.report(format_args!(
                "needs environment: write {}",
                suggest::choice(lines.iter().map(String::as_str))
            ));
            None
        }
    }
}

fn boxes(item: &TomlItem<'_, '_>) -> Option<Vec<String>> {
    let must =
        "must be a list of one or more box ids: write [\"50dca3fc-c37c-4f03-b719-63571333624c\"]";
    let list = item.list(must)?;
    if list.is_empty() {
        item.report(must);
    }
    all_or_none(list.iter().map(box_id))
}

fn box_id(item: &TomlItem<'_, '_>) -> Option<String> {
    let must = "must be a box id, a UUID such as 50dca3fc-c37c-4f03-b719-63571333624c";
    let id = item.text(must)?;
    if is_uuid(&id) {
        return Some(id);
    }
    item.report(must);
    None
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(|group| {
        group
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(group.len())
    });
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

fn fixed(url: &str) -> Url {
    Url::parse(url).expect("the senders' folders write their URLs correctly")
}
