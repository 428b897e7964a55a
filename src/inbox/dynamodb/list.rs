//! Lists rows, newest first. Open, dead and held rows are found through the index, and the rows of
//! a payment through its ledger. For every other filter the whole table is scanned in parallel.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox, client, item, ledger,
    names::{PK, TableItem, text},
    query::{CONCURRENCY, INDEX_PARTITIONS, PendingRow},
};
use crate::{
    domain::{Key, State, Timestamp},
    inbox::{InboxError, ListCursor, PageRequest, Row, RowFilter, RowPage, SourceFilter},
};

/// How many segments of the table are scanned concurrently.
const SEGMENTS: i32 = 8;
/// Every attribute of a row except its body.
const ATTRIBUTES: [&str; 24] = [
    "pk",
    "v",
    "digest",
    "content_digest",
    "signature",
    "key_label",
    "secret_fingerprint",
    "kind",
    "event_type",
    "subject",
    "event_at",
    "received_at",
    "origin",
    "state",
    "reason",
    "attempts",
    "lease",
    "budget_from",
    "last_error",
    "due_at",
    "expires_at",
    "shelf",
    "deflated",
    "history",
];

/// How a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListStrategy {
    /// From the pending index.
    Index,
    /// From the ledger of a payment, and from the index for rows that are not yet in the ledger.
    Ledger,
    /// From the whole table.
    Scan,
}

/// The progress of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanPosition {
    /// How many items the last page had.
    pub items: usize,
}

/// How the rows of `filter` are found.
pub(super) async fn strategy(
    inbox: &DynamoInbox,
    filter: &RowFilter,
) -> Result<ListStrategy, InboxError> {
    if filter.state.and_then(State::index_partition).is_some() {
        return Ok(ListStrategy::Index);
    }
    Ok(if ledger_keys(inbox, filter).await?.is_some() {
        ListStrategy::Ledger
    } else {
        ListStrategy::Scan
    })
}

/// One page.
pub(super) async fn list(
    inbox: &DynamoInbox,
    filter: &RowFilter,
    page: &PageRequest,
) -> Result<RowPage, InboxError> {
    let newest = NewestRows::new(page);
    let sources = sources(filter);
    if let Some(partition) = filter.state.and_then(State::index_partition) {
        let pending = inbox
            .pending_rows(partition, None, usize::MAX, &sources)
            .await?;
        return fetch(inbox, filter, matching_keys(filter, pending), newest).await;
    }
    match ledger_keys(inbox, filter).await? {
        Some(mut keys) => {
            for partition in INDEX_PARTITIONS {
                let pending = inbox
                    .pending_rows(partition, None, usize::MAX, &sources)
                    .await?;
                keys.extend(matching_keys(filter, pending));
            }
            keys.sort();
            keys.dedup();
            fetch(inbox, filter, keys, newest).await
        }
        None => scan(inbox, filter, newest).await,
    }
}

/// The keys in the ledger of the payment that `filter` names, if it has one.
async fn ledger_keys(
    inbox: &DynamoInbox,
    filter: &RowFilter,
) -> Result<Option<Vec<Key>>, InboxError> {
    match (&filter.source, &filter.subject) {
        (Some(source), Some(subject)) => {
            let entries = ledger::entries(inbox, source, subject).await?;
            Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.owner).collect()))
        }
        _ => Ok(None),
    }
}

fn sources(filter: &RowFilter) -> SourceFilter {
    filter
        .source
        .clone()
        .map_or(SourceFilter::ALL, SourceFilter::Only)
}

/// The keys of the rows whose attributes in the index match.
fn matching_keys(filter: &RowFilter, pending: Vec<PendingRow>) -> Vec<Key> {
    let matches = |row: &PendingRow| {
        let event_type = filter.event_type.as_ref();
        event_type.is_none_or(|wanted| *wanted == row.event_type)
            && (filter.subject.is_none() || filter.subject == row.subject)
            && filter.since.is_none_or(|since| row.received_at >= since)
            && filter.until.is_none_or(|until| row.received_at < until)
    };
    let matching = pending.into_iter().filter(matches);
    matching.map(|row| row.key).collect()
}

/// The rows of `keys` without their bytes, newest first, except rows that cannot be read.
pub(super) async fn rows_of(inbox: &DynamoInbox, keys: Vec<Key>) -> Result<Vec<Row>, InboxError> {
    let newest = NewestRows::new(&PageRequest::first(keys.len()));
    let page = fetch(inbox, &RowFilter::default(), keys, newest).await?;
    Ok(page.rows)
}

