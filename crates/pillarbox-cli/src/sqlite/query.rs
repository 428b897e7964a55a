//! The queries of the file.

use std::{collections::BTreeSet, fs::File, io::Read};

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{
    columns::{COLUMNS, PackedRow, packed_row, row},
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

/// What arrived in one span of time.
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
            ":limit": i64::try_from(limit - due.len()).unwrap_or(i64::MAX),
        };
        for key in select.query_map(params, |row| row.get::<_, String>(0))? {
            due.extend(Key::parse(&key?));
        }
    }
    Ok(due)
}

/// The name of a source, which is safe to write into a statement.
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
        .map(|columns| packed_row(db, columns))
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
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut keys = Vec::new();
    for key in select.query_map(params![prefix, limit], |row| row.get::<_, String>(0))? {
        keys.extend(Key::parse(&key?));
    }
    Ok(keys)
}

/// Every place that holds bytes of a notification: its row, or a row of the table `body`.
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
            place: format!("table {table}, row {id}"),
            bytes: columns.get::<_, u32>(2)? as usize,
        })
    };
    let copies = select.query_map([key.as_str()], copy)?;
    Ok(copies.collect::<Result<_, _>>()?)
}

/// Rows without their bytes, newest first. A page ends when `examined` rows have been looked at,
/// unless the pending index finds them.
pub(super) fn list(
    db: &Connection,
    filter: &RowFilter,
    page: &PageRequest,
    examined: Option<u32>,
) -> Result<RowPage, SqliteError> {
    // An invalid cursor means the beginning.
    let before = page
        .after
        .as_ref()
        .and_then(|ListCursor(id)| id.parse().ok())
        .unwrap_or(i64::MAX);
    // Open, dead and held rows are few, and are found through the pending index.
    let partition = filter
        .state
        .and_then(|state| state.index_partition())
        .map(|partition| format!("{partition}:0"));
    let by_partition = if partition.is_some() {
        "shelf = :shelf"
    } else {
        ":shelf IS NULL"
    };
    let (first, last): (Option<i64>, Option<i64>) = db.query_row(
        "SELECT (SELECT min(id) FROM notification), (SELECT max(id) FROM notification)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let newest = before.min(last.unwrap_or(0).saturating_add(1));
    let floor = examined
        .filter(|_| partition.is_none())
        .map_or(i64::MIN, |examined| newest - i64::from(examined));
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM notification
         WHERE {by_partition} AND id < :before AND id >= :floor
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
        ":before": before,
        ":floor": floor,
        ":source": filter.source,
        ":state": filter.state.map(|state| state.as_str()),
        ":event_type": filter.event_type,
        ":subject": filter.subject,
        ":since": filter.since.map(Timestamp::as_millis),
        ":until": filter.until.map(Timestamp::as_millis),
        ":kind": filter.kind.map(SenderKind::as_str),
        ":limit": i64::try_from(page.limit).unwrap_or(i64::MAX),
    })?;
    let (mut listed, mut read) = (RowPage::default(), 0);
    while let Some(columns) = rows.next()? {
        match row(columns) {
            Ok(row) => listed.rows.push(row),
            Err(SqliteError::Inbox(InboxError::NewerRow { key, .. })) => listed.newer.push(key),
            Err(SqliteError::Inbox(error)) => listed.damaged.push(error),
            Err(error) => return Err(error),
        }
        read += 1;
        let id: i64 = columns.get(0)?;
        listed.next = (read == page.limit).then(|| ListCursor(id.to_string()));
    }
    if listed.next.is_none() && first.is_some_and(|first| first < floor) {
        listed.next = Some(ListCursor(floor.to_string()));
    }
    Ok(listed)
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
    let events = select.query_map([source.as_str(), subject], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?))
    })?;
    events
        .map(|event| {
            Ok(event.map(|(event, owner)| {
                Some(LedgerEntry {
                    event,
                    owner: Key::parse(&owner)?,
                })
            })?)
        })
        .filter_map(Result::transpose)
        .collect()
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
    let rows = select.query_map([source.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
    })?;
    let pending_event = |(key, event_type, subject): (String, String, String)| {
        let key = Key::parse(&key).filter(|_| subjects.contains(&subject))?;
        Some(PendingEvent {
            key,
            event_type,
            subject,
        })
    };
    rows.map(|row| Ok(row.map(pending_event)?))
        .filter_map(Result::transpose)
        .collect()
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

/// The state of the pending index, from the first rows of each state.
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
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = select.query(params![state.index_partition(), limit])?;
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
/// Rows have ids in the order of their arrival, so that a bound is found by bisection, and the
/// number of ids between two bounds is the number of arrivals, those of removed rows among them.
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
    // The index alone answers this: it ends with the ids.
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

/// The journal mode. A connection that reads a file as immutable reports another than the header
/// of the file; it has no locks, which opening and closing the file would release.
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
