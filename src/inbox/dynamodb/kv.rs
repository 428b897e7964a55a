//! The key-value store: one item for each entry.

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item,
    names::{self, TableItem, binary, text},
};
use crate::inbox::{CasOutcome, InboxError, KvEntry, KvKey};

/// The current entry under `key`.
pub(super) async fn get(inbox: &DynamoInbox, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
    let item = inbox.read(&names::kv(key)).await?;
    Ok(item.as_ref().and_then(entry_of))
}

/// Stores `next`, if the current entry has the expected version.
///
/// If the reply was lost, the condition of the repeated write fails, and the stored entry is
/// `next`.
pub(super) async fn compare_and_swap(
    inbox: &DynamoInbox,
    key: &KvKey,
    expected_version: Option<u64>,
    next: &KvEntry,
) -> Result<CasOutcome, InboxError> {
    let change = UpdateExpression::of(inbox, names::kv(key))
        .set("version", version(next.version))
        .set("text", text(&next.text));
    let change = match expected_version {
        None => change.only_if("attribute_not_exists(pk)"),
        Some(expected) => change
            .only_if("#version = :expected")
            .name("#version", "version")
            .value(":expected", version(expected)),
    };
    Ok(match change.send(inbox).await? {
        ConditionalWrite::Written(_) => CasOutcome::Stored,
        ConditionalWrite::ConditionFailed(stored) => {
            CasOutcome::of_failed_condition(entry_of(&stored), next)
        }
    })
}

fn version(version: u64) -> aws_sdk_dynamodb::types::AttributeValue {
    binary(version.to_be_bytes())
}

fn entry_of(item: &TableItem) -> Option<KvEntry> {
    let version = u64::from_be_bytes(item::bytes_of(item, "version")?.try_into().ok()?);
    Some(KvEntry {
        version,
        text: item::text_of(item, "text")?.to_owned(),
    })
}
