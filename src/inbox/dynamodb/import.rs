//! Imports a row of another inbox. As when a row is recorded, the parts of a long body are written
//! before it, under an intent; those of a finished row then get its expiry.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::{
    DynamoInbox,
    change::ConditionalWrite,
    intents,
    item::{self, BodyLocation},
    names::{PK, TableItem, binary, expiry, index_partition, instant, number, text},
    parts,
    record::stored_row,
};
use crate::inbox::{BodyParts, ImportOutcome, InboxError, ROW_VERSION, Row, body::StoredBody};

/// Stores the row, if its key is free.
pub(super) async fn import(inbox: &DynamoInbox, row: &Row) -> Result<ImportOutcome, InboxError> {
    let body = row.body.as_ref().map(StoredBody::pack);
    let is_long = |body: &&StoredBody| body.bytes.len() > parts::MAX_INLINE_BYTES;
    let Some(long) = body.as_ref().filter(is_long) else {
        let inline = body.as_ref().map(BodyLocation::Inline);
        return put_row(inbox, row, inline.as_ref()).await;
    };
    // Parts whose row would be refused have no owner.
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

/// Lets the parts of a finished row expire. Until then the sweep finds their intent.
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
        .put(item_of(row, body, inbox.settings.shards))
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

fn item_of(row: &Row, body: Option<&BodyLocation<'_>>, shards: u32) -> TableItem {
    let mut item = TableItem::from([
        (PK.to_owned(), text(row.key.as_str())),
        ("v".to_owned(), number(ROW_VERSION)),
        ("digest".to_owned(), binary(row.digest)),
        ("content_digest".to_owned(), binary(row.content_digest)),
        ("kind".to_owned(), text(row.kind.as_str())),
        ("event_type".to_owned(), text(&row.event_type)),
        ("received_at".to_owned(), instant(row.received_at)),
        ("origin".to_owned(), text(row.origin.as_str())),
        ("state".to_owned(), text(row.state.as_str())),
        ("attempts".to_owned(), number(row.attempts)),
        ("budget_from".to_owned(), instant(row.budget_from)),
    ]);
    let mut set_some = |name: &str, value: Option<AttributeValue>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    let partition = index_partition(row.state, &row.key, shards);
    set_some("shelf", partition.map(text));
    set_some("signature", row.signature.as_deref().map(item::signature));
    set_some("key_label", row.key_label.as_deref().map(text));
    let fingerprint = row.secret_fingerprint;
    set_some(
        "secret_fingerprint",
        fingerprint.map(|fingerprint| binary(fingerprint.as_bytes())),
    );
    set_some("subject", row.subject.as_deref().map(text));
    set_some("event_at", row.event_at.map(instant));
    set_some("reason", row.reason.as_deref().map(text));
    set_some("last_error", row.last_error.as_deref().map(text));
    set_some("history", item::history(&row.history));
    set_some("due_at", row.due_at.map(instant));
    set_some("expires_at", row.expires_at.map(expiry));
    let deflated = match body {
        None => false,
        Some(BodyLocation::Inline(body)) => {
            set_some("body", Some(binary(body.bytes.to_vec())));
            body.deflated
        }
        Some(BodyLocation::Parts { parts, deflated }) => {
            set_some("parts", Some(number(parts.count)));
            set_some("parts_digest", Some(binary(parts.digest)));
            *deflated
        }
    };
    set_some("deflated", deflated.then_some(AttributeValue::Bool(true)));
    item
}
