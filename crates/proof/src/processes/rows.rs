//! What an inbox holds.

use pillarbox::{
    domain::State,
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
};

use super::{recorder::FoundRow, table_calls::state_of};
use crate::{
    history::{Digest, RowState},
    simulate::content::digest_of,
};

/// More rows than any run makes.
const ALL: usize = 10_000_000;

async fn rows(inbox: &impl ReadInbox) -> Vec<Row> {
    let filter = RowFilter::default();
    let page = inbox.list(&filter, PageRequest::first(ALL)).await;
    page.expect("the inbox can be read").rows
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

/// The keys of the rows that are open.
pub(crate) async fn open_keys(inbox: &impl ReadInbox) -> Vec<String> {
    let open = found_rows(inbox).await.into_iter();
    open.filter(|row| row.state == RowState::Open)
        .map(|row| row.key)
        .collect()
}

/// Every row at the end, with the digest of the bytes that it really has.
pub(crate) async fn rows_left(inbox: &impl ReadInbox) -> Vec<(String, RowState, Option<Digest>)> {
    let mut left = Vec::new();
    for row in rows(inbox).await {
        let whole = inbox.get(&row.key).await.expect("the inbox can be read");
        let body = whole.and_then(|row| row.body);
        let digest = body.map(|body| digest_of(&body));
        left.push((row.key.as_str().to_owned(), state(row.state), digest));
    }
    left
}
