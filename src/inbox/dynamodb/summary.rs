//! The summary of the table, from one query of each shard of the index and a few rows.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox, list,
    names::index_partition_of,
    query::{CONCURRENCY, PendingRow},
};
use crate::{
    domain::{Key, State},
    inbox::{InboxError, InboxSummary, MAX_RETRYING_ROWS, Row, StateSummary, SummaryRequest},
};

/// How many held rows are read for their reasons, which the index does not have.
const MAX_REASONS: usize = 100;

/// The summary of the first rows of each shard.
pub(super) async fn summary(
    inbox: &DynamoInbox,
    request: &SummaryRequest,
) -> Result<InboxSummary, InboxError> {
    let (open, dead, held) = tokio::try_join!(
        IndexedRows::read(inbox, "open", request.limit),
        IndexedRows::read(inbox, "dead", request.limit),
        IndexedRows::read(inbox, "held", request.limit),
    )?;
    let (retrying, held_rows) = tokio::try_join!(
        list::rows_of(inbox, open.last_due(MAX_RETRYING_ROWS)),
        list::rows_of(inbox, held.last_due(MAX_REASONS)),
    )?;
    // A row may have changed since the index listed it.
    let is_retrying = |row: &Row| row.state == State::Recorded && row.attempts > 0;
    let mut held_reasons = BTreeMap::<String, usize>::new();
    for row in held_rows {
        if row.state == State::Held {
            *held_reasons
                .entry(row.reason.unwrap_or_default())
                .or_default() += 1;
        }
    }
    let overdue = open.rows.iter();
    let overdue = overdue.filter(|row| row.received_at < request.overdue_before);
    Ok(InboxSummary {
        overdue: overdue.count(),
        open: open.summary,
        retrying: retrying.into_iter().filter(is_retrying).collect(),
        dead: dead.summary,
        held: held.summary,
        held_reasons,
        expired: None, // DynamoDB removes them
    })
}

/// The first rows of each shard of a partition.
struct IndexedRows {
    rows: Vec<PendingRow>,
    summary: StateSummary,
}

impl IndexedRows {
    /// Reads about `limit` rows, equally many of each shard, because keys are spread evenly.
    async fn read(inbox: &DynamoInbox, partition: &str, limit: usize) -> Result<Self, InboxError> {
        let shards = inbox.settings.shards.max(1);
        let limit = limit.div_ceil(shards as usize);
        let reads = (0..shards).map(|shard| {
            let name = index_partition_of(partition, shard);
            inbox.first_rows(name, limit + 1)
        });
        let mut shards = stream::iter(reads).buffer_unordered(CONCURRENCY);
        let (mut rows, mut summary) = (Vec::new(), StateSummary::default());
        while let Some(mut shard) = shards.try_next().await? {
            let times = shard.iter().map(|row| row.received_at);
            summary += StateSummary::of_times(times, limit);
            shard.truncate(limit);
            rows.append(&mut shard);
        }
        rows.sort_by_key(|row| row.due_at);
        Ok(Self { rows, summary })
    }

    /// The keys of the `limit` rows that are due last.
    fn last_due(&self, limit: usize) -> Vec<Key> {
        let last = self.rows.iter().rev().take(limit);
        last.map(|row| row.key.clone()).collect()
    }
}
