//! Records an entry in one conditional write. It needs no read, because a failed condition returns
//! the stored item.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    intents,
    item::{self, BodyLocation},
    names::{NEVER, PK, TableItem, text},
    parts,
};
use crate::{
    domain::{Key, State},
    inbox::{InboxError, ROW_VERSION, RecordOutcome, Row, body::StoredBody},
    senders::Entry,
};

/// Stores the entry, or compares it with the row that is stored under its key.
///
/// If a reply was lost, the condition of the repeated write fails, the stored row has the same
/// content, and the outcome is a duplicate.
pub(super) async fn record(
    inbox: &DynamoInbox,
    entry: &Entry,
) -> Result<RecordOutcome, InboxError> {
    let body = StoredBody::pack(&entry.body);
    let ConditionalWrite::ConditionFailed(stored) = put(inbox, entry, &body).await? else {
        return Ok(RecordOutcome::First);
    };
    if has_content_of(entry, &stored)? {
        return Ok(RecordOutcome::Duplicate);
    }
    let conflict = entry.as_conflict();
    let ConditionalWrite::ConditionFailed(stored) = put(inbox, &conflict, &body).await? else {
        return Ok(RecordOutcome::Conflict(conflict.key));
    };
    if has_content_of(&conflict, &stored)? {
        return Ok(RecordOutcome::Duplicate);
    }
    Err(InboxError::ConflictTaken { key: conflict.key })
}

fn has_content_of(entry: &Entry, stored: &TableItem) -> Result<bool, InboxError> {
    let found = item::version(stored);
    if found > ROW_VERSION {
        return Err(InboxError::NewerRow {
            key: entry.key.clone(),
            found,
        });
    }
    Ok(item::digest_of(stored, "content_digest") == Some(entry.content_digest))
}

/// Writes the row. If its body is too long for the row, writes the parts first.
async fn put(
    inbox: &DynamoInbox,
    entry: &Entry,
    body: &StoredBody,
) -> Result<ConditionalWrite, InboxError> {
    if body.bytes.len() <= parts::MAX_INLINE_BYTES {
        return put_row(inbox, entry, &BodyLocation::Inline(body)).await;
    }
    // A copy whose row would be refused must not write parts: no row would own them, and they could
    // restore erased bytes.
    let stored = stored_row(inbox, &entry.key).await?;
    if !stored.is_empty() {
        return Ok(ConditionalWrite::ConditionFailed(stored));
    }
    let parts = parts::split(body, entry.received_at);
    intents::open(inbox, &entry.key, &parts, entry.received_at).await?;
    parts::write(inbox, &entry.key, &parts, body).await?;
    let location = BodyLocation::Parts {
        parts: &parts,
        deflated: body.deflated,
    };
    put_row(inbox, entry, &location).await
}

/// The row that is stored under `key`; empty if there is none.
///
/// The receiver is permitted to write but not to read. So it attempts a write whose condition
/// always fails, and the failure returns the row.
pub(super) async fn stored_row(inbox: &DynamoInbox, key: &Key) -> Result<TableItem, InboxError> {
    let refused = inbox
        .put(TableItem::from([(PK.to_owned(), text(key.as_str()))]))
        .condition_expression(NEVER)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    Ok(match inbox.send_put(refused).await? {
        ConditionalWrite::ConditionFailed(stored) => stored,
        ConditionalWrite::Written(_) => TableItem::new(),
    })
}

async fn put_row(
    inbox: &DynamoInbox,
    entry: &Entry,
    body: &BodyLocation<'_>,
) -> Result<ConditionalWrite, InboxError> {
    let mut row = Row::new(entry);
    if row.state == State::Recorded {
        row.due_at = Some(entry.received_at.plus(inbox.settings.first_due));
    }
    let row = inbox.put(item::of_row(&row, Some(body), inbox.settings.shards));
    let row =
        row.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    // This includes an expired row that is still stored: otherwise a repeated request would open it
    // again.
    inbox
        .send_put(row.condition_expression("attribute_not_exists(pk)"))
        .await
}
