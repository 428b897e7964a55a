//! Lists, newest first. What waits is found through the index, the events of a payment through its
//! ledger; for everything else the whole table is read, by as many readers as it takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DynamoInbox, client, item, ledger,
    names::{PK, TableItem, text},
    query::{PendingRow, SHELVES},
};
use crate::{
    domain::{Key, State, Timestamp},
    inbox::{InboxError, ListCursor, PageRequest, Row, RowFilter, RowPage, SourceFilter},
};

/// How many parts of the table are read at once.
const SEGMENTS: i32 = 8;
/// How many rows are fetched at once.
const AT_ONCE: usize = 16;
/// Every attribute of a row but its bytes, which a list doesn't carry.
const ATTRIBUTES: [&str; 21] = [
    "pk",
    "v",
    "digest",
    "content_digest",
    "signature",
    "key_label",
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
];

/// How a list is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListStrategy {
    /// From the index: what waits for someone.
    Index,
    /// From a payment's ledger, and the index for what is not in it yet.
    Ledger,
    /// By reading the whole table.
    Scan,
}

/// How far a scan of the whole table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanPosition {
    /// How many items were read just now.
    pub items: usize,
}

/// How `filter` will be answered.
pub(super) async fn way(
    inbox: &DynamoInbox,
    filter: &RowFilter,
) -> Result<ListStrategy, InboxError> {
    if filter.state.is_some_and(|state| state.shelf().is_some()) {
        return Ok(ListStrategy::Index);
    }
    Ok(if owned(inbox, filter).await?.is_some() {
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
    let newest = NewestRows::of(page);
    if let Some(shelf) = filter.state.and_then(State::shelf) {
        let waiting = inbox.shelf(shelf, None, usize::MAX, &whose(filter)).await?;
        return fetched(inbox, filter, selected(filter, waiting), newest).await;
    }
    match owned(inbox, filter).await? {
        Some(mut keys) => {
            for shelf in SHELVES {
                keys.extend(selected(
                    filter,
                    inbox.shelf(shelf, None, usize::MAX, &whose(filter)).await?,
                ));
            }
            keys.sort();
            keys.dedup();
            fetched(inbox, filter, keys, newest).await
        }
        None => scanned(inbox, filter, newest).await,
    }
}

/// The keys in the ledger of the payment asked for, if it has one.
async fn owned(inbox: &DynamoInbox, filter: &RowFilter) -> Result<Option<Vec<Key>>, InboxError> {
    match (&filter.source, &filter.subject) {
        (Some(source), Some(subject)) => {
            let events = ledger::events(inbox, source, subject).await?;
            Ok(events.map(|events| events.into_iter().map(|event| event.owner).collect()))
        }
        _ => Ok(None),
    }
}

fn whose(filter: &RowFilter) -> SourceFilter {
    filter
        .source
        .clone()
        .map_or(SourceFilter::ALL, SourceFilter::Only)
}

/// The keys of those that fit, as far as the index can tell.
fn selected(filter: &RowFilter, waiting: Vec<PendingRow>) -> Vec<Key> {
    let fits = |row: &PendingRow| {
        is_asked_for(
            filter,
            &row.event_type,
            row.subject.as_ref(),
            row.received_at,
        )
    };
    waiting
        .into_iter()
        .filter(fits)
        .map(|row| row.key)
        .collect()
}

/// The rows of `keys` as they are now, which the index may not know yet.
async fn fetched(
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
            .consistent_read(true);
        let read = read
            .key(PK, text(key.as_str()))
            .projection_expression(attributes);
        let read = read
            .set_expression_attribute_names(Some(names))
            .send()
            .await;
        Ok::<_, InboxError>(read.map_err(|error| inbox.failed("GetItem", &error))?.item)
    });
    let mut items = stream::iter(reads).buffer_unordered(AT_ONCE);
    while let Some(item) = items.try_next().await? {
        newest.take(filter, item.as_ref())?;
    }
    Ok(newest.listed())
}

