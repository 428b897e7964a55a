//! Queries of the file.

use std::{collections::BTreeSet, fs::File, io::Read};

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{
    change::index_partition,
    columns::{COLUMNS, PackedRow, query_keys, read_packed_row, read_row, sql_limit},
    connection::SqliteError,
    schema,
};
use pillarbox::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{
        BodyCopy, InboxError, KvEntry, KvKey, LedgerEntry, ListCursor, MAX_AHEAD, PageRequest,
        PendingEvent, PendingGauges, ROW_VERSION, RowFilter, RowPage, SourceFilter, due_ranges,
    },
    senders::SenderKind,
};

/// The state of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInspection {
    /// The version of SQLite.
    pub sqlite: String,
    /// The version of the schema.
    pub schema: u32,
    /// The journal mode, which must be `wal`.
    pub journal_mode: String,
    /// The damage that was found.
    pub faults: Vec<String>,
}

/// The pending rows that [`arrivals`] reads at most; the rest count as finished.
const MAX_CHARTED_PENDING: i64 = 100_000;

/// The notifications that arrived in one span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalCount {
    /// All notifications.
    pub all: u64,
    /// Those that are open now.
    pub open: u64,
    /// Those that are dead now.
    pub dead: u64,
    /// Those that are held now.
    pub held: u64,
}

/// Open rows that are due and not leased.
pub(super) fn find_due(
    db: &Connection,
    sources: &SourceFilter,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Key>, SqliteError> {
    let is_of = |source: &String| format!("(pk >= '{source}:' AND pk < '{source};')");
    let condition = match sources {
        SourceFilter::Only(source) => is_of(&checked_name(source)?),
        SourceFilter::Except(others) => {
            let conditions = others
                .iter()
                .map(|source| Ok(format!(" AND NOT {}", is_of(&checked_name(source)?))));
            let conditions = conditions.collect::<Result<String, SqliteError>>()?;
            format!("TRUE{conditions}")
        }
    };
    let mut select = db.prepare_cached(&format!(
        "SELECT pk FROM notification
         WHERE shelf = 'open:0' AND due_at > :after AND due_at <= :until
             AND (lease_until IS NULL OR lease_until <= :now OR lease_until > :ahead)
             AND v <= :v AND {condition}
         ORDER BY due_at LIMIT :limit"
    ))?;
    let mut due = Vec::new();
    for range in due_ranges(now) {
        let params = named_params! {
            ":after": range.after.as_millis(),
            ":until": range.until.as_millis(),
            ":now": now.as_millis(),
            ":ahead": now.plus(MAX_AHEAD).as_millis(),
            ":v": ROW_VERSION,
            ":limit": sql_limit(limit - due.len()),
        };
        due.append(&mut query_keys(&mut select, params)?);
    }
    Ok(due)
}

/// A valid name of a source, which is safe to write into a statement.
fn checked_name(source: &str) -> Result<String, SqliteError> {
    let name = SourceName::new(source)
        .ok_or_else(|| InboxError::Unavailable("no such source".to_owned()))?;
    Ok(name.as_str().to_owned())
}

/// One row with its body.
pub(super) fn get(db: &Connection, key: &Key) -> Result<Option<PackedRow>, SqliteError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS}, body FROM notification WHERE pk = ?1"
    ))?;
    let mut rows = select.query([key.as_str()])?;
    rows.next()?
        .map(|columns| read_packed_row(db, columns))
        .transpose()
}

/// The keys that begin with `prefix`, in order.
pub(super) fn keys_with_prefix(
    db: &Connection,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Key>, SqliteError> {
    // A key has printable ASCII characters, so this is the end of those that begin with the prefix.
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification WHERE pk >= ?1 AND pk < ?1 || char(127) ORDER BY pk LIMIT ?2",
    )?;
    query_keys(&mut select, params![prefix, sql_limit(limit)])
}

/// Every copy of a notification's bytes: in its row, or in the table `body`.
pub(super) fn body_copies(db: &Connection, key: &Key) -> Result<Vec<BodyCopy>, SqliteError> {
    let mut select = db.prepare_cached(
        "SELECT 'notification', id, length(body) FROM notification WHERE pk = ?1 AND body NOTNULL
         UNION ALL
         SELECT 'body', id, length(bytes) FROM notification JOIN body ON notification = id WHERE \
          pk = ?1",
    )?;
    let copy = |columns: &rusqlite::Row<'_>| {
        let (table, id): (String, i64) = (columns.get(0)?, columns.get(1)?);
        Ok(BodyCopy {
            location: format!("table {table}, row {id}"),
            bytes: columns.get::<_, u32>(2)? as usize,
        })
    };
    let copies = select.query_map([key.as_str()], copy)?;
    Ok(copies.collect::<Result<_, _>>()?)
}

