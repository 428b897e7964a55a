//! Records an entry in one conditional write, without a read: a failed condition returns the stored
//! item.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    item::{self, BodyLocation},
    names::{TableItem, index_partition},
    parts,
};
use crate::{
    domain::State,
    inbox::{InboxError, ROW_VERSION, Recorded, body::StoredBody},
    senders::Entry,
};

/// Stores the entry, or finds what is stored under its key.
///
/// After a lost reply the condition fails, and the stored row has the same content: a duplicate,
/// which it is.
pub(super) async fn record(inbox: &DynamoInbox, entry: &Entry) -> Result<Recorded, InboxError> {
    let body = StoredBody::pack(&entry.body);
    let ConditionalWrite::ConditionFailed(stored) = put(inbox, entry, &body).await? else {
        return Ok(Recorded::First);
    };
    if has_content_of(entry, &stored)? {
        return Ok(Recorded::Duplicate);
    }
    let conflict = entry.as_conflict();
    let ConditionalWrite::ConditionFailed(stored) = put(inbox, &conflict, &body).await? else {
        return Ok(Recorded::Conflict(conflict.key));
    };
    if has_content_of(&conflict, &stored)? {
        return Ok(Recorded::Duplicate);
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
    let parts = parts::split(body);
    let some_existed = parts::write(inbox, entry, &parts, body).await?;
    let written = put_row(
        inbox,
        entry,
        &BodyLocation::Parts {
            parts: &parts,
            deflated: body.deflated,
        },
    )
    .await?;
    if entry.held.is_some() && some_existed && matches!(written, ConditionalWrite::Written(_)) {
        parts::rewrite_without_expiry(inbox, entry, &parts, body).await?;
    }
    Ok(written)
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
