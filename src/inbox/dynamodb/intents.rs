//! Intents: a log of the parts that are being written or changed, so that none are left behind.
//!
//! The parts of a long body are written before their row and changed after it. A process that ends
//! in between leaves bytes that no row owns, or parts that never expire, and finding those would
//! mean reading the whole table. So a small item, the intent, names the parts in the pending index
//! before they are written. It is closed when the row is finished and the parts agree with it. The
//! sweep finds the intents that stay open, and makes their parts agree with the row:
//! [`settle_due`].
//!
//! The parts of a finished row get its expiry, those of an unfinished row are not changed, and
//! parts that no row names are erased. If there is no row, its writer may be slow, so the parts are
//! first marked as suspected orphans, and erased [`ORPHAN_GRACE`] later. A writer that continues
//! replaces the intent and the parts, which then have a different `received_at`. The erasure is
//! conditional on `received_at`, so it does not erase them.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoInbox,
    change::{ConditionalWrite, UpdateExpression},
    item,
    names::{self, PK, TableItem, expiry, instant, text},
    parts,
};
use crate::{
    domain::{Key, Timestamp},
    inbox::{BodyParts, InboxError, due_ranges},
};

/// How long a write or a change may take before the sweep checks its intent.
const SETTLE_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a suspected orphan is kept. A sender repeats a request sooner.
const ORPHAN_GRACE: Duration = Duration::from_secs(6 * 60 * 60);
/// How often the intent of an unfinished row is checked.
const UNFINISHED_INTERVAL: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// An open intent.
#[derive(Clone, Debug)]
pub(super) struct BodyIntent {
    pub(super) key: Key,
    pub(super) parts: BodyParts,
    due_at: Timestamp,
    is_suspected: bool,
}

impl BodyIntent {
    /// Reads the item of an intent; `None` if it is closed.
    fn read(item: &TableItem) -> Option<Self> {
        let (key, digest, count) = names::parse_intent(item::text_of(item, PK)?)?;
        Some(Self {
            key,
            parts: BodyParts {
                digest,
                count,
                received_at: item::instant_of(item, "received_at")?,
            },
            due_at: item::instant_of(item, "due_at")?,
            is_suspected: item.contains_key("suspected"),
        })
    }

    fn update(&self, inbox: &DynamoInbox) -> UpdateExpression {
        update(inbox, &self.key, &self.parts)
            .only_if("due_at = :due_at")
            .value(":due_at", instant(self.due_at))
    }

    /// Postpones the next check to `due_at`. Returns `false` if the intent was replaced or closed.
    async fn postpone(
        &self,
        inbox: &DynamoInbox,
        due_at: Timestamp,
        is_suspected: bool,
    ) -> Result<bool, InboxError> {
        let suspected = is_suspected.then_some(AttributeValue::Bool(true));
        let update = self
            .update(inbox)
            .set("due_at", instant(due_at))
            .set_or_remove("suspected", suspected);
        let written = update.send(inbox).await?;
        Ok(matches!(written, ConditionalWrite::Written(_)))
    }
}

/// Opens the intent of parts that are written or changed at `now`.
pub(super) async fn open(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
    now: Timestamp,
) -> Result<(), InboxError> {
    let partition = names::intent_partition(key, inbox.settings.shards);
    let item = TableItem::from([
        (PK.to_owned(), text(names::intent(key, parts))),
        ("shelf".to_owned(), text(partition)),
        ("due_at".to_owned(), instant(now.plus(SETTLE_AFTER))),
        ("received_at".to_owned(), instant(parts.received_at)),
    ]);
    inbox.send_put(inbox.put(item)).await.map(drop)
}

/// Closes the intent of parts that agree with their row, unless another writer has replaced it.
pub(super) async fn close(
    inbox: &DynamoInbox,
    key: &Key,
    parts: &BodyParts,
) -> Result<(), InboxError> {
    let update = update(inbox, key, parts)
        .remove("shelf")
        .remove("due_at")
        .set("expires_at", expiry(parts.received_at));
    update.send(inbox).await.map(drop)
}

