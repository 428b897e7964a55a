//! Reads of one row, and queries of the pending index.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox,
    claim::stored_body,
    item,
    names::{INDEX, PK, TableItem, instant, number, text},
};
use crate::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{DueRange, InboxError, PendingEvent, PendingGauges, Row, SourceFilter, due_ranges},
};

/// The partitions of the pending index.
pub(super) const INDEX_PARTITIONS: [&str; 3] = ["open", "dead", "held"];

/// How many shards are queried concurrently.
pub(super) const CONCURRENCY: usize = 16;

/// The attributes of a row in the index.
#[derive(Clone, Debug)]
pub(super) struct PendingRow {
    pub(super) key: Key,
    pub(super) due_at: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) event_type: String,
    pub(super) subject: Option<String>,
}

impl PendingRow {
    fn read(item: &TableItem) -> Option<Self> {
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
    /// Reads one item.
    pub(super) async fn read(&self, pk: &str) -> Result<Option<TableItem>, InboxError> {
        let read = self
            .client
            .get_item()
            .table_name(&self.settings.table)
            .key(PK, text(pk))
            .consistent_read(true);
        let read = read.send().await;
        Ok(read.map_err(|error| self.failed("GetItem", &error))?.item)
    }

    /// A query of one partition of the index, as `:shelf`.
    pub(super) fn query_index(&self, partition: impl Into<String>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.settings.table)
            .index_name(INDEX)
            .expression_attribute_values(":shelf", text(partition))
    }

    /// Sends a query. Returns its items, and where the next page begins.
    pub(super) async fn send_query(
        &self,
        query: QueryFluentBuilder,
    ) -> Result<(Vec<TableItem>, Option<TableItem>), InboxError> {
        let page = query.send().await;
        let page = page.map_err(|error| self.failed("Query", &error))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty());
        Ok((page.items.unwrap_or_default(), next))
    }

    /// The rows of a partition whose `due_at` is in `range`, at most `limit` of each shard.
    pub(super) async fn pending_rows(
        &self,
        partition: &str,
        range: Option<DueRange>,
        limit: usize,
        sources: &SourceFilter,
    ) -> Result<Vec<PendingRow>, InboxError> {
        let shards = (0..self.settings.shards)
            .map(|shard| self.shard_rows(format!("{partition}:{shard}"), range, limit, sources));
        let found: Vec<Vec<PendingRow>> = stream::iter(shards)
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn shard_rows(
        &self,
        shard: String,
        range: Option<DueRange>,
        limit: usize,
        sources: &SourceFilter,
    ) -> Result<Vec<PendingRow>, InboxError> {
        let (mut found, mut start): (Vec<PendingRow>, Option<TableItem>) = (Vec::new(), None);
        loop {
            let (items, next) = self.page(&shard, range, start).await?;
            let rows = items.iter().filter_map(PendingRow::read);
            found.extend(rows.filter(|row| sources.includes(row.key.source())));
            start = next;
            if start.is_none() || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// One page of a shard of the index.
    pub(super) async fn page(
        &self,
        shard: &str,
        range: Option<DueRange>,
        start: Option<TableItem>,
    ) -> Result<(Vec<TableItem>, Option<TableItem>), InboxError> {
        let query = self.query_index(shard).set_exclusive_start_key(start);
        let query = match range {
            None => query.key_condition_expression("shelf = :shelf"),
            // BETWEEN includes both ends.
            Some(range) => query
                .key_condition_expression("shelf = :shelf AND due_at BETWEEN :first AND :until")
                .expression_attribute_values(":first", number(range.after.as_millis() + 1))
                .expression_attribute_values(":until", instant(range.until)),
        };
        self.send_query(query).await
    }

    /// The first rows of a shard, at most `limit`, in one query.
    pub(super) async fn first_rows(
        &self,
        shard: String,
        limit: usize,
    ) -> Result<Vec<PendingRow>, InboxError> {
        let query = self
            .query_index(shard)
            .key_condition_expression("shelf = :shelf")
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let (items, _) = self.send_query(query).await?;
        Ok(items.iter().filter_map(PendingRow::read).collect())
    }
}

/// The due open rows, longest due first.
pub(super) async fn find_due(
    inbox: &DynamoInbox,
    sources: &SourceFilter,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Key>, InboxError> {
    let mut due: Vec<PendingRow> = Vec::new();
    for range in due_ranges(now) {
        let limit = limit - due.len();
        if limit > 0 {
            let mut found = inbox
                .pending_rows("open", Some(range), limit, sources)
                .await?;
            found.sort_by(|a, b| (a.due_at, &a.key).cmp(&(b.due_at, &b.key)));
            found.truncate(limit);
            due.append(&mut found);
        }
    }
    Ok(due.into_iter().map(|row| row.key).collect())
}

/// One row with its body.
pub(super) async fn get(inbox: &DynamoInbox, key: &Key) -> Result<Option<Row>, InboxError> {
    let Some(item) = inbox.read(key.as_str()).await? else {
        return Ok(None);
    };
    let read = item::read(&item)?;
    let body = match stored_body(inbox, &read).await? {
        Some(body) => {
            let damaged = |_| InboxError::Damaged {
                key: key.clone(),
                what: "its bytes cannot be unpacked",
            };
            Some(body.unpack().map_err(damaged)?)
        }
        None => None,
    };
    Ok(Some(Row { body, ..read.row }))
}

/// The open, dead and held rows of a source with one of these subjects.
pub(super) async fn pending_events(
    inbox: &DynamoInbox,
    source: &SourceName,
    subjects: &BTreeSet<String>,
) -> Result<Vec<PendingEvent>, InboxError> {
    let sources = SourceFilter::Only(source.as_str().to_owned());
    let mut events = Vec::new();
    for partition in INDEX_PARTITIONS {
        let pending = inbox
            .pending_rows(partition, None, usize::MAX, &sources)
            .await?;
        events.extend(pending.into_iter().filter_map(|row| {
            let subject = row.subject.filter(|subject| subjects.contains(subject))?;
            Some(PendingEvent {
                key: row.key,
                event_type: row.event_type,
                subject,
            })
        }));
    }
    Ok(events)
}

/// At most `limit` keys of pending rows that begin with `prefix`.
pub(super) async fn pending_keys_with_prefix(
    inbox: &DynamoInbox,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Key>, InboxError> {
    let mut keys = Vec::new();
    for partition in INDEX_PARTITIONS {
        let rows = inbox
            .pending_rows(partition, None, usize::MAX, &SourceFilter::ALL)
            .await?;
        let begins = |key: &Key| key.as_str().starts_with(prefix);
        keys.extend(rows.into_iter().map(|row| row.key).filter(begins));
    }
    keys.truncate(limit);
    Ok(keys)
}

/// Counts the first rows of each shard.
pub(super) async fn pending_gauges(
    inbox: &DynamoInbox,
    open_before: Timestamp,
    limit: usize,
) -> Result<PendingGauges, InboxError> {
    let states = [State::Recorded, State::Dead, State::Held];
    let shards = (0..inbox.settings.shards).flat_map(|shard| states.map(|state| (state, shard)));
    let read = shards.filter_map(|(state, shard)| {
        let name = format!("{}:{shard}", state.index_partition()?);
        Some(async move { Ok((state, inbox.first_rows(name, limit).await?)) })
    });
    let mut gauges = PendingGauges::default();
    let mut read = stream::iter(read).buffer_unordered(CONCURRENCY);
    while let Some((state, rows)) = read.try_next().await? {
        for row in rows {
            gauges += PendingGauges::of_row(state, &row.key, row.received_at, open_before);
        }
    }
    Ok(gauges)
}
