//! Questions with short answers: one row, what is due, what waits.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox,
    claim::stored,
    item,
    names::{INDEX, PK, TableItem, instant, text},
};
use crate::{
    domain::{Key, SourceName, Timestamp},
    inbox::{InboxError, PendingEvent, Row, SourceFilter},
};

/// What waits for someone: open, dead and held.
pub(super) const SHELVES: [&str; 3] = ["open", "dead", "held"];

/// How many shards are asked at once.
const AT_ONCE: usize = 16;

/// What waits on one shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingIndex {
    /// `open`, `dead` or `held`.
    pub name: &'static str,
    /// How many rows.
    pub rows: usize,
    /// When the oldest of them was received.
    pub oldest: Timestamp,
}

/// What the index says of a row.
#[derive(Clone, Debug)]
pub(super) struct PendingRow {
    pub(super) key: Key,
    pub(super) due_at: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) event_type: String,
    pub(super) subject: Option<String>,
}

impl PendingRow {
    fn of(item: &TableItem) -> Option<Self> {
        Some(Self {
            key: Key::parse(item::text_of(item, PK)?)?,
            due_at: item::instant_of(item, "due_at")?,
            received_at: item::instant_of(item, "received_at")?,
            event_type: item::text_of(item, "event_type")?.to_owned(),
            subject: item::text_of(item, "subject").map(str::to_owned),
        })
    }
}

impl DynamoInbox {
    /// One item as it is now.
    pub(super) async fn read(&self, pk: &str) -> Result<Option<TableItem>, InboxError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.settings.table)
            .key(PK, text(pk))
            .consistent_read(true);
        Ok(read
            .send()
            .await
            .map_err(|error| self.failed("GetItem", &error))?
            .item)
    }

    /// Everything on a shelf that was due by `until`, shard by shard.
    pub(super) async fn shelf(
        &self,
        name: &str,
        until: Option<Timestamp>,
        most: usize,
        whose: &SourceFilter,
    ) -> Result<Vec<PendingRow>, InboxError> {
        let shards = (0..self.settings.shards)
            .map(|shard| self.shard(format!("{name}:{shard}"), until, most, whose));
        let found: Vec<Vec<PendingRow>> = stream::iter(shards)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn shard(
        &self,
        shard: String,
        until: Option<Timestamp>,
        most: usize,
        whose: &SourceFilter,
    ) -> Result<Vec<PendingRow>, InboxError> {
        let (mut found, mut start): (Vec<PendingRow>, Option<TableItem>) = (Vec::new(), None);
        loop {
            let page = self.page(&shard, until, start).await?;
            found.extend(
                page.0
                    .iter()
                    .filter_map(PendingRow::of)
                    .filter(|row| is_of(whose, &row.key)),
            );
            start = page.1;
            if start.is_none() || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    async fn page(
        &self,
        shard: &str,
        until: Option<Timestamp>,
        start: Option<TableItem>,
    ) -> Result<(Vec<TableItem>, Option<TableItem>), InboxError> {
        let query = self
            .client
            .query()
            .table_name(&self.settings.table)
            .index_name(INDEX)
            .set_exclusive_start_key(start);
        let query = query.expression_attribute_values(":shelf", text(shard));
        let query = match until {
            None => query.key_condition_expression("shelf = :shelf"),
            Some(until) => query
                .key_condition_expression("shelf = :shelf AND due_at <= :until")
                .expression_attribute_values(":until", instant(until)),
        };
        let page = query
            .send()
            .await
            .map_err(|error| self.failed("Query", &error))?;
        Ok((
            page.items.unwrap_or_default(),
            page.last_evaluated_key.filter(|key| !key.is_empty()),
        ))
    }
}

fn is_of(whose: &SourceFilter, key: &Key) -> bool {
    match whose {
        SourceFilter::Only(source) => key.source() == source,
        SourceFilter::AllBut(sources) => !sources.iter().any(|source| key.source() == source),
    }
}

/// Open rows whose time has come, longest due first.
pub(super) async fn due(
    inbox: &DynamoInbox,
    whose: &SourceFilter,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Key>, InboxError> {
    let mut due = inbox.shelf("open", Some(now), limit, whose).await?;
    due.sort_by(|a, b| (a.due_at, &a.key).cmp(&(b.due_at, &b.key)));
    due.truncate(limit);
    Ok(due.into_iter().map(|row| row.key).collect())
}

/// One row whole.
pub(super) async fn get(inbox: &DynamoInbox, key: &Key) -> Result<Option<Row>, InboxError> {
    let Some(item) = inbox.read(key.as_str()).await? else {
        return Ok(None);
    };
    let read = item::read(&item)?;
    let body = match stored(inbox, &read).await? {
        Some(body) => {
            let damaged = |_| InboxError::Damaged {
                key: key.clone(),
                what: "its bytes can't be unpacked",
            };
            Some(body.unpack().map_err(damaged)?)
        }
        None => None,
    };
    Ok(Some(Row { body, ..read.row }))
}

/// The open, dead and held rows of a source about one of `subjects`.
pub(super) async fn unfinished(
    inbox: &DynamoInbox,
    source: &SourceName,
    subjects: &BTreeSet<String>,
) -> Result<Vec<PendingEvent>, InboxError> {
    let whose = SourceFilter::Only(source.as_str().to_owned());
    let mut unfinished = Vec::new();
    for name in SHELVES {
        let waiting = inbox.shelf(name, None, usize::MAX, &whose).await?;
        unfinished.extend(waiting.into_iter().filter_map(|row| {
            let subject = row.subject.filter(|subject| subjects.contains(subject))?;
            Some(PendingEvent {
                key: row.key,
                event_type: row.event_type,
                subject,
            })
        }));
    }
    Ok(unfinished)
}

/// What still waits for someone.
pub(super) async fn shelves(inbox: &DynamoInbox) -> Result<Vec<PendingIndex>, InboxError> {
    let mut shelves = Vec::new();
    for name in SHELVES {
        let rows = inbox
            .shelf(name, None, usize::MAX, &SourceFilter::ALL)
            .await?;
        let oldest = rows.iter().map(|row| row.received_at).min();
        shelves.extend(oldest.map(|oldest| PendingIndex {
            name,
            rows: rows.len(),
            oldest,
        }));
    }
    Ok(shelves)
}