fn update(inbox: &DynamoInbox, key: &Key, parts: &BodyParts) -> UpdateExpression {
    UpdateExpression::of(inbox, names::intent(key, parts))
        .only_if("received_at = :received_at")
        .value(":received_at", instant(parts.received_at))
}

/// The open intents of a key: that of its row, and those of copies without a row of their own.
pub(super) async fn of_key(inbox: &DynamoInbox, key: &Key) -> Result<Vec<BodyIntent>, InboxError> {
    let partition = names::intent_partition(key, inbox.settings.shards);
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let (items, next) = inbox.page(&partition, None, start).await?;
        for item in items.iter().filter(|item| is_of(key, item)) {
            // The index is a moment behind, so the intent itself is read.
            let pk = item::text_of(item, PK).unwrap_or_default();
            let stored = inbox.read(pk).await?;
            found.extend(stored.as_ref().and_then(BodyIntent::read));
        }
        start = next;
        if start.is_none() {
            return Ok(found);
        }
    }
}

fn is_of(key: &Key, item: &TableItem) -> bool {
    item::text_of(item, PK)
        .and_then(names::parse_intent)
        .is_some_and(|(of, _, _)| of == *key)
}

/// Makes the parts of due intents agree with their rows, at most `limit` of each shard. Returns how
/// many bodies were erased because no row owns them.
///
/// # Errors
/// The first error, after every intent was tried.
pub(super) async fn settle_due(
    inbox: &DynamoInbox,
    now: Timestamp,
    limit: usize,
) -> Result<usize, InboxError> {
    let (mut erased, mut failure) = (0, None);
    let [past, _] = due_ranges(now);
    for partition in names::intent_partitions(inbox.settings.shards) {
        let (due, _) = inbox.page(&partition, Some(past), None).await?;
        let due = due.iter().filter_map(|item| item::text_of(item, PK));
        for pk in due.take(limit) {
            match settle(inbox, pk, now).await {
                Ok(is_erased) => erased += usize::from(is_erased),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
    }
    failure.map_or(Ok(erased), Err)
}

/// Makes the parts of one intent agree with its row. Returns whether they were erased.
async fn settle(inbox: &DynamoInbox, pk: &str, now: Timestamp) -> Result<bool, InboxError> {
    let stored = inbox.read(pk).await?;
    let intent = stored.as_ref().and_then(BodyIntent::read);
    let Some(intent) = intent.filter(|intent| intent.due_at <= now) else {
        return Ok(false); // the index is a moment behind
    };
    let unfinished = now.plus(UNFINISHED_INTERVAL);
    let row = inbox.read(intent.key.as_str()).await?;
    let row = match row.as_ref().map(item::read).transpose() {
        // A later version of this program settles its own rows.
        Err(InboxError::NewerRow { .. }) => {
            intent.postpone(inbox, unfinished, false).await?;
            return Ok(false);
        }
        read => read?,
    };
    match row {
        None if !intent.is_suspected => {
            intent.postpone(inbox, now.plus(ORPHAN_GRACE), true).await?;
            Ok(false)
        }
        Some(read)
            if read
                .parts
                .as_ref()
                .is_some_and(|parts| parts.digest == intent.parts.digest) =>
        {
            match read.row.expires_at {
                None => drop(intent.postpone(inbox, unfinished, false).await?),
                Some(at) => {
                    parts::set_expiry(inbox, &intent.key, &intent.parts, at).await?;
                    close(inbox, &intent.key, &intent.parts).await?;
                }
            }
            Ok(false)
        }
        _ => erase_orphan(inbox, &intent, now).await,
    }
}

/// Erases parts that no row owns, unless a writer has written them again.
pub(super) async fn erase_orphan(
    inbox: &DynamoInbox,
    intent: &BodyIntent,
    now: Timestamp,
) -> Result<bool, InboxError> {
    let written = parts::written(inbox, &intent.key, &intent.parts).await?;
    // A writer that replaces the intent after this write also replaces the parts.
    let next = now.plus(SETTLE_AFTER);
    if !intent.postpone(inbox, next, intent.is_suspected).await? {
        return Ok(false);
    }
    parts::erase_written(inbox, &intent.key, &intent.parts, written, now).await?;
    close(inbox, &intent.key, &intent.parts).await?;
    Ok(true)
}
