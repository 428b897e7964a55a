//! Bodies that are too long for a row: separate items, written before the row that names them.
//!
//! No row may name parts that are missing, and no part may expire before its row does.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item,
    names::{self, PK, TableItem, binary, expiry, instant, text},
};
use crate::{
    domain::{Key, Timestamp},
    inbox::{BodyParts, InboxError, KEPT_AFTER_ROWS, body::StoredBody},
    senders::Entry,
};

/// Longer stored bodies are split into parts, so that a row and every later write of it stay small.
pub(super) const MAX_INLINE_BYTES: usize = 8 * 1024;
/// An item may have 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;
/// How many requests run at once.
const CONCURRENCY: usize = 16;

/// The parts of a body.
pub(super) fn split(body: &StoredBody) -> BodyParts {
    let count =
        u32::try_from(body.bytes.chunks(MAX_PART_BYTES).len()).expect("a body has at most 8 MiB");
    BodyParts {
        digest: Sha256::digest(&body.bytes).into(),
        count,
        has_first_expiry: true,
    }
}

/// Writes the parts of a body. Returns whether one of them existed before.
///
/// An existing part is left alone: its name includes the digest of the bytes. Only a part that
/// could expire before its row is written again; an earlier attempt wrote it and ended before it
/// wrote the row. The parts of a held row have no expiry, as the row has none.
pub(super) async fn write(
    inbox: &DynamoInbox,
    entry: &Entry,
    parts: &BodyParts,
    body: &StoredBody,
) -> Result<bool, InboxError> {
    let writes =
        (0..parts.count).map(|number| write_one(inbox, entry, parts, number, slice(body, number)));
    let existed: Vec<bool> = stream::iter(writes)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(existed.contains(&true))
}

async fn write_one(
    inbox: &DynamoInbox,
    entry: &Entry,
    parts: &BodyParts,
    number: u32,
    bytes: Bytes,
) -> Result<bool, InboxError> {
    let soon = entry.received_at.plus(inbox.settings.retention);
    let expires_at = entry.held.is_none().then(|| soon.plus(KEPT_AFTER_ROWS));
    let put = inbox.put(part_item(&entry.key, parts, number, bytes, expires_at));
    let put = match expires_at {
        None => put.condition_expression("attribute_not_exists(pk)"),
        Some(_) => put
            .condition_expression(
                "attribute_not_exists(pk) OR (expires_at < :soon AND attribute_not_exists(erased))",
            )
            .expression_attribute_values(":soon", expiry(soon)),
    };
    Ok(matches!(
        inbox.send_put(put).await?,
        ConditionalWrite::ConditionFailed(_)
    ))
}

/// Writes existing parts again without an expiry, since the row that names them is held.
pub(super) async fn rewrite_without_expiry(
    inbox: &DynamoInbox,
    entry: &Entry,
    parts: &BodyParts,
    body: &StoredBody,
) -> Result<(), InboxError> {
    let writes = (0..parts.count).map(|number| {
        let put = inbox.put(part_item(
            &entry.key,
            parts,
            number,
            slice(body, number),
            None,
        ));
        inbox.send_put(put.condition_expression("attribute_not_exists(erased)"))
    });
    stream::iter(writes)
        .buffer_unordered(CONCURRENCY)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// The bytes of one part.
fn slice(body: &StoredBody, number: u32) -> Bytes {
    let begin = MAX_PART_BYTES * number as usize;
    body.bytes
        .slice(begin..body.bytes.len().min(begin + MAX_PART_BYTES))
}

fn part_item(
    key: &Key,
    parts: &BodyParts,
    number: u32,
    bytes: Bytes,
    expires_at: Option<Timestamp>,
) -> TableItem {
    let mut item = TableItem::from([
        (PK.to_owned(), text(names::part(key, &parts.digest, number))),
        ("bytes".to_owned(), binary(bytes)),
    ]);
    item.extend(expires_at.map(|at| ("expires_at".to_owned(), expiry(at))));
    item
}

/// Reads a body; `None` if a part of it is missing.
pub(super) async fn read(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<Option<Bytes>, InboxError> {
    let reads = (0..parts.count).map(|number| async move {
        let item = inbox.read(&names::part(key, &parts.digest, number)).await?;
        Ok::<_, InboxError>(
            item.and_then(|item| item::bytes_of(&item, "bytes").map(Bytes::copy_from_slice)),
        )
    });
    let read: Vec<Option<Bytes>> = stream::iter(reads)
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let Some(read) = read.into_iter().collect::<Option<Vec<Bytes>>>() else {
        return Ok(None);
    };
    let mut body = BytesMut::with_capacity(read.iter().map(Bytes::len).sum());
    read.iter().for_each(|bytes| body.extend_from_slice(bytes));
    Ok(Some(body.freeze()))
}

/// Removes the expiry of parts, so that their row keeps them.
pub(super) async fn remove_expiry(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<(), InboxError> {
    update_all(inbox, key, parts, |part| part.remove("expires_at")).await
}

/// Lets parts expire a week after their row.
pub(super) async fn set_expiry(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    update_all(inbox, key, parts, |part| {
        part.set("expires_at", expiry(row_expires_at.plus(KEPT_AFTER_ROWS)))
    })
    .await
}

/// Erases the bytes of parts. The items stay until their row has expired: a duplicate writes its
/// parts before its row is found to exist, and would bring the bytes back.
pub(super) async fn erase(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    update_all(inbox, key, parts, |part| {
        let part = part.remove("bytes").set("erased", instant(row_expires_at));
        part.set("expires_at", expiry(row_expires_at.plus(KEPT_AFTER_ROWS)))
    })
    .await
}

/// Updates every part that still exists.
async fn update_all(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    update: impl Fn(UpdateExpression) -> UpdateExpression,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).map(|number| {
        let part = UpdateExpression::of(inbox, names::part(key, &parts.digest, number))
            .only_if("attribute_exists(pk)");
        update(part).without_item().send(inbox)
    });
    stream::iter(updates)
        .buffer_unordered(CONCURRENCY)
        .try_for_each(|_| async { Ok(()) })
        .await
}
