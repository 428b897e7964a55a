//! What an inbox holds.

use std::time::Duration;

use pillarbox::{
    domain::{Key, State},
    inbox::{PageRequest, ReadInbox, Row, RowFilter, dynamodb::DynamoInbox},
};
use test_support::table;
use tokio::time::{Instant, sleep};

use super::{
    recorder::{FoundRow, HistoryRecorder},
    table_calls::state_of,
};
use crate::{
    history::{RowState, Sha256Digest},
    simulate::content::digest_of,
};

/// More rows than any run makes.
const ALL: usize = 10_000_000;
/// How often a read is repeated that a starved machine was too slow for, and the time between.
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

/// One row with its bytes.
async fn whole_row(inbox: &impl ReadInbox, key: &Key) -> Option<Row> {
    for _ in 0..READS {
        if let Ok(row) = inbox.get(key).await {
            return row;
        }
        sleep(PAUSE).await;
    }
    panic!("{key} cannot be read");
}

fn state(state: State) -> RowState {
    state_of(state.as_str())
}

/// Every row, as it is listed.
pub(crate) async fn found_rows(inbox: &impl ReadInbox) -> Vec<FoundRow> {
    let found = rows(inbox).await.into_iter().map(|row| FoundRow {
        key: row.key.as_str().to_owned(),
        state: state(row.state),
        reason: row.reason.unwrap_or_default(),
        digest: row.digest,
    });
    found.collect()
}

/// The keys and attempts of the rows that are open.
async fn open_rows(inbox: &impl ReadInbox) -> Vec<(String, u32)> {
    let open = rows(inbox).await.into_iter();
    open.filter(|row| row.state == State::Recorded)
        .map(|row| (row.key.as_str().to_owned(), row.attempts))
        .collect()
}

/// Has everything on a table be delivered, within `limit`. Whenever nothing is under way, what is
/// left is due at once, and no lease holds it.
pub(crate) async fn drain_table(inbox: &DynamoInbox, recorder: &HistoryRecorder, limit: Duration) {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        recorder.is_quiet(limit).await;
        let mut open = open_rows(inbox).await;
        if open.is_empty() {
            return;
        }
        open.retain(|(key, _)| recorder.is_at_rest(key));
        recorder.lapsed(&open);
        table::lapse_leases(inbox.table(), &open).await;
    }
}

/// Every row at the end, with the digest of the bytes that it really has.
pub(crate) async fn rows_left(
    inbox: &impl ReadInbox,
) -> Vec<(String, RowState, Option<Sha256Digest>)> {
    let mut left = Vec::new();
    for row in rows(inbox).await {
        let whole = whole_row(inbox, &row.key).await;
        let body = whole.and_then(|row| row.body);
        let digest = body.map(|body| digest_of(&body));
        left.push((row.key.as_str().to_owned(), state(row.state), digest));
    }
    left
}
