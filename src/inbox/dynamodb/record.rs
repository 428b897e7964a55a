//! An entry -> one conditional write. Nothing is read: a refused write brings what stands there.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    item::{self, BodyLocation},
    names::{TableItem, shelf},
    parts,
};
use crate::{
    domain::State,
    inbox::{InboxError, ROW_VERSION, Recorded, body::StoredBody},
    senders::Entry,
};

/// Stores the entry, or finds out what is stored in its place.
///
/// A reply that was lost comes back as a refused condition: the row that stands there is ours, and
/// has our content. That is the duplicate case, and true.
pub(super) async fn record(inbox: &DynamoInbox, entry: &Entry) -> Result<Recorded, InboxError> {
    let body = StoredBody::pack(&entry.body);
    let ConditionalWrite::Refused(there) = put(inbox, entry, &body).await? else {
        return Ok(Recorded::First);
    };
    if has_content_of(entry, &there)? {
        return Ok(Recorded::Duplicate);
    }
    let conflict = entry.as_conflict();
    let ConditionalWrite::Refused(there) = put(inbox, &conflict, &body).await? else {
        return Ok(Recorded::Conflict(conflict.key));
    };
    if has_content_of(&conflict, &there)? {
        return Ok(Recorded::Duplicate);
    }
    Err(InboxError::ConflictTaken { key: conflict.key })
}

fn has_content_of(entry: &Entry, there: &TableItem) -> Result<bool, InboxError> {
    let found = item::version(there);
    if found > ROW_VERSION {
        return Err(InboxError::NewerRow {
            key: entry.key.clone(),
            found,
        });
    }
    Ok(item::digest_of(there, "content_digest") == Some(entry.content_digest))
}

/// Writes the row, and before it the parts of its body, if that is too long for it.
async fn put(
    inbox: &DynamoInbox,
    entry: &Entry,
    body: &StoredBody,
) -> Result<ConditionalWrite, InboxError> {
    if body.bytes.len() <= parts::INLINE {
        return put_row(inbox, entry, &BodyLocation::Inline(body)).await;
    }
    let named = parts::of(body);
    let some_were_there = parts::write(inbox, entry, &named, body).await?;
    let written = put_row(
        inbox,
        entry,
        &BodyLocation::Apart {
            parts: &named,
            deflated: body.deflated,
        },
    )
    .await?;
    if entry.held.is_some() && some_were_there && matches!(written, ConditionalWrite::Done(_)) {
        parts::keep_for_good(inbox, entry, &named, body).await?;
    }
    Ok(written)
}

async fn put_row(
    inbox: &DynamoInbox,
    entry: &Entry,
    kept: &BodyLocation<'_>,
) -> Result<ConditionalWrite, InboxError> {
    let (state, due_at) = match entry.held {
        Some(_) => (State::Held, entry.received_at),
        None => (
            State::Recorded,
            entry.received_at.plus(inbox.settings.first_due),
        ),
    };
    let shelf = shelf(state, &entry.key, inbox.settings.shards);
    let row = inbox.put(item::of(entry, kept, shelf, due_at));
    let row =
        row.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    // No test for expiry: a row that is past it and still there counts, or a replay would open it again.
    inbox
        .send_put(row.condition_expression("attribute_not_exists(pk)"))
        .await
}