/// The rows that fit, out of all.
async fn scanned(
    inbox: &DynamoInbox,
    filter: &RowFilter,
    newest: NewestRows,
) -> Result<RowPage, InboxError> {
    let newest = Mutex::new(newest);
    let segments = (0..SEGMENTS).map(|segment| segment_of(inbox, filter, segment, &newest));
    futures_util::future::try_join_all(segments).await?;
    Ok(newest
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .listed())
}

async fn segment_of(
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
            .total_segments(SEGMENTS);
        let scan = scan
            .projection_expression(attributes)
            .set_expression_attribute_names(Some(names));
        // Rows have a version; what is kept beside them has none.
        let scan = scan
            .filter_expression("attribute_exists(v)")
            .set_exclusive_start_key(start);
        let page = scan
            .customize()
            .config_override(client::patient())
            .send()
            .await;
        let page = page.map_err(|error| inbox.failed("Scan", &error))?;
        {
            let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            page.items()
                .iter()
                .try_for_each(|item| newest.take(filter, Some(item)))?;
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
    let words = ATTRIBUTES
        .iter()
        .enumerate()
        .map(|(number, name)| (format!("#p{number}"), (*name).to_owned()));
    let names: HashMap<String, String> = words.collect();
    (names.keys().cloned().collect::<Vec<_>>().join(", "), names)
}

/// The newest rows met so far, no more of them than were asked for.
struct NewestRows {
    limit: usize,
    before: Option<(Timestamp, Key)>,
    rows: BTreeMap<(Timestamp, Key), Row>,
    newer: Vec<Key>,
}

impl NewestRows {
    fn of(page: &PageRequest) -> Self {
        // A place that nobody gave out is the beginning.
        let before = page.after.as_ref().and_then(|ListCursor(place)| {
            let (at, key) = place.split_once(' ')?;
            Some((Timestamp::from_millis(at.parse().ok()?), Key::parse(key)?))
        });
        Self {
            limit: page.limit,
            before,
            rows: BTreeMap::new(),
            newer: Vec::new(),
        }
    }

    fn take(&mut self, filter: &RowFilter, item: Option<&TableItem>) -> Result<(), InboxError> {
        let Some(item) = item else { return Ok(()) };
        let row = match item::read(item) {
            Ok(read) => read.row,
            Err(InboxError::NewerRow { key, .. }) => {
                self.newer.push(key);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let place = (row.received_at, row.key.clone());
        if fits(filter, &row) && self.before.as_ref().is_none_or(|before| place < *before) {
            self.rows.insert(place, row);
            if self.rows.len() > self.limit {
                self.rows.pop_first();
            }
        }
        Ok(())
    }

    fn listed(self) -> RowPage {
        let is_full = self.rows.len() == self.limit;
        let last = self
            .rows
            .first_key_value()
            .map(|((at, key), _)| ListCursor(format!("{} {key}", at.as_millis())));
        let newer = if self.before.is_none() {
            self.newer
        } else {
            Vec::new()
        };
        RowPage {
            rows: self.rows.into_values().rev().collect(),
            next: last.filter(|_| is_full),
            newer,
        }
    }
}

fn fits(filter: &RowFilter, row: &Row) -> bool {
    filter
        .source
        .as_ref()
        .is_none_or(|source| row.key.source() == source)
        && filter.state.is_none_or(|state| row.state == state)
        && is_asked_for(
            filter,
            &row.event_type,
            row.subject.as_ref(),
            row.received_at,
        )
}

/// What the index knows of a row as well as the row does.
fn is_asked_for(
    filter: &RowFilter,
    event_type: &str,
    subject: Option<&String>,
    received_at: Timestamp,
) -> bool {
    filter
        .event_type
        .as_ref()
        .is_none_or(|asked| asked == event_type)
        && filter
            .subject
            .as_ref()
            .is_none_or(|asked| Some(asked) == subject)
        && filter.since.is_none_or(|since| received_at >= since)
}
