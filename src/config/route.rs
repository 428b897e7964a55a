//! Destinations by event type: `[[routes]]`.

use std::collections::HashMap;

use super::{
    SourceConfig, destination,
    document_reader::{TableReader, TomlItem, all_or_none},
    suggest,
};
use crate::domain::SourceName;

/// A destination of some event types of one source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteConfig {
    /// The source.
    pub source: SourceName,
    /// The event types; at least one.
    pub types: Vec<String>,
    /// The name of the destination.
    pub destination: String,
}

/// Reads `[[routes]]`. `sources` is `None` if they could not be read, and then not checked.
pub(super) fn read(
    root: &mut TableReader<'_, '_>,
    sources: Option<&[SourceConfig]>,
    destinations: &[String],
) -> Vec<RouteConfig> {
    let list = root
        .take("routes")
        .and_then(|item| item.list("must be a list of tables: write [[routes]]"));
    let mut routed = HashMap::new();
    let mut routes = Vec::new();
    for (index, item) in list.into_iter().flatten().enumerate() {
        routes.extend(read_route(index, item, sources, destinations, &mut routed));
    }
    routes
}

/// The source and the event type of each route so far, with the route's index.
type RoutedTypes = HashMap<(String, String), usize>;

fn read_route(
    index: usize,
    item: TomlItem<'_, '_>,
    sources: Option<&[SourceConfig]>,
    destinations: &[String],
    routed: &mut RoutedTypes,
) -> Option<RouteConfig> {
    let mut table = item.table()?;
    let source = table
        .require("source", "write source = \"NAME\", the name of a source")
        .and_then(|item| source(&item, sources));
    let types = table
        .require("types", "write types = [\"EVENT_TYPE\"]")
        .and_then(|item| types(&item, source.as_ref(), sources));
    let name = table
        .require("destination", "write destination = \"NAME\"")
        .and_then(|item| destination::name(&item, destinations));
    let (source, types) = (source?, types?);
    for event_type in &types {
        let routed_type = (source.to_string(), event_type.clone());
        if let Some(earlier) = routed.insert(routed_type, index) {
            table.report(format_args!(
                "routes {event_type} of {source}, as routes[{earlier}] does: name a type in one \
                 route only"
            ));
        }
    }
    table.finish();
    Some(RouteConfig {
        source,
        types,
        destination: name?,
    })
}

fn source(item: &TomlItem<'_, '_>, sources: Option<&[SourceConfig]>) -> Option<SourceName> {
    let must = "must be the name of a source in quotes";
    let name = item.text(must)?;
    let Some(sources) = sources else {
        return SourceName::new(&name);
    };
    let found = sources.iter().find(|source| source.name.as_str() == name);
    if found.is_none() {
        let names = || sources.iter().map(|source| source.name.as_str());
        item.report(match suggest::nearest(&name, names()) {
            Some(meant) => format!("names an unknown source: did you mean \"{meant}\"?"),
            None => format!(
                "names an unknown source: write one of those configured, {}",
                suggest::choice(names())
            ),
        });
    }
    found.map(|source| source.name.clone())
}

fn types(
    item: &TomlItem<'_, '_>,
    source: Option<&SourceName>,
    sources: Option<&[SourceConfig]>,
) -> Option<Vec<String>> {
    let must = "must be a list of one or more event types: write [\"card_payment_refunded\"]";
    let list = item.list(must)?;
    if list.is_empty() {
        item.report(must);
        return None;
    }
    let source = source.and_then(|name| sources?.iter().find(|source| source.name == *name));
    all_or_none(list.iter().map(|item| {
        match source {
            Some(source) => item
                .word(source.kind.envelope.event_types)
                .map(str::to_owned),
            None => item.text("must be an event type in quotes"),
        }
    }))
}
