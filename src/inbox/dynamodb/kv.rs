//! Short texts under names, each in an item of its own.

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item,
    names::{self, TableItem, binary, text},
};
use crate::inbox::{CasOutcome, InboxError, KvEntry, KvKey};

/// What stands under a name.
pub(super) async fn memo(inbox: &DynamoInbox, name: &KvKey) -> Result<Option<KvEntry>, InboxError> {
    Ok(inbox.read(&names::memo(name)).await?.as_ref().and_then(of))
}

/// Writes what is to stand under a name, if what stands there is what was seen.
///
/// A reply that was lost comes back as a refused condition: what stands there is our own then, version and all.
pub(super) async fn swap(
    inbox: &DynamoInbox,
    name: &KvKey,
    seen: Option<u64>,
    next: &KvEntry,
) -> Result<CasOutcome, InboxError> {
    let change = UpdateExpression::of(inbox, names::memo(name))
        .set("version", version(next.version))
        .set("text", text(&next.text));
    let change = match seen {
        None => change.only_if("attribute_not_exists(pk)"),
        Some(seen) => change
            .only_if("#version = :seen")
            .name("#version", "version")
            .value(":seen", version(seen)),
    };
    Ok(match change.send(inbox).await? {
        ConditionalWrite::Done(_) => CasOutcome::Done,
        ConditionalWrite::Refused(there) => CasOutcome::refused_by(of(&there), next),
    })
}

fn version(version: u64) -> aws_sdk_dynamodb::types::AttributeValue {
    binary(version.to_be_bytes())
}

fn of(item: &TableItem) -> Option<KvEntry> {
    let version = u64::from_be_bytes(item::bytes_of(item, "version")?.try_into().ok()?);
    Some(KvEntry {
        version,
        text: item::text_of(item, "text")?.to_owned(),
    })
}
