//! Imports a row of another inbox. As for a new row, the parts of a long body are written first,
//! with an intent. The parts of a finished row then get its expiry.

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    intents,
    item::{self, BodyLocation},
    names::TableItem,
    parts,
    record::stored_row,
};
use crate::inbox::{BodyParts, ImportOutcome, InboxError, Row, body::StoredBody};

/// Stores the row, if its key is free.
pub(super) async fn import(inbox: &DynamoInbox, row: &Row) -> Result<ImportOutcome, InboxError> {
    let body = row.body.as_ref().map(StoredBody::pack);
    let is_long = |body: &&StoredBody| body.bytes.len() > parts::MAX_INLINE_BYTES;
    let Some(long) = body.as_ref().filter(is_long) else {
        let inline = body.as_ref().map(BodyLocation::Inline);
        return put_row(inbox, row, inline.as_ref()).await;
    };
    // No row would own the parts of a row that is refused.
    let stored = stored_row(inbox, &row.key).await?;
    if !stored.is_empty() {
        return Ok(outcome(row, &stored));
    }
    let parts = parts::split(long, row.received_at);
    intents::open(inbox, &row.key, &parts, row.received_at).await?;
    parts::write(inbox, &row.key, &parts, long).await?;
    let location = BodyLocation::Parts {
        parts: &parts,
        deflated: long.deflated,
    };
    let imported = put_row(inbox, row, Some(&location)).await?;
    if imported == ImportOutcome::Stored {
        settle(inbox, row, &parts).await?;
    }
    Ok(imported)
}

/// Sets the expiry of the parts of a finished row. Until then the sweep finds their intent.
async fn settle(inbox: &DynamoInbox, row: &Row, parts: &BodyParts) -> Result<(), InboxError> {
    let Some(expires_at) = row.expires_at else {
        return Ok(());
    };
    parts::set_expiry(inbox, &row.key, parts, expires_at).await?;
    intents::close(inbox, &row.key, parts).await
}

async fn put_row(
    inbox: &DynamoInbox,
    row: &Row,
    body: Option<&BodyLocation<'_>>,
) -> Result<ImportOutcome, InboxError> {
    let put = inbox
        .put(item::of_row(row, body, inbox.settings.shards))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    Ok(match inbox.send_put(put).await? {
        ConditionalWrite::Written(_) => ImportOutcome::Stored,
        ConditionalWrite::ConditionFailed(stored) => outcome(row, &stored),
    })
}

fn outcome(row: &Row, stored: &TableItem) -> ImportOutcome {
    ImportOutcome::of_stored(item::digest_of(stored, "content_digest"), row)
}
