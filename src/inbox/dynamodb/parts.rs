//! Bodies that are too long for a row: separate items, written before the row that names them.
//!
//! No row may name parts that are missing, and no part may expire before its row does. So parts
//! are born without an expiry, and get one only when their row is finished; an intent makes sure
//! that they do.

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

/// Longer stored bodies are split into parts, so that a row and every later write of it stay small.
pub(super) const MAX_INLINE_BYTES: usize = 8 * 1024;
/// An item may have 400 KB.
const MAX_PART_BYTES: usize = 350 * 1024;
/// How many requests run at once.
const CONCURRENCY: usize = 16;

/// The parts of the body of a notification that was received at `received_at`.
pub(super) fn split(body: &StoredBody, received_at: Timestamp) -> BodyParts {
    let count =
        u32::try_from(body.bytes.chunks(MAX_PART_BYTES).len()).expect("a body has at most 8 MiB");
    BodyParts {
        digest: Sha256::digest(&body.bytes).into(),
        count,
        received_at,
    }
}

/// Writes the parts of a body, over those of an earlier attempt. Their intent must be open.
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

/// Reads a body; `None` if a part of it is missing.
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

/// The parts that hold bytes: the name of each, and how many it holds.
pub(super) async fn copies(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<Vec<BodyCopy>, InboxError> {
    let copies = read_each(inbox, key, parts, |part| {
        Some(BodyCopy {
            place: item::text_of(&part, PK)?.to_owned(),
            bytes: item::bytes_of(&part, "bytes")?.len(),
        })
    });
    Ok(copies.await?.into_iter().flatten().collect())
}

/// When each part was written, by the notification's time of reception; `None` for a part that is
/// missing.
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

/// Reads something from each part, in order.
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

/// Lets parts expire a week after their row, which is finished.
pub(super) async fn set_expiry(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    let expires_at = expiry(row_expires_at.plus(KEPT_AFTER_ROWS));
    let updates = (0..parts.count).map(|number| update(inbox, key, parts, number));
    send_all(
        inbox,
        updates.map(|part| part.set("expires_at", expires_at.clone())),
    )
    .await
}

/// Erases the bytes of parts. Their empty items expire at `now`.
pub(super) async fn erase(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    now: Timestamp,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).map(|number| update(inbox, key, parts, number));
    send_all(inbox, updates.map(|part| emptied(part, now))).await
}

/// Erases the bytes of parts that are still those of `written`.
pub(super) async fn erase_written(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    written: Vec<Option<Timestamp>>,
    now: Timestamp,
) -> Result<(), InboxError> {
    let updates = (0..parts.count).zip(written).filter_map(|(number, at)| {
        let part = update(inbox, key, parts, number).only_if("received_at = :received_at");
        Some(emptied(part.value(":received_at", instant(at?)), now))
    });
    send_all(inbox, updates).await
}

fn emptied(part: UpdateExpression, now: Timestamp) -> UpdateExpression {
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
