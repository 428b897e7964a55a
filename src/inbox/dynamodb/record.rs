//! Records an entry in one conditional write, without a read: a failed condition returns the stored
//! item.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    intents,
    item::{self, BodyLocation},
    names::{PK, TableItem, index_partition, text},
    parts,
};
use crate::{
    domain::{Key, State},
    inbox::{InboxError, ROW_VERSION, RecordOutcome, body::StoredBody},
    senders::Entry,
};

/// Stores the entry, or finds what is stored under its key.
///
/// After a lost reply the condition fails, and the stored row has the same content: a duplicate,
/// which it is.
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

/// Writes the row, and before it the parts of a body that is too long for the row.
async fn put(
    inbox: &DynamoInbox,
    entry: &Entry,
    body: &StoredBody,
) -> Result<ConditionalWrite, InboxError> {
    if body.bytes.len() <= parts::MAX_INLINE_BYTES {
        return put_row(inbox, entry, &BodyLocation::Inline(body)).await;
    }
    // A copy whose row would be refused writes no parts: nothing would own them, and they could
    // bring erased bytes back.
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
/// The receiver may write and not read, so it attempts a write whose condition holds for no item:
/// the refusal returns the row.
pub(super) async fn stored_row(inbox: &DynamoInbox, key: &Key) -> Result<TableItem, InboxError> {
    let refused = inbox
        .put(TableItem::from([(PK.to_owned(), text(key.as_str()))]))
        .condition_expression("attribute_exists(pk) AND attribute_not_exists(pk)")
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
    let (state, due_at) = match entry.held {
        Some(_) => (State::Held, entry.received_at),
        None => (
            State::Recorded,
            entry.received_at.plus(inbox.settings.first_due),
        ),
    };
    let partition = index_partition(state, &entry.key, inbox.settings.shards);
    let row = inbox.put(item::new(entry, body, partition, due_at));
    let row =
        row.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    // An expired row that is still stored counts, too: otherwise a repeated request would open it
    // again.
    inbox
        .send_put(row.condition_expression("attribute_not_exists(pk)"))
        .await
}
