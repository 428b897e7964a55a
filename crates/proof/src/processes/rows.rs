//! Reads all rows of an inbox.

use std::time::Duration;

use pillarbox::{
    domain::{Key, State},
    inbox::{PageRequest, ReadInbox, Row, RowFilter, dynamodb::DynamoInbox},
};
use test_support::table;
use tokio::time::{Instant, sleep};

use super::recorder::{FoundRow, HistoryRecorder};
use crate::{
    history::{RowState, Sha256Digest},
    simulate::content::digest_of,
};

/// More rows than in any run.
const ALL: usize = 10_000_000;
/// The number of attempts to read, since a busy machine may be too slow.
const READS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

async fn rows(inbox: &impl ReadInbox) -> Vec<Row> {
    let filter = RowFilter::default();
    for _ in 0..READS {
        if let Ok(page) = inbox.list(&filter, PageRequest::first(ALL)).await {
            return page.rows;
        }
        sleep(PAUSE).await;
    }
    panic!("the inbox cannot be listed");
}

/// One row with its body.
async fn read_row_with_body(inbox: &impl ReadInbox, key: &Key) -> Option<Row> {
    for _ in 0..READS {
        if let Ok(row) = inbox.get(key).await {
            return row;
        }
        sleep(PAUSE).await;
    }
    panic!("{key} cannot be read");
}

/// All rows.
pub(crate) async fn found_rows(inbox: &impl ReadInbox) -> Vec<FoundRow> {
    let found = rows(inbox).await.into_iter().map(|row| FoundRow {
        key: row.key.as_str().to_owned(),
        state: row.state.into(),
        reason: row.reason.unwrap_or_default(),
        digest: row.digest,
    });
    found.collect()
}

/// The keys and attempts of the open rows.
async fn open_rows(inbox: &impl ReadInbox) -> Vec<(String, u32)> {
    let open = rows(inbox).await.into_iter();
    open.filter(|row| row.state == State::Recorded)
        .map(|row| (row.key.as_str().to_owned(), row.attempts))
        .collect()
}

/// Waits until all rows of a table are delivered, within `limit`. Whenever no work is in progress,
/// makes the open rows due now and ends their leases.
pub(crate) async fn drain_table(inbox: &DynamoInbox, recorder: &HistoryRecorder, limit: Duration) {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        recorder.wait_until_quiet(limit).await;
        let mut open = open_rows(inbox).await;
        if open.is_empty() {
            return;
        }
        open.retain(|(key, _)| recorder.is_at_rest(key));
        recorder.record_ended_leases(&open);
        table::lapse_leases(inbox.table(), &open).await;
    }
}

/// All rows at the end, with the digests of their stored bodies.
pub(crate) async fn remaining_rows(
    inbox: &impl ReadInbox,
) -> Vec<(String, RowState, Option<Sha256Digest>)> {
    let mut left = Vec::new();
    for row in rows(inbox).await {
        let whole = read_row_with_body(inbox, &row.key).await;
        let body = whole.and_then(|row| row.body);
        let digest = body.map(|body| digest_of(&body));
        left.push((row.key.as_str().to_owned(), row.state.into(), digest));
    }
    left
}