/// One page of rows without their bytes, newest first. Unless the pending index finds the rows, the
/// page ends after `examined` rows.
pub(super) fn list(
    db: &Connection,
    filter: &RowFilter,
    page: &PageRequest,
    examined: Option<u32>,
) -> Result<RowPage, SqliteError> {
    // Open, dead and held rows are few, and are found through the pending index.
    let partition = filter.state.and_then(index_partition);
    let by_partition = if partition.is_some() {
        "shelf = :shelf"
    } else {
        ":shelf IS NULL"
    };
    let examined = examined.filter(|_| partition.is_none());
    let span = examined_ids(db, page.after.as_ref(), examined)?;
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM notification
         WHERE {by_partition} AND id < :before AND id >= :lowest_id
             AND (:source IS NULL OR pk >= :source || ':' AND pk < :source || ';')
             AND (:state IS NULL OR state = :state)
             AND (:event_type IS NULL OR event_type = :event_type)
             AND (:subject IS NULL OR subject = :subject)
             AND (:since IS NULL OR received_at >= :since)
             AND (:until IS NULL OR received_at < :until)
             AND (:kind IS NULL OR kind = :kind)
         ORDER BY id DESC LIMIT :limit"
    ))?;
    let mut rows = select.query(named_params! {
        ":shelf": partition,
        ":before": span.before,
        ":lowest_id": span.lowest_id,
        ":source": filter.source,
        ":state": filter.state.map(|state| state.as_str()),
        ":event_type": filter.event_type,
        ":subject": filter.subject,
        ":since": filter.since.map(Timestamp::as_millis),
        ":until": filter.until.map(Timestamp::as_millis),
        ":kind": filter.kind.map(SenderKind::as_str),
        ":limit": sql_limit(page.limit),
    })?;
    let (mut listed, mut read) = (RowPage::default(), 0);
    while let Some(columns) = rows.next()? {
        match read_row(columns) {
            Ok(row) => listed.rows.push(row),
            Err(SqliteError::Inbox(InboxError::NewerRow { key, .. })) => listed.newer.push(key),
            Err(SqliteError::Inbox(error)) => listed.damaged.push(error),
            Err(error) => return Err(error),
        }
        read += 1;
        let id: i64 = columns.get(0)?;
        listed.next = (read == page.limit).then(|| ListCursor(id.to_string()));
    }
    if listed.next.is_none() && span.has_older {
        listed.next = Some(ListCursor(span.lowest_id.to_string()));
    }
    Ok(listed)
}

/// The ids of the rows that a page examines.
struct ExaminedIds {
    /// The page examines ids less than this.
    before: i64,
    /// The least id that it examines.
    lowest_id: i64,
    /// Whether there are lesser ids.
    has_older: bool,
}

/// The ids for a page that begins after `cursor` and examines at most `examined` rows.
fn examined_ids(
    db: &Connection,
    cursor: Option<&ListCursor>,
    examined: Option<u32>,
) -> Result<ExaminedIds, rusqlite::Error> {
    // An invalid cursor means the beginning.
    let before = cursor.and_then(|ListCursor(id)| id.parse().ok());
    let before = before.unwrap_or(i64::MAX);
    let (first, last): (Option<i64>, Option<i64>) = db.query_row(
        "SELECT (SELECT min(id) FROM notification), (SELECT max(id) FROM notification)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let newest = before.min(last.unwrap_or(0).saturating_add(1));
    let lowest_id = examined.map_or(i64::MIN, |examined| newest - i64::from(examined));
    Ok(ExaminedIds {
        before,
        lowest_id,
        has_older: first.is_some_and(|first| first < lowest_id),
    })
}

/// When a notification of a source was last received.
pub(super) fn last_received(
    db: &Connection,
    source: &SourceName,
) -> Result<Option<Timestamp>, SqliteError> {
    let mut select = db.prepare_cached("SELECT heard_at FROM source WHERE name = ?1")?;
    let at: Option<i64> = select
        .query_row([source.as_str()], |row| row.get(0))
        .optional()?;
    Ok(at.map(Timestamp::from_millis))
}

/// The claimed events of a subject.
pub(super) fn ledger_entries(
    db: &Connection,
    source: &SourceName,
    subject: &str,
) -> Result<Vec<LedgerEntry>, SqliteError> {
    let mut select =
        db.prepare_cached("SELECT event, owner FROM subject WHERE source = ?1 AND subject = ?2")?;
    let mut rows = select.query([source.as_str(), subject])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(owner) = Key::parse(&row.get::<_, String>(1)?) {
            let event = row.get(0)?;
            entries.push(LedgerEntry { event, owner });
        }
    }
    Ok(entries)
}

/// The open, dead and held rows of a source about one of `subjects`.
pub(super) fn pending_events(
    db: &Connection,
    source: &SourceName,
    subjects: &BTreeSet<String>,
) -> Result<Vec<PendingEvent>, SqliteError> {
    let mut select = db.prepare_cached(
        "SELECT pk, event_type, subject FROM notification
         WHERE shelf IS NOT NULL AND subject IS NOT NULL AND pk >= ?1 || ':' AND pk < ?1 || ';'",
    )?;
    let mut rows = select.query([source.as_str()])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let subject: String = row.get(2)?;
        let key = Key::parse(&row.get::<_, String>(0)?);
        if let Some(key) = key.filter(|_| subjects.contains(&subject)) {
            events.push(PendingEvent {
                key,
                event_type: row.get(1)?,
                subject,
            });
        }
    }
    Ok(events)
}

