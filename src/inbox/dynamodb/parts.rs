//! Bodies that are too long for a row: separate items, written before the row that names them.
//!
//! The parts that a row names must exist, and must not expire before the row. So parts are written
//! without an expiry, and get one only when their row is finished. An intent ensures that they do.

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::{
    DynamoInbox,
    change::UpdateExpression,
    item,
    names::{self, PK, TableItem, binary, expiry, instant, text},
};
use crate::{
    domain::{Key, Timestamp},
    inbox::{BodyCopy, BodyParts, InboxError, KEPT_AFTER_ROWS, body::StoredBody},
};

/// A longer stored body is split into parts, so that the row and every later write of it are small.
pub(super) const MAX_INLINE_BYTES: usize = 8 * 1024;
/// DynamoDB's limit of an item is 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;
/// How many requests run concurrently.
const CONCURRENCY: usize = 16;

/// The parts of a body, of a notification that was received at `received_at`.
pub(super) fn split(body: &StoredBody, received_at: Timestamp) -> BodyParts {
    let count =
        u32::try_from(body.bytes.chunks(MAX_PART_BYTES).len()).expect("a body has at most 8 MiB");
    BodyParts {
        digest: Sha256::digest(&body.bytes).into(),
        count,
        received_at,
    }
}

/// Writes the parts of a body. Replaces those of an earlier attempt. Their intent must be open.
pub(super) async fn write(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    body: &StoredBody,
) -> Result<(), InboxError> {
    let writes = (0..parts.count).map(|number| {
        let item = TableItem::from([
            (PK.to_owned(), text(names::part(key, &parts.digest, number))),
            ("bytes".to_owned(), binary(slice(body, number))),
            ("received_at".to_owned(), instant(parts.received_at)),
        ]);
        inbox.send_put(inbox.put(item))
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

/// Reads a body; `None` if a part is missing.
pub(super) async fn read(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<Option<Bytes>, InboxError> {
    let read = read_each(inbox, key, parts, |part| {
        item::bytes_of(&part, "bytes").map(Bytes::copy_from_slice)
    });
    let Some(read) = read.await?.into_iter().collect::<Option<Vec<Bytes>>>() else {
        return Ok(None);
    };
    let mut body = BytesMut::with_capacity(read.iter().map(Bytes::len).sum());
    read.iter().for_each(|bytes| body.extend_from_slice(bytes));
    Ok(Some(body.freeze()))
}

/// The parts that contain bytes.
pub(super) async fn copies(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<Vec<BodyCopy>, InboxError> {
    let copies = read_each(inbox, key, parts, |part| {
        Some(BodyCopy {
            location: item::text_of(&part, PK)?.to_owned(),
            bytes: item::bytes_of(&part, "bytes")?.len(),
        })
    });
    Ok(copies.await?.into_iter().flatten().collect())
}

/// The `received_at` of each part, which shows which request wrote it; `None` if it is missing.
pub(super) async fn written(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<Vec<Option<Timestamp>>, InboxError> {
    read_each(inbox, key, parts, |part| {
        item::instant_of(&part, "received_at")
    })
    .await
}

/// Applies `read` to each part, in order.
async fn read_each<T>(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    read: impl Fn(TableItem) -> Option<T>,
) -> Result<Vec<Option<T>>, InboxError> {
    let reads = (0..parts.count).map(|number| {
        let (pk, read) = (names::part(key, &parts.digest, number), &read);
        async move { Ok::<_, InboxError>(inbox.read(&pk).await?.and_then(read)) }
    });
    stream::iter(reads)
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}

/// Removes the expiry of parts, before their row is open again.
pub(super) async fn remove_expiry(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).map(|number| update(inbox, key, parts, number));
    send_all(inbox, updates.map(|part| part.remove("expires_at"))).await
}

/// Sets the expiry of parts to a week after that of their finished row.
pub(super) async fn set_expiry(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    let expires_at = expiry(row_expires_at.plus(KEPT_AFTER_ROWS));
    let updates = (0..parts.count).map(|number| update(inbox, key, parts, number));
    let updates = updates.map(|part| part.set("expires_at", expires_at.clone()));
    send_all(inbox, updates).await
}

/// Erases the bytes of parts. Their empty items expire at `now`.
pub(super) async fn erase(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    now: Timestamp,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).map(|number| update(inbox, key, parts, number));
    send_all(inbox, updates.map(|part| erase_bytes(part, now))).await
}

/// Erases the bytes of parts whose `received_at` is still that in `written`.
pub(super) async fn erase_written(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    written: Vec<Option<Timestamp>>,
    now: Timestamp,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).zip(written).filter_map(|(number, at)| {
        let part = update(inbox, key, parts, number).only_if("received_at = :received_at");
        Some(erase_bytes(part.value(":received_at", instant(at?)), now))
    });
    send_all(inbox, updates).await
}

fn erase_bytes(part: UpdateExpression, now: Timestamp) -> UpdateExpression {
    part.remove("bytes").set("expires_at", expiry(now))
}

/// An update of one part, if it still exists.
fn update(inbox: &DynamoInbox, key: &Key, parts: &BodyParts, number: u32) -> UpdateExpression {
    UpdateExpression::of(inbox, names::part(key, &parts.digest, number))
        .only_if("attribute_exists(pk)")
        .without_item()
}

async fn send_all(
    inbox: &DynamoInbox,
    updates: impl Iterator<Item = UpdateExpression>,
) -> Result<(), InboxError> {
    stream::iter(updates.map(|update| update.send(inbox)))
        .buffer_unordered(CONCURRENCY)
        .try_for_each(|_| async { Ok(()) })
        .await
}
