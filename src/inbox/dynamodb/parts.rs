//! Bodies that are too long for a row: items of their own, written before the row that names them.
//!
//! A row that names items which are not there must be impossible, and so must bytes that expire
//! before their row does.

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

/// Bodies longer than this as stored lie apart, so that a row and its every later write stay small.
pub(super) const INLINE: usize = 8 * 1024;
/// The longest part; an item may have 400 KB.
const PART: usize = 350 * 1024;
/// How many parts are on their way at once.
const AT_ONCE: usize = 16;

/// Which items a body lies in.
pub(super) fn of(body: &StoredBody) -> BodyParts {
    let count = u32::try_from(body.bytes.chunks(PART).len()).expect("a body has at most 8 MiB");
    BodyParts {
        digest: Sha256::digest(&body.bytes).into(),
        count,
        are_as_born: true,
    }
}

/// Writes the parts of a body. Says whether one of them was there before.
///
/// A part that is there is left alone, whoever wrote it: it is named by its bytes. Only what would
/// expire before its row could, left behind by an attempt that ended between its parts and its row,
/// is written again. A held row's parts have no expiry, since a held row has none.
pub(super) async fn write(
    inbox: &DynamoInbox,
    entry: &Entry,
    parts: &BodyParts,
    body: &StoredBody,
) -> Result<bool, InboxError> {
    let writes =
        (0..parts.count).map(|number| write_one(inbox, entry, parts, number, slice(body, number)));
    let there: Vec<bool> = stream::iter(writes)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(there.contains(&true))
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
    let put = inbox.put(one(&entry.key, parts, number, bytes, expires_at));
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
        ConditionalWrite::Refused(_)
    ))
}

/// Writes parts that were there before once more, without an expiry: the row that names them is held.
pub(super) async fn keep_for_good(
    inbox: &DynamoInbox,
    entry: &Entry,
    parts: &BodyParts,
    body: &StoredBody,
) -> Result<(), InboxError> {
    let writes = (0..parts.count).map(|number| {
        let put = inbox.put(one(&entry.key, parts, number, slice(body, number), None));
        inbox.send_put(put.condition_expression("attribute_not_exists(erased)"))
    });
    stream::iter(writes)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// The bytes of one part.
fn slice(body: &StoredBody, number: u32) -> Bytes {
    let begin = PART * number as usize;
    body.bytes.slice(begin..body.bytes.len().min(begin + PART))
}

fn one(
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

/// Reads a body back; `None` if a part of it is gone.
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
    let read: Vec<Option<Bytes>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let Some(read) = read.into_iter().collect::<Option<Vec<Bytes>>>() else {
        return Ok(None);
    };
    let mut whole = BytesMut::with_capacity(read.iter().map(Bytes::len).sum());
    read.iter().for_each(|bytes| whole.extend_from_slice(bytes));
    Ok(Some(whole.freeze()))
}

/// Takes the expiry off parts whose row must not lose them.
pub(super) async fn keep(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<(), InboxError> {
    change(inbox, key, parts, |part| part.remove("expires_at")).await
}

/// Lets parts expire a week after their row.
pub(super) async fn let_expire(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    change(inbox, key, parts, |part| {
        part.set("expires_at", expiry(row_expires_at.plus(KEPT_AFTER_ROWS)))
    })
    .await
}

/// Empties parts. Their names stay taken until the row has expired, too: a duplicate writes its parts
/// before it is found out, and would bring the bytes back.
pub(super) async fn erase(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    row_expires_at: Timestamp,
) -> Result<(), InboxError> {
    change(inbox, key, parts, |part| {
        let part = part.remove("bytes").set("erased", instant(row_expires_at));
        part.set("expires_at", expiry(row_expires_at.plus(KEPT_AFTER_ROWS)))
    })
    .await
}

/// Changes every part that is still there.
async fn change(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    how: impl Fn(UpdateExpression) -> UpdateExpression,
) -> Result<(), InboxError> {
    let changes = (0..parts.count).map(|number| {
        let part = UpdateExpression::of(inbox, names::part(key, &parts.digest, number))
            .only_if("attribute_exists(pk)");
        how(part).quietly().send(inbox)
    });
    stream::iter(changes)
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
}
