//! The audit trail: one item for each entry. A separate partition of the index lists them.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox,
    item::{instant_of, number_of, text_of},
    names::{self, AUDIT_PARTITION, PK, TableItem, expiry, instant, number, text},
};
use crate::{
    domain::Timestamp,
    inbox::{AuditAction, AuditEntry, AuditOutcome, InboxError},
};

/// How many entries are read concurrently.
const CONCURRENCY: usize = 16;

/// Stores an entry. Replaces one with the same time and id.
pub(super) async fn write(
    inbox: &DynamoInbox,
    entry: &AuditEntry,
    expires_at: Timestamp,
) -> Result<(), InboxError> {
    let mut item = TableItem::from([
        (PK.to_owned(), text(names::audit(entry))),
        ("shelf".to_owned(), text(AUDIT_PARTITION)),
        ("due_at".to_owned(), instant(entry.at)),
        ("id".to_owned(), text(format!("{:016x}", entry.id))),
        ("actor".to_owned(), text(&entry.actor)),
        ("action".to_owned(), text(entry.action.as_str())),
        ("target".to_owned(), text(&entry.target)),
        ("done".to_owned(), number(entry.done)),
        ("outcome".to_owned(), text(entry.outcome.as_str())),
        ("expires_at".to_owned(), expiry(expires_at)),
    ]);
    let planned = entry.planned.map(number);
    item.extend(planned.map(|planned| ("planned".to_owned(), planned)));
    inbox.send_put(inbox.put(item)).await?;
    Ok(())
}

/// At most `limit` entries since a time, newest first.
pub(super) async fn entries(
    inbox: &DynamoInbox,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<AuditEntry>, InboxError> {
    let names = newest_names(inbox, since, limit).await?;
    let reads = names.into_iter().map(|pk| async move {
        let item = inbox.read(&pk).await?;
        item.as_ref().map(read).transpose() // `None` if it has expired
    });
    let read: Vec<Option<AuditEntry>> = stream::iter(reads)
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(read.into_iter().flatten().collect())
}

async fn newest_names(
    inbox: &DynamoInbox,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<String>, InboxError> {
    let (mut names, mut start): (Vec<String>, Option<TableItem>) = (Vec::new(), None);
    while names.len() < limit {
        let query = inbox
            .query_index(AUDIT_PARTITION)
            .key_condition_expression("shelf = :shelf AND due_at >= :since")
            .expression_attribute_values(":since", number(since.map_or(0, Timestamp::as_millis)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit - names.len()).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start);
        let (found, next) = inbox.send_query(query).await?;
        let found = found.iter().filter_map(|item| text_of(item, PK));
        names.extend(found.map(str::to_owned));
        start = next;
        if start.is_none() {
            break;
        }
    }
    Ok(names)
}

fn read(item: &TableItem) -> Result<AuditEntry, InboxError> {
    let entry = || {
        Some(AuditEntry {
            at: instant_of(item, "due_at")?,
            id: u64::from_str_radix(text_of(item, "id")?, 16).ok()?,
            actor: text_of(item, "actor")?.to_owned(),
            action: AuditAction::parse(text_of(item, "action")?)?,
            target: text_of(item, "target")?.to_owned(),
            planned: number_of(item, "planned"),
            done: number_of(item, "done")?,
            outcome: AuditOutcome::parse(text_of(item, "outcome")?)?,
        })
    };
    entry().ok_or_else(|| {
        InboxError::Unavailable(
            "this program cannot read an audit entry: run a newer Pillarbox".to_owned(),
        )
    })
}