/// Reads the rows of `keys`, because the index may be behind them.
async fn fetch(
    inbox: &DynamoInbox,
    filter: &RowFilter,
    keys: Vec<Key>,
    mut newest: NewestRows,
) -> Result<RowPage, InboxError> {
    let reads = keys.into_iter().map(|key| async move {
        let (attributes, names) = projection();
        let read = inbox
            .client
            .get_item()
            .table_name(&inbox.settings.table)
            .consistent_read(true)
            .key(PK, text(key.as_str()))
            .projection_expression(attributes)
            .set_expression_attribute_names(Some(names));
        let read = read.send().await;
        Ok::<_, InboxError>(read.map_err(|error| inbox.failed("GetItem", &error))?.item)
    });
    let mut items = stream::iter(reads).buffer_unordered(CONCURRENCY);
    while let Some(item) = items.try_next().await? {
        newest.add(filter, item.as_ref())?;
    }
    Ok(newest.into_page())
}

/// Finds matching rows in the whole table.
async fn scan(
    inbox: &DynamoInbox,
    filter: &RowFilter,
    newest: NewestRows,
) -> Result<RowPage, InboxError> {
    let newest = Mutex::new(newest);
    let segments = (0..SEGMENTS).map(|segment| scan_segment(inbox, filter, segment, &newest));
    futures_util::future::try_join_all(segments).await?;
    Ok(newest
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_page())
}

async fn scan_segment(
    inbox: &DynamoInbox,
    filter: &RowFilter,
    segment: i32,
    newest: &Mutex<NewestRows>,
) -> Result<(), InboxError> {
    let mut start: Option<TableItem> = None;
    loop {
        let (attributes, names) = projection();
        let scan = inbox
            .client
            .scan()
            .table_name(&inbox.settings.table)
            .segment(segment)
            .total_segments(SEGMENTS)
            .projection_expression(attributes)
            .set_expression_attribute_names(Some(names))
            .filter_expression("attribute_exists(v)") // only rows have a version
            .set_exclusive_start_key(start);
        let page = scan
            .customize()
            .config_override(client::long_timeouts())
            .send()
            .await;
        let page = page.map_err(|error| inbox.failed("Scan", &error))?;
        {
            let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            page.items()
                .iter()
                .try_for_each(|item| newest.add(filter, Some(item)))?;
        }
        if let Some(progress) = &inbox.progress {
            progress(ScanPosition {
                items: usize::try_from(page.scanned_count).unwrap_or_default(),
            });
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return Ok(());
        }
    }
}

fn projection() -> (String, HashMap<String, String>) {
    let placeholders = ATTRIBUTES
        .iter()
        .enumerate()
        .map(|(number, name)| (format!("#p{number}"), (*name).to_owned()));
    let names: HashMap<String, String> = placeholders.collect();
    (names.keys().cloned().collect::<Vec<_>>().join(", "), names)
}

/// The newest rows found so far, up to the limit of the page.
struct NewestRows {
    limit: usize,
    before: Option<(Timestamp, Key)>,
    rows: BTreeMap<(Timestamp, Key), Row>,
    newer: Vec<Key>,
    damaged: Vec<InboxError>,
}

impl NewestRows {
    fn new(page: &PageRequest) -> Self {
        // An invalid cursor is read as the beginning.
        let before = page.after.as_ref().and_then(|ListCursor(position)| {
            let (at, key) = position.split_once(' ')?;
            Some((Timestamp::from_millis(at.parse().ok()?), Key::parse(key)?))
        });
        Self {
            limit: page.limit,
            before,
            rows: BTreeMap::new(),
            newer: Vec::new(),
            damaged: Vec::new(),
        }
    }

    fn add(&mut self, filter: &RowFilter, item: Option<&TableItem>) -> Result<(), InboxError> {
        let Some(item) = item else { return Ok(()) };
        let row = match item::read(item) {
            Ok(read) => read.row,
            Err(InboxError::NewerRow { key, .. }) => {
                self.newer.push(key);
                return Ok(());
            }
            Err(error @ InboxError::Damaged { .. }) => {
                self.damaged.push(error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let position = (row.received_at, row.key.clone());
        if filter.matches(&row) && self.before.as_ref().is_none_or(|before| position < *before) {
            self.rows.insert(position, row);
            if self.rows.len() > self.limit {
                self.rows.pop_first();
            }
        }
        Ok(())
    }

    fn into_page(self) -> RowPage {
        let is_full = self.rows.len() == self.limit;
        let last = self
            .rows
            .first_key_value()
            .map(|((at, key), _)| ListCursor(format!("{} {key}", at.as_millis())));
        let (newer, damaged) = match self.before {
            None => (self.newer, self.damaged),
            Some(_) => (Vec::new(), Vec::new()),
        };
        RowPage {
            rows: self.rows.into_values().rev().collect(),
            next: last.filter(|_| is_full),
            newer,
            damaged,
        }
    }
}