/// The current entry under `key`.
pub(super) fn kv_get(db: &Connection, key: &KvKey) -> Result<Option<KvEntry>, SqliteError> {
    let mut select = db.prepare_cached("SELECT version, text FROM memo WHERE name = ?1")?;
    let entry = |row: &rusqlite::Row<'_>| {
        Ok(KvEntry {
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            text: row.get(1)?,
        })
    };
    Ok(select.query_row([key.as_str()], entry).optional()?)
}

/// The gauges of the pending index, from the first rows of each state.
pub(super) fn pending_gauges(
    db: &Connection,
    open_before: Timestamp,
    limit: usize,
) -> Result<PendingGauges, SqliteError> {
    let mut select = db.prepare_cached(
        "SELECT pk, received_at FROM notification
         WHERE shelf = ?1 || ':0' ORDER BY due_at LIMIT ?2",
    )?;
    let mut gauges = PendingGauges::default();
    for state in [State::Recorded, State::Dead, State::Held] {
        let mut rows = select.query(params![state.index_partition(), sql_limit(limit)])?;
        while let Some(row) = rows.next()? {
            let received_at = Timestamp::from_millis(row.get(1)?);
            if let Some(key) = Key::parse(&row.get::<_, String>(0)?) {
                gauges += PendingGauges::of_row(state, &key, received_at, open_before);
            }
        }
    }
    Ok(gauges)
}

/// How many notifications arrived from each of `bounds` to the next, and the pending ones among
/// them.
///
/// Ids are in order of arrival. So a bound is found by bisection, and the number of ids between two
/// bounds is the number of arrivals, including rows that have been removed.
pub(super) fn arrivals(
    db: &Connection,
    bounds: &[Timestamp],
) -> Result<Vec<ArrivalCount>, SqliteError> {
    let first = bounds
        .iter()
        .map(|&bound| first_since(db, bound))
        .collect::<Result<Vec<i64>, _>>()?;
    let spans = first.windows(2).map(|ids| ArrivalCount {
        all: (ids[1] - ids[0]).unsigned_abs(),
        ..ArrivalCount::default()
    });
    let mut counts: Vec<ArrivalCount> = spans.collect();
    // The index alone answers this query, because each entry of an index ends with the id.
    let mut select = db.prepare_cached(
        "SELECT shelf, id FROM notification
         WHERE shelf IN ('open:0', 'dead:0', 'held:0') AND id >= ?1 LIMIT ?2",
    )?;
    let begin = first.first().copied().unwrap_or(i64::MAX);
    let mut rows = select.query([begin, MAX_CHARTED_PENDING])?;
    while let Some(row) = rows.next()? {
        let (partition, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let span = first.partition_point(|&first| first <= id) - 1;
        let Some(count) = counts.get_mut(span) else {
            continue; // it arrived after the last bound
        };
        *match partition.as_str() {
            "open:0" => &mut count.open,
            "dead:0" => &mut count.dead,
            _ => &mut count.held,
        } += 1;
    }
    Ok(counts)
}

/// The id of the first row that arrived at or after `bound`; one more than the last if none did.
fn first_since(db: &Connection, bound: Timestamp) -> Result<i64, SqliteError> {
    let (mut low, last): (i64, i64) = db.query_row(
        "SELECT coalesce((SELECT min(id) FROM notification), 1),
             coalesce((SELECT max(id) FROM notification), 0)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let mut high = last + 1;
    let mut select = db.prepare_cached(
        "SELECT id, received_at FROM notification WHERE id >= ?1 ORDER BY id LIMIT 1",
    )?;
    while low < high {
        let middle = low + (high - low) / 2;
        let (id, received_at): (i64, i64) =
            select.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if received_at >= bound.as_millis() {
            high = middle;
        } else {
            low = id + 1;
        }
    }
    Ok(low)
}

/// Checks the whole file.
pub(super) fn inspect(db: &Connection) -> Result<FileInspection, SqliteError> {
    let mut check = db.prepare("PRAGMA integrity_check")?;
    let faults: Vec<String> = check
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(FileInspection {
        sqlite: rusqlite::version().to_owned(),
        schema: schema::version(db)?,
        journal_mode: journal_mode(db)?,
        faults: faults.into_iter().filter(|fault| fault != "ok").collect(),
    })
}

/// The journal mode. For a file that it reads as immutable SQLite reports another mode, so the mode
/// is read from the header. Such a connection has no locks that closing the file would release.
fn journal_mode(db: &Connection) -> Result<String, rusqlite::Error> {
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(mode);
    }
    let mut header = [0; 20];
    let file = db.path().and_then(|path| File::open(path).ok());
    match file.map(|mut file| file.read_exact(&mut header)) {
        Some(Ok(())) if header[18..] == [2, 2] => Ok("wal".to_owned()),
        _ => Ok(mode),
    }
}
